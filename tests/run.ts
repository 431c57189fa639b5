/**
 * `deno task test [FILE or flag of deno test]...`: runs the tests on real parts where there are
 * some, says which, what was skipped and how to get it, and closes with `N passed, N failed`.
 *
 * The parts are made once for all tests, and only where a chosen test uses them: the compiled
 * program, and an API server, which is stopped at the end whatever happens. Exit status 0 only if
 * at least one test passed and none failed.
 */

import { depsFlags, isClosed } from "../closed/deps.ts";
import { type ApiServer, publishAccess, SHARED_SERVER } from "./real/api_server.ts";
import { prepareProgram, prepareServer } from "./real/prepare.ts";
import { type Counts, countTests } from "./support/junit.ts";
import { type Skipped, SKIPPED_FILE } from "./support/skip.ts";
import { filesMissing, pathsIn, testFiles, withImports } from "./support/test_files.ts";

/** The tests take a few minutes; far beyond that one of them hangs. */
const MINUTES_MAX = 20;

const root = new URL("../", import.meta.url);

/** Starts the API server that the tests share; null where there are no binaries of one. */
async function shareServer(dir: string): Promise<ApiServer | null> {
  const server = await prepareServer(dir);
  if (server !== null) {
    publishAccess(server);
    Deno.env.set(SHARED_SERVER, dir);
  }
  return server;
}

/**
 * Runs `deno test`; resolves to its exit status. A signal to us is passed on to it; a test that
 * hangs is ended with a SIGINT, at which deno says which one it was.
 *
 * @param output where what it prints goes; null = it is ours
 */
async function runTests(args: string[], output: Deno.FsFile | null): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--unstable-net", ...args],
    cwd: root,
    stdout: output === null ? "inherit" : "piped",
    stderr: output === null ? "inherit" : "piped",
  }).spawn();
  const pumps = output === null
    ? []
    : [child.stdout, child.stderr].map((stream) =>
      stream.pipeTo(new WritableStream({ write: (bytes) => writeAll(output, bytes) }))
    );
  let isRunning = true;
  const kill = (signal: Deno.Signal) => {
    if (isRunning) child.kill(signal);
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => kill(signal));
  }
  const minutes = Number(Deno.env.get("KEP_TEST_MINUTES") || MINUTES_MAX);
  const late = setTimeout(() => {
    console.error(`\nNot done after ${minutes} minutes (KEP_TEST_MINUTES): ended.`);
    kill("SIGINT");
  }, minutes * 60_000);
  const { code } = await child.status;
  await Promise.all(pumps);
  clearTimeout(late);
  isRunning = false;
  return code;
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
}

/** Says what was skipped, grouped by what to do about it. */
function reportSkipped(file: string): void {
  const lines = Deno.readTextFileSync(file).split("\n").filter(Boolean);
  const skipped: Skipped[] = lines.map((line) => JSON.parse(line));
  for (const [how, tests = []] of Map.groupBy(skipped, ({ how }) => how)) {
    console.log(`\nSKIPPED ${tests.length}. To run ${tests.length === 1 ? "it" : "them"}, ${how}:`);
    for (const { name } of tests) console.log(`  ${name}`);
  }
}

/** The counts of the report; a failure outside of any test counts as one. */
function readCounts(junit: string, status: number, files: string[]): Counts {
  let xml = "";
  try {
    xml = Deno.readTextFileSync(junit);
  } catch {
    // A type error or a signal: no test began.
  }
  const counts = countTests(xml);
  if (status === 0) return counts;
  // A module that failed to load is not in the report. Nor is one of which a filter left nothing.
  const isFiltered = Deno.args.some((arg) => arg.startsWith("--filter"));
  if (!isFiltered && xml !== "") {
    counts.failed += filesMissing(root, files, counts.files).length;
  }
  counts.failed ||= 1;
  return counts;
}

/**
 * Tests with the real program wait most of the time, on the real API server or on the fake one; the
 * others compute: they run beside each other.
 */
function shares(files: string[]): string[][] {
  const folders = [/^tests\/(real|soak|system)\//, /^tests\/program\//, /^/];
  const shareOf = (file: string) => folders.findIndex((folder) => folder.test(file));
  const all = folders.map((_, index) => files.filter((file) => shareOf(file) === index));
  return all.filter((share) => share.length > 0);
}

/** @param isBehind what it prints is shown at its end, not mixed with the others' */
async function runShare(
  scratch: string,
  files: string[],
  flags: string[],
  isBehind: boolean,
): Promise<Counts> {
  const junit = `${scratch}.xml`;
  const log = `${scratch}.log`;
  using output = isBehind ? Deno.openSync(log, { write: true, create: true }) : null;
  const status = await runTests([...flags, `--junit-path=${junit}`, ...files], output);
  if (isBehind) console.log(Deno.readTextFileSync(log));
  return readCounts(junit, status, files);
}

/** Prepares what the chosen tests need and runs them. */
async function main(scratch: string): Promise<Pick<Counts, "passed" | "failed">> {
  const given = pathsIn(root, Deno.args);
  const files = testFiles(root, given.length > 0 ? given : ["tests"]);
  const used = withImports(root, files);
  const skipped = `${scratch}/skipped`;
  Deno.writeTextFileSync(skipped, "");
  Deno.env.set(SKIPPED_FILE, skipped);
  Deno.env.set("KEP_CLOSED", await isClosed() ? "1" : "0"); // Asked once, not in each child.
  const [server] = await Promise.all([
    used.has("tests/real/api_server.ts") ? shareServer(`${scratch}/api-server`) : null,
    used.has("tests/support/binary.ts") ? prepareProgram() : null,
  ]);
  try {
    const flags = ["-A", ...await depsFlags(), ...Deno.args.filter((arg) => !given.includes(arg))];
    const counts = await Promise.all(
      shares(files).map((share, index) => runShare(`${scratch}/${index}`, share, flags, index > 0)),
    );
    reportSkipped(skipped);
    const sum = (of: (one: Counts) => number) => counts.reduce((all, one) => all + of(one), 0);
    return { passed: sum(({ passed }) => passed), failed: sum(({ failed }) => failed) };
  } finally {
    await server?.stop();
  }
}

const scratch = Deno.makeTempDirSync({ prefix: "kube-event-pipe-test-" });
let counts: Pick<Counts, "passed" | "failed"> = { passed: 0, failed: 1 };
try {
  counts = await main(scratch);
  if (counts.passed + counts.failed === 0) console.log("\nNo test ran.");
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
} finally {
  Deno.removeSync(scratch, { recursive: true });
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed`);
Deno.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
