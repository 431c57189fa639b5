/** The man page says what --help says. */

import { assert, assertEquals } from "@std/assert";
import { manPage } from "../../deploy/man.ts";
import { USAGE } from "../../lib/usage.ts";
import { needing } from "../support/skip.ts";
import { withTempFolder } from "../support/temp.ts";
import { findTool } from "./tools.ts";

/** The page's text, one line, without what roff needs. */
const page = manPage().replaceAll("\\-", "-").replaceAll(/\\f[BRI]|\\&/g, "");
const entries = page.split("\n").filter((_, at, lines) => lines[at - 1] === ".TP");
const flagsIn = (text: string) => [...new Set(text.match(/--[a-z][a-z-]*/g))].sort();

Deno.test("each flag of --help has an entry in the man page", () => {
  assertEquals(flagsIn(entries.join("\n")), flagsIn(USAGE.replaceAll("--flag", "")));
});

Deno.test("each sentence of --help is in the man page, and each exit status", () => {
  const [, flags = "", end = ""] = /(Each flag.*)\n\n(Signals: .*)/s.exec(USAGE) ?? [];
  const pieces = flags.split(/\n| {2,}/).filter((piece) => piece !== "");
  assert(pieces.length > 30);
  assertEquals(pieces.filter((piece) => !page.replaceAll("\n", " ").includes(piece)), []);
  const codes = end.slice(end.indexOf("Exit status:")).match(/(?<=[:;]\s)\d+/g);
  assert(codes !== null && codes.length > 5);
  assertEquals(codes.filter((code) => !page.includes(`.TP\n.B ${code}\n`)), []);
});

Deno.test(
  needing(
    findTool("groff"),
    "install groff",
    "groff finds nothing wrong with it",
    async (groff) => {
      await withTempFolder(async (folder) => {
        const path = `${folder}/kube-event-pipe.1`;
        await Deno.writeTextFile(path, manPage());
        const args = ["-man", "-ww", "-Tutf8", "-z", path];
        const { stderr } = await new Deno.Command(groff, { args }).output();
        assertEquals(new TextDecoder().decode(stderr), "");
      });
    },
  ),
);
