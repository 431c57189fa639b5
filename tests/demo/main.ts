/**
 * `deno task demo`: the real program against an API server, under a load of all kinds of writes,
 * with a restart, a kill -9 and a rotation in the middle, and a tally at the end.
 */

import { contentOf } from "../fake/content.ts";
import type { JsonObject } from "../fake/event.ts";
import { isExact, linesOf, tally, tallyText } from "../fake/tally.ts";
import { Program } from "../support/program.ts";
import { programCommand } from "../support/binary.ts";
import { until } from "../support/temp.ts";
import { startDemoCluster } from "./cluster.ts";
import { Workload } from "./workload.ts";

const OCCURRENCES = 5_000;

const folder = await Deno.makeTempDir({ prefix: "kube-event-pipe-demo-" });
const state = `${folder}/state`;
const output = `${folder}/events.jsonl`;
await Deno.mkdir(state);

console.log("Starting an API server ...");
const cluster = await startDemoCluster(folder);
console.log(`It is ${cluster.name}. The program runs as ${programCommand().kind}.\n`);

let program = start();
let exact = false;
try {
  await program.says("Connected to");
  const workload = new Workload(cluster.writer, OCCURRENCES);
  const writing = workload.run(showProgress);
  const written = (part: number) =>
    until(
      `${100 * part} % are written`,
      () => workload.occurrences.size >= part * OCCURRENCES,
      60_000,
    );
  await written(0.2);
  await showLines();
  say("Restarting the program (SIGTERM, then a new process) ...");
  await program.stop();
  program = start();
  await program.says("Connected to");
  await written(0.4);
  say("Killing the program (kill -9, then a new process) ...");
  await program.kill();
  program = start();
  await program.says("Connected to");
  await written(0.6);
  say("Rotating its output (rename, then SIGHUP) ...");
  await Deno.rename(output, `${output}.1`);
  program.signal("SIGHUP");
  await writing;
  await settled(workload);
  await program.stop();
  const result = tally(
    linesOf(...await files()).filter(isOfTheDemo),
    [...workload.occurrences].map(asContent),
  );
  exact = isExact(result);
  for (const kind of ["lost", "repeated", "unexpected"] as const) {
    for (const content of result[kind].slice(0, 5)) console.log(`${kind}: ${content}`);
  }
  console.log(`\n\n${tallyText(result)}`);
} catch (error) {
  console.log(`\n\n${(error as Error).message}\nThe program's log:\n${program.stderr}`);
} finally {
  await program.kill();
  await cluster.stop();
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(exact ? 0 : 1);

function start(): Program {
  return Program.start({
    args: [
      "--kubeconfig",
      cluster.kubeconfig,
      "--destination",
      output,
      "--persistence-path",
      state,
    ],
  });
}

/** All files of the destination, the one rotated out first. */
async function files(): Promise<string[]> {
  const texts: string[] = [];
  for (const path of [`${output}.1`, output]) {
    texts.push(await Deno.readTextFile(path).catch(() => ""));
  }
  return texts;
}

/** What was written last needs a moment; more than that means that it is lost. */
async function settled(workload: Workload): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    const lines = (await files()).join("").split("\n").length - 1;
    if (lines >= workload.occurrences.size) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A kube-apiserver sometimes writes an event of its own (ipallocator-repair-controller). */
function isOfTheDemo(line: string): boolean {
  return !line.includes('"metadata":{"name":"kubernetes.');
}

async function showLines(): Promise<void> {
  await until("there are some lines", async () => (await files())[1]!.split("\n").length > 3);
  say("Some of the lines:");
  for (const line of (await files())[1]!.split("\n").slice(0, 3)) {
    console.log(`  ${line.slice(0, 150)} ...`);
  }
}

function say(text: string): void {
  console.log(Deno.stdout.isTerminal() ? `\r${" ".repeat(70)}\r${text}` : text);
}

function showProgress(done: number): void {
  const width = 40;
  const filled = Math.round(width * done / OCCURRENCES);
  const bar = "#".repeat(filled) + ".".repeat(width - filled);
  const text = `[${bar}] ${done.toLocaleString("en-US")} occurrences`;
  if (Deno.stdout.isTerminal()) Deno.stdout.writeSync(new TextEncoder().encode(`\r${text}`));
  else if (done % 1000 === 0) console.log(text);
}

function asContent(text: string): string {
  return contentOf(JSON.parse(text) as JsonObject);
}
