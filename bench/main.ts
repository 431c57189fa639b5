/**
 * `deno task bench [PART]... [--quick]`: how fast, how small, how late, each against a reference
 * that ran beside it; a table on stdout and in bench/RESULTS.md.
 *
 * - The stream comes from bench/feeder.ts, a process of its own that sends events of 1.2 KB as a
 *   kube-apiserver prints them. The **raw copy**, `curl > FILE` of the same answers, shows what
 *   network and file system cost by themselves, and that the feeder is not the limit.
 * - The program is the compiled one (`deno task build` is run first), with its defaults: TLS or not
 *   as said, identity, ring, syncs and checkpoints on, its files on the disk of this tree.
 * - In each round all that is compared takes its turn, so that a busy machine slows all of it;
 *   figures are medians of the rounds. Ratios can be compared between machines, figures cannot.
 * - Memory for the page cache is at hand when a run of throughput, syncs or memory begins
 *   (bench/page_cache.ts).
 * - Times run from the first request to the last byte in the file; CPU time and memory are those of
 *   /proc, so this needs Linux.
 *
 * Parts: throughput, syncs, memory, start, latency, idle, trickle, restart, limits, sizing, binary, micro.
 * RESULTS.md keeps what other parts said before.
 */

import { cpus, release, totalmem } from "node:os";
import { prepareProgram } from "../tests/real/prepare.ts";
import { latency } from "./latency.ts";
import { limits } from "./limits.ts";
import { binary, memory } from "./memory.ts";
import { micro } from "./micro.ts";
import { idle, restart, start, trickle } from "./quiet.ts";
import { type Row, table } from "./report.ts";
import { Rig } from "./rig.ts";
import { sizing } from "./sizing.ts";
import { syncs, throughput } from "./throughput.ts";

const root = new URL("../", import.meta.url);
const RESULTS = new URL("RESULTS.md", import.meta.url);

type Part = (rig: Rig, isQuick: boolean) => Row[] | Promise<Row[]>;

const FULL = { rounds: 5, events: 1_000_000, naiveEvents: 200_000 };
const QUICK = { rounds: 3, events: 100_000, naiveEvents: 20_000 };

/** In the order in which they run. */
const PARTS: Readonly<Record<string, Part>> = {
  throughput: (rig, isQuick) => throughput(rig, isQuick ? QUICK : FULL),
  syncs: (rig, isQuick) => syncs(rig, isQuick ? QUICK : FULL),
  memory: (rig, isQuick) =>
    memory(rig, isQuick ? 1 : 5, isQuick ? [100_000, 300_000] : [100_000, 300_000, 3_000_000]),
  start: (rig, isQuick) => start(rig, isQuick ? 3 : 11),
  latency: (rig, isQuick) => latency(rig, isQuick ? 1 : 5, isQuick ? 100 : 500),
  idle: (rig, isQuick) => idle(rig, isQuick ? 1 : 5, isQuick ? 10 : 60),
  trickle: (rig, isQuick) => trickle(rig, isQuick ? 1 : 5, isQuick ? 10 : 60),
  restart: (rig, isQuick) => restart(rig, 100_000, isQuick ? 1 : 5),
  limits: (rig, isQuick) => limits(rig, isQuick ? 50_000 : 500_000),
  sizing: () => sizing(),
  binary: () => binary(),
  micro: (rig) => micro(rig),
};

/** The kind of disk that a folder is on: its file system, and whether it turns. */
function diskOf(folder: string): string {
  const { stdout } = new Deno.Command("stat", { args: ["-f", "-c", "%T", folder] }).outputSync();
  return new TextDecoder().decode(stdout).trim();
}

function machine(folder: string): string {
  const [first, ...others] = cpus();
  return `${others.length + 1} cores (${first?.model.trim()}), ${
    Math.round(totalmem() / 2 ** 30)
  } GiB, Linux ${release()}, ${diskOf(folder)}, Deno ${Deno.version.deno}`;
}

/** A part's section of RESULTS.md. */
function section(name: string, facts: string, rows: Row[]): string {
  return `## ${name}\n\n${facts}\n\n${table(rows)}\n`;
}

/** Puts the section into RESULTS.md in place of the part's last one. */
function keep(name: string, text: string): void {
  const sections = new Map<string, string>();
  try {
    for (const old of Deno.readTextFileSync(RESULTS).split(/^(?=## )/m).slice(1)) {
      sections.set(/^## (\S+)/.exec(old)![1]!, old.trimEnd() + "\n");
    }
  } catch {
    // The first ones.
  }
  sections.set(name, text);
  const ordered = Object.keys(PARTS).flatMap((part) => sections.get(part) ?? []);
  const head = "# Results\n\nWritten by `deno task bench`; bench/main.ts says how.\n";
  Deno.writeTextFileSync(RESULTS, [head, ...ordered].join("\n"));
}

async function main(): Promise<number> {
  const isQuick = Deno.args.includes("--quick");
  const names = Deno.args.filter((arg) => arg !== "--quick");
  const unknown = names.filter((name) => !(name in PARTS));
  if (unknown.length > 0) {
    console.error(`No part ${unknown.join(", ")}. There are: ${Object.keys(PARTS).join(", ")}.`);
    return 64;
  }
  await prepareProgram();
  // Not in /tmp, which may be memory.
  const parent = new URL(".cache/", root).pathname;
  Deno.mkdirSync(parent, { recursive: true });
  const folder = Deno.makeTempDirSync({ dir: parent, prefix: "bench-" });
  const rig = await Rig.start(folder);
  try {
    for (const name of names.length > 0 ? names : Object.keys(PARTS)) {
      const rows = await PARTS[name]!(rig, isQuick);
      const day = new Date().toISOString().slice(0, 10);
      const facts = `${day}, ${machine(folder)}${isQuick ? ", --quick" : ""}`;
      const text = section(name, facts, rows);
      console.log(`\n${text}`);
      keep(name, text);
    }
  } finally {
    await rig.stop();
    Deno.removeSync(folder, { recursive: true });
  }
  return 0;
}

Deno.exit(await main());
