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

/** What was seen of a process over a while. */
interface Seen {
  percent: number;
  rssMb: number;
  anonMb: number;
}

/** Watches the program over a while, from when it has written the LIST. */
async function seen(rig: Rig, feed: string, seconds: number): Promise<Seen> {
  const folder = rig.newFolder();
  const child = rig.program(await rig.feeder("https").url(feed), folder);
  await fileReaches(`${folder}/events.jsonl`, lineBytes(10));
  const percent = await percentOf(child, seconds);
  const { rssMb, anonMb } = child.usage;
  await child.stop();
  return { percent, rssMb, anonMb };
}

/** The same stream through a program that understands nothing of it. */
async function barePercent(rig: Rig, bare: string, feed: string, seconds: number): Promise<number> {
  const url = await rig.feeder("https").url(feed);
  const file = `${rig.newFolder()}/copied`;
  const child = new Child(bare, [`${url}/api/v1/events?watch=1`, rig.caFile, file]);
  await fileReaches(file, 1000);
  const percent = await percentOf(child, seconds);
  await child.stop();
  return percent;
}

function memoryRow(name: string, all: Seen[], emptyMb: number | null, maxMb?: number): Row {
  const rssMb = median(all.map((one) => one.rssMb));
  const anonMb = median(all.map((one) => one.anonMb));
  return {
    what: `${name}: RSS`,
    figure: `${rssMb.toFixed(1)} MB (${anonMb.toFixed(1)} MB of it anonymous)`,
    ...(emptyMb !== null && {
      reference: `empty compiled program ${emptyMb.toFixed(1)} MB`,
      ...(maxMb !== undefined &&
        { target: `<= ${maxMb} MB above it`, isMet: rssMb - emptyMb <= maxMb }),
    }),
  };
}

/** Memory and CPU time over a while, without events. All rounds at once: they do nothing. */
export async function idle(rig: Rig, rounds: number, seconds: number): Promise<Row[]> {
  const emptyMb = await emptyProgramMb(rig);
  const all = await Promise.all(
    Array.from({ length: rounds }, () => seen(rig, "list=10,watch=0,rate=0", seconds)),
  );
  const percent = median(all.map((one) => one.percent));
  return [{
    what: `idle: CPU over ${seconds} s, of one core`,
    figure: `${percent.toFixed(2)} %`,
    target: "<= 0.1 %",
    isMet: percent <= 0.1,
  }, memoryRow("idle", all, emptyMb, 35)];
}

/** The same with 100 events a second, beside programs that only copy the stream, for a third of it. */
export async function trickle(rig: Rig, rounds: number, seconds: number): Promise<Row[]> {
  const emptyMb = await emptyProgramMb(rig);
  const here = new URL(".", import.meta.url).pathname;
  const relay = await compileBare(rig, `${here}relay.ts`, `${here}relay_reader.ts`);
  const alone = await compileBare(rig, `${here}alone.ts`);
  const feed = "list=10,watch=100000,rate=100";
  const ours: Seen[] = [];
  const bare: { relay: number[]; alone: number[] } = { relay: [], alone: [] };
  for (let round = 0; round < rounds; round++) {
    ours.push(await seen(rig, feed, seconds));
    if (relay !== null) bare.relay.push(await barePercent(rig, relay, feed, seconds / 3));
    if (alone !== null) bare.alone.push(await barePercent(rig, alone, feed, seconds / 3));
  }
  const percent = median(ours.map((one) => one.percent));
  const what = `100 events/s: CPU over ${seconds} s, of one core`;
  const against = (name: string, theirs: number) => ({
    reference: `${name} ${theirs.toFixed(2)} %`,
    ratio: percent / theirs,
  });
  const figure = `${percent.toFixed(2)} %`;
  return [
    {
      what,
      figure,
      ...(relay !== null && against("two bare isolates", median(bare.relay))),
      target: "<= 1.5 %",
      isMet: percent <= 1.5,
    },
    ...(alone === null
      ? []
      : [{ what, figure, ...against("one bare isolate", median(bare.alone)) }]),
    memoryRow("100 events/s", ours, emptyMb),
  ];
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
