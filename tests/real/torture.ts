/**
 * `deno task torture [--kills=N] [--seed=N]`: kills the program with -9 at all moments of its life,
 * under load on a real API server of its own, with rotations in between, and counts its lines.
 *
 * Exit status 0 only if every occurrence has exactly one whole line, the program never ended by
 * itself, and its own `check` agrees. Else all files are kept.
 */

import { parseArgs } from "node:util";
import { contentOf } from "../fake/content.ts";
import { isExact, linesOf, type Tally, tallyText } from "../fake/tally.ts";
import { programCommand, TEST_BINARY } from "../support/binary.ts";
import { randomUint32 } from "../support/temp.ts";
import { planLives } from "./kill_plan.ts";
import { START_MS } from "./kill_victim.ts";
import { type KillReport, killUnderLoad } from "./kills.ts";
import { prepareProgram, prepareServer } from "./prepare.ts";

const KILLS = 200;
/** A progress line after so many. */
const PROGRESS_KILLS = 10;
/** So many wrong contents of a kind are shown. */
const SHOWN = 5;
/** Of a line of the program's log, or of an event. */
const SHOWN_COLUMNS = 160;
/** The last lines of `check` say what it found. */
const CHECK_LINES = 8;

const number = (value: number) => Math.round(value).toLocaleString("en-US");

/** A whole number of the command line, or what stands in for it. */
function wholeNumber(name: string, given: string | undefined, otherwise: number): number {
  if (given === undefined) return otherwise;
  if (/^\d{1,10}$/.test(given)) return Number(given);
  console.error(`--${name} is ${JSON.stringify(given)}; it must be a whole number.`);
  Deno.exit(64);
}

/** The program to test, where no build can change it while it is killed. */
async function pinProgram(folder: string): Promise<void> {
  await prepareProgram();
  const { cmd, kind } = programCommand();
  if (kind !== "compiled") return;
  await Deno.copyFile(cmd, `${folder}/kube-event-pipe`);
  Deno.env.set(TEST_BINARY, `${folder}/kube-event-pipe`);
}

/** Prints what the program said, the same in other numbers once. */
function printSaid(said: string[]): void {
  const kinds = Map.groupBy(
    said,
    (line) =>
      line.replace(/^\S+ /, "").replaceAll(/\S*\/\S*/g, "PATH").replaceAll(/\d[\d.]*/g, "N"),
  );
  const isTrouble = ([kind]: [string, string[]]) => !kind.startsWith("INFO ");
  const trouble = [...kinds].filter(isTrouble);
  const count = trouble.reduce((sum, [, lines]) => sum + lines.length, 0);
  console.log(`The program said, ${number(count)} time(s) as WARNING or worse:`);
  for (const [kind, lines] of [...trouble, ...[...kinds].filter((entry) => !isTrouble(entry))]) {
    console.log(`${number(lines.length).padStart(8)} x ${kind.slice(0, SHOWN_COLUMNS)}`);
  }
}

/** Prints where the wrong lines are. */
function printWrong({ lost, repeated, unexpected, torn }: Tally, report: KillReport): void {
  const files = report.victim.files;
  const shown = new Set([...repeated.slice(0, SHOWN), ...unexpected.slice(0, SHOWN)]);
  for (const content of lost.slice(0, SHOWN)) {
    const time = new Date(report.expected.get(content)!).toISOString();
    console.log(`lost, acknowledged at ${time}: ${content.slice(0, SHOWN_COLUMNS)}`);
  }
  let tornLeft = torn > 0 ? SHOWN : 0;
  for (const path of files) {
    let place = 0;
    for (const line of linesOf(Deno.readTextFileSync(path))) {
      place++;
      const content = contentOfLine(line);
      if (content === null && tornLeft-- > 0) {
        console.log(`torn, ${path}:${place}: ${line.slice(0, SHOWN_COLUMNS)}`);
      }
      if (content === null || !shown.has(content)) continue;
      const what = report.expected.has(content) ? "repeated" : "unexpected";
      console.log(`${what}, ${path}:${place}: ${line.slice(0, SHOWN_COLUMNS)}`);
    }
  }
}

