/** Which tests answer which fault and which line of the checklist, read from their names. */

import { CATALOGUE } from "../fake/catalogue.ts";
import { testFiles } from "./test_files.ts";

/** A test, or several that a loop makes of one name. */
export interface NamedTest {
  /** Relative to the tree. */
  file: string;
  /** As in the source; what a template fills in is `…`. */
  name: string;
}

/** The test file that runs every entry of the fault catalogue. */
export const CATALOGUE_TEST = "tests/watch/fault_catalogue_test.ts";

const LITERAL = /"(?:[^"\\\n]|\\.)*"(?:\s*\+\s*"(?:[^"\\\n]|\\.)*")*|`(?:[^`\\]|\\.)*`/g;

/**
 * The tests by what their names bear: "5" for `fault 5` or `faults 5, 6`, "4.2.7" for `check 4.2.7`.
 *
 * @param root of the tree
 */
export function answeringTests(root: URL): Map<string, NamedTest[]> {
  const found = new Map<string, NamedTest[]>();
  const add = (id: string, test: NamedTest) => {
    const tests = found.get(id) ?? [];
    if (!tests.some(({ file, name }) => file === test.file && name === test.name)) tests.push(test);
    found.set(id, tests);
  };
  for (const { number, name, isSlow } of CATALOGUE) {
    if (!isSlow) add(`${number}`, { file: CATALOGUE_TEST, name });
  }
  // The test of this module has names that are none.
  const files = testFiles(root, ["tests"]).filter((file) => !file.endsWith("/faults_doc_test.ts"));
  for (const file of files) {
    for (const name of literalsIn(Deno.readTextFileSync(new URL(file, root)))) {
      for (const id of idsIn(name)) add(id, { file, name });
    }
  }
  return found;
}

/** What a name bears. */
export function idsIn(name: string): string[] {
  const faults = [...name.matchAll(/\bfaults? (\d+(?:, \d+)*)/g)].flatMap(([, list]) =>
    list!.split(", ")
  );
  return [...faults, ...[...name.matchAll(/\bcheck (4\.2\.\d+)/g)].map(([, id]) => id!)];
}

/** The texts in a source, with `…` for what a template fills in. */
function literalsIn(source: string): string[] {
  return Array.from(source.matchAll(LITERAL), ([text]) => {
    const parts = text.split(/"\s*\+\s*"/).join("");
    return parts.slice(1, -1).replaceAll(/\$\{[^}]*\}/g, "…").replaceAll('\\"', '"');
  });
}
