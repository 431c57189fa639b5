/** The one-liners of docs/RECIPES.md, as they stand there, on events of every kind. */

import { assert, assertEquals } from "@std/assert";
import { gzipSync } from "node:zlib";
import { recipe } from "../support/recipes.ts";
import { needing } from "../support/skip.ts";
import { withTempFolder } from "../support/temp.ts";
import { findTool } from "./tools.ts";

const CORPUS = new URL("../corpus/events.jsonl", import.meta.url);

/** The commands of the block, by what is said of them. */
function commands(): { title: string; command: string }[] {
  return recipe("jq").trim().split("\n\n").map((text) => {
    const [, title = "", command = text] = /^# (.*)\n([^]*)$/.exec(text) ?? [];
    return { title, command };
  });
}

Deno.test(needing(findTool("jq"), "install jq", "every jq one-liner shows something", async () => {
  await withTempFolder(async (folder) => {
    const objects = Deno.readTextFileSync(CORPUS).trim().split("\n")
      .map((line) => JSON.parse(line).object)
      .filter((object) => object !== undefined) // Not from a server.
      .map((object) => JSON.stringify(object));
    const lines = (some: string[]) => some.map((line) => `${line}\n`).join("");
    Deno.writeTextFileSync(`${folder}/events.jsonl`, lines(objects));
    Deno.writeTextFileSync(`${folder}/events.jsonl.1`, lines(objects.slice(0, 3)));
    Deno.writeFileSync(`${folder}/events.jsonl.2.gz`, gzipSync(lines(objects.slice(3, 6))));
    for (const { title, command } of commands()) {
      // What follows a file has no end.
      const ending = command.replace("tail -n +1 -F", "cat");
      const { code, stdout, stderr } = await new Deno.Command("bash", {
        args: ["-o", "pipefail", "-c", ending],
        cwd: folder,
      }).output();
      const [said, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      assertEquals({ code, error }, { code: 0, error: "" }, title);
      assert(said !== "", `nothing came of: ${command}`);
    }
  });
}));