function contentOfLine(line: string): string | null {
  try {
    return contentOf(JSON.parse(line));
  } catch {
    return null;
  }
}

/** Prints all that was found; returns whether all is well. */
function judge(report: KillReport): boolean {
  const { tally, kills, victim, check } = report;
  const firstLines = victim.firstLineMs.toSorted((a, b) => a - b);
  const median = firstLines[Math.floor(firstLines.length / 2)] ?? NaN;
  console.log(
    `\n${number(report.writes)} writes, ${number(report.writesPerSecond)} a second, ` +
      `${number(report.slowestPerSecond)} in the worst 10 s.`,
  );
  console.log(
    `From a start to its first line: median ${number(median)} ms, longest ` +
      `${number(firstLines.at(-1) ?? NaN)} ms, of ${firstLines.length} starts.`,
  );
  printSaid(victim.said);
  for (const end of victim.ownEnds) console.log(`Ended by itself: ${end}`);
  printWrong(tally, report);
  console.log(`check, which ended with status ${check.code}, closes with:`);
  for (const line of check.said.split("\n").slice(-CHECK_LINES)) console.log(`  ${line}`);
  const torn = tally.torn === 0 ? ", 0 torn" : "";
  const rotations = victim.rotated.length;
  console.log(`\n${kills} kills, ${rotations} rotations, ${tallyText(tally)}${torn}`);
  return isExact(tally) && victim.ownEnds.length === 0 && check.code === 0;
}

async function main(folder: string, kills: number, seed: number): Promise<boolean> {
  const [server] = await Promise.all([
    prepareServer(`${folder}/api-server`),
    pinProgram(folder),
  ]);
  if (server === null) throw new Error("There is no torture without an API server.");
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => interrupted.abort(new Error(`Ended by ${signal}.`)));
  }
  try {
    const next = randomUint32(seed);
    const startMs = START_MS[programCommand().kind];
    const lives = planLives(kills, () => next() / 2 ** 32, { startMs, patient: true });
    const began = performance.now();
    const report = await killUnderLoad(server, {
      folder,
      namespace: `torture-${seed}`,
      lives,
      signal: interrupted.signal,
      onLife: (done, { rotations, writes }) => {
        if (done % PROGRESS_KILLS > 0) return;
        const seconds = number((performance.now() - began) / 1000);
        console.log(
          `${seconds} s: ${done} kills, ${rotations} rotations, ${number(writes)} writes`,
        );
      },
    });
    const isWell = judge(report);
    if (!isWell) {
      const acknowledged = Array.from(report.expected, ([content, ms]) => `${ms} ${content}\n`);
      await Deno.writeTextFile(`${folder}/acknowledged`, acknowledged.join(""));
    }
    return isWell;
  } finally {
    await server.stop();
  }
}

const { values } = parseArgs({
  options: { kills: { type: "string" }, seed: { type: "string" } },
});
const kills = wholeNumber("kills", values.kills, KILLS);
const seed = wholeNumber("seed", values.seed, crypto.getRandomValues(new Uint32Array(1))[0]!);
console.log(`${kills} kills, seed ${seed} (repeat with --kills=${kills} --seed=${seed})`);
const folder = await Deno.makeTempDir({ prefix: "kube-event-pipe-torture-" });
let isWell = false;
try {
  isWell = await main(folder, kills, seed);
} catch (error) {
  console.log(error instanceof Error ? error.message : error);
}
if (isWell) await Deno.remove(folder, { recursive: true });
else {
  console.log(`FAILED. Its files are in ${folder}: program.log is what the program said.`);
  console.log(`Repeat it with: deno task torture --kills=${kills} --seed=${seed}`);
}
Deno.exit(isWell ? 0 : 1);
