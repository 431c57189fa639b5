/**
 * How tests run the program: compiled where that can be done, else from source with the same
 * permissions.
 */

import { depsFlags } from "../../closed/deps.ts";
import { BINARY, isBuilt, programFlags } from "../../deploy/build.ts";

/** The head of a command line; the program's own flags follow `args`. */
export interface ProgramCommand {
  cmd: string;
  args: string[];
  kind: "compiled" | "deno run";
}

/** Names a compiled binary to test; "deno run" = the source, also where a binary was built. */
export const TEST_BINARY = "KEP_TEST_BINARY";

const root = new URL("../../", import.meta.url);
const importMap = await depsFlags();

/** What to run: KEP_TEST_BINARY, else dist/ if it was built from this very tree, else the source. */
export function programCommand(): ProgramCommand {
  const cmd = compiledBinary();
  if (cmd !== null) return { cmd, args: [], kind: "compiled" };
  const config = `--config=${new URL("deno.json", root).pathname}`;
  const args = ["run", "--quiet", config, ...importMap, ...programFlags()];
  const main = new URL("main.ts", root).pathname;
  return { cmd: Deno.execPath(), args: [...args, main], kind: "deno run" };
}

/** The path of the compiled program; null where tests run the source. */
export function compiledBinary(): string | null {
  const named = Deno.env.get(TEST_BINARY);
  if (named) return named === "deno run" ? null : named;
  return isBuilt() ? BINARY.pathname : null;
}

/** What to do for tests that need the compiled program. */
export const BINARY_HOW = "make `deno task build` work: online, or with DENORT_BIN set to an " +
  "unpacked denort";
