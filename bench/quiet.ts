/** Starts, idling, a steady trickle, and restarts. */

import { lineBytes } from "./feed.ts";
import { compileBare, emptyProgramMb } from "./bare.ts";
import { Child, clockMs, exactCpuMs, fileReaches, sleep } from "./process.ts";
import { median, type Row } from "./report.ts";
import type { Rig } from "./rig.ts";

/** What a start costs is measured by itself. */
const SETTLE_MS = 10_000;

/** From the start of the process to its first line. */
export async function start(rig: Rig, rounds: number): Promise<Row[]> {
  const ms: number[] = [];
  const ends: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const folder = rig.newFolder();
    const url = await rig.feeder("https").url("list=10,watch=0", "list");
    const began = clockMs();
    const child = rig.program(url, folder);
    ms.push(await fileReaches(`${folder}/events.jsonl`, 1) - began);
    await child.stop();
    // The same machine, the same load: a process that only says its version.
    const before = clockMs();
    const version = rig.program(url, folder, ["--version"]);
    await version.stop("SIGCONT");
    ends.push(clockMs() - before);
  }
  return [{
    what: "start to first line (TLS)",
    figure: `${median(ms).toFixed(0)} ms`,
    reference: `\`--version\` ${median(ends).toFixed(0)} ms`,
    ratio: median(ms) / median(ends),
    target: "<= 150 ms",
    isMet: median(ms) <= 150,
  }];
}

/** CPU time over a while, of one core. */
async function percentOf(child: Child, seconds: number): Promise<number> {
  await sleep(SETTLE_MS);
  const beforeMs = exactCpuMs(child.pid);
  await sleep(1000 * seconds);
  return (exactCpuMs(child.pid) - beforeMs) / (10 * seconds);
}

/** Two isolates that do nothing with the same stream; null where they cannot be compiled. */
async function relayPercent(rig: Rig, feed: string, seconds: number): Promise<number | null> {
  const here = new URL(".", import.meta.url).pathname;
  const relay = await compileBare(rig, `${here}relay.ts`, `${here}relay_reader.ts`);
  if (relay === null) return null;
  const url = await rig.feeder("https").url(feed);
  const file = `${rig.newFolder()}/relayed`;
  const child = new Child(relay, [`${url}/api/v1/events?watch=1`, rig.caFile, file]);
  await fileReaches(file, 1000);
  const percent = await percentOf(child, seconds);
  await child.stop();
  return percent;
}

/** Memory and CPU time over a while, without events and with 100 a second. */
export async function quiet(rig: Rig, seconds: number): Promise<Row[]> {
  const empty = await emptyProgramMb(rig);
  const rows: Row[] = [];
  for (const [rate, cpuMax] of [[0, 0.1], [100, 1.5]] as const) {
    const folder = rig.newFolder();
    const feed = `list=10,watch=${100_000 * Math.sign(rate)},rate=${rate}`;
    const child = rig.program(await rig.feeder("https").url(feed), folder);
    await fileReaches(`${folder}/events.jsonl`, lineBytes(10));
    const percent = await percentOf(child, seconds);
    const after = child.usage;
    await child.stop();
    const relay = rate === 0 ? null : await relayPercent(rig, feed, seconds);
    const name = rate === 0 ? "idle" : `${rate} events/s`;
    rows.push({
      what: `${name}: CPU over ${seconds} s, of one core`,
      figure: `${percent.toFixed(2)} %`,
      ...(relay !== null && {
        reference: `two bare isolates ${relay.toFixed(2)} %`,
        ratio: percent / relay,
      }),
      target: `<= ${cpuMax} %`,
      isMet: percent <= cpuMax,
    });
    rows.push({
      what: `${name}: RSS`,
      figure: `${after.rssMb.toFixed(1)} MB (${after.anonMb.toFixed(1)} MB of it anonymous)`,
      ...(empty !== null && {
        reference: `empty compiled program ${empty.toFixed(1)} MB`,
        ...(rate === 0 && { target: "<= 35 MB above it", isMet: after.rssMb - empty <= 35 }),
      }),
    });
  }
  return rows;
}

/** CPU time of a start that knows many events, by resuming and by LIST, against an empty one. */
export async function restart(rig: Rig, events: number, rounds: number): Promise<Row[]> {
  const feeder = rig.feeder("https");
  const url = await feeder.url(`list=${events},watch=10`, "list");
  const cpu: Record<"empty" | "resume" | "list", number[]> = { empty: [], resume: [], list: [] };
  for (let round = 0; round < rounds; round++) {
    const folder = rig.newFolder();
    const first = rig.program(url, folder);
    await fileReaches(`${folder}/events.jsonl`, lineBytes(events + 10));
    await first.stop();
    const measure = async (folder: string, server: string, until: string) => {
      const child = rig.program(server, folder);
      await child.says(until);
      await sleep(1000);
      const { cpuMs } = child.usage;
      await child.stop();
      return cpuMs;
    };
    cpu.resume.push(await measure(folder, url, "WATCH /api"));
    // Another server knows no position of this one: only a LIST tells what it holds.
    const other = await feeder.url(`list=${events},watch=10,rate=0`, "list");
    cpu.list.push(await measure(folder, other, "page(s)"));
    cpu.empty.push(
      await measure(rig.newFolder(), await feeder.url("list=0,watch=0", "list"), "page(s)"),
    );
    Deno.removeSync(folder, { recursive: true });
  }
  const empty = median(cpu.empty);
  return [["by resuming", "resume", 100], ["by LIST", "list", 1000]].map(([how, key, max]) => {
    const more = median(cpu[key as "resume" | "list"]) - empty;
    return {
      what: `restart with ${events.toLocaleString("en-US")} known events, ${how}: CPU`,
      figure: `${more.toFixed(0)} ms more`,
      reference: `empty start ${empty.toFixed(0)} ms`,
      target: `<= ${max} ms more`,
      isMet: more <= Number(max),
    };
  });
}
