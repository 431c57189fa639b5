/**
 * docs/FAULTS.md names a test for every fault and every line of the checklist, and only tests that
 * there are. The last column is made from the names of the tests: to write it anew, run this file
 * with KEP_WRITE_DOCS=1.
 */

import { assert, assertEquals } from "@std/assert";
import { answeringTests, idsIn, type NamedTest } from "../support/fault_tests.ts";

const root = new URL("../../", import.meta.url);
const path = new URL("docs/FAULTS.md", root);

/** A row of a table that begins with a fault's number or that of a line of the checklist. */
const ROW = /^\| (\d+(?:\.\d+)*) \| (.*?) \| (.*?) \| (.*?) \|$/;

const FAULTS = Array.from({ length: 50 }, (_, i) => `${i + 1}`);
const CHECKS = Array.from({ length: 22 }, (_, i) => `4.2.${i + 1}`);

/** The tests of a row: a line for each file. */
function cell(tests: NamedTest[]): string {
  const files = Map.groupBy(tests, ({ file }) => file);
  return [...files].map(([file, named]) => {
    const names = named.map(({ name }) => name.replaceAll("|", "\\|"));
    return `\`${file.replace(/^tests\/|_test\.ts$/g, "")}\`: ${names.join("; ")}`;
  }).join("<br>");
}

Deno.test("docs/FAULTS.md has every fault and every line of the checklist, with its tests", () => {
  const tests = answeringTests(root);
  const text = Deno.readTextFileSync(path);
  const ids: string[] = [];
  const expected = text.split("\n").map((line) => {
    const row = ROW.exec(line);
    if (row === null) return line;
    const [, id, what, answer] = row;
    ids.push(id!);
    return `| ${id} | ${what} | ${answer} | ${cell(tests.get(id!) ?? [])} |`;
  }).join("\n");
  if (Deno.env.get("KEP_WRITE_DOCS") === "1") Deno.writeTextFileSync(path, expected);
  else assertEquals(text, expected, "stale: run this test with KEP_WRITE_DOCS=1");
  assertEquals(ids, [...FAULTS, ...CHECKS]);
  for (const id of ids) assert((tests.get(id) ?? []).length > 0, `no test bears ${id}`);
});

Deno.test("a test's name tells what it answers", () => {
  assertEquals(idsIn("fault 5: a thing"), ["5"]);
  assertEquals(idsIn("a thing (faults 20, 35; check 4.2.4)"), ["20", "35", "4.2.4"]);
  assertEquals(idsIn("a default 5 of a thing"), []);
});
