/** Events a second and CPU time an event: the raw copy, the program, the naive exporter. */

import { median, type Row, whole } from "./report.ts";
import type { Load, Rig, Run, Transport } from "./rig.ts";

/** How much of it. */
export interface Extent {
  rounds: number;
  events: number;
  /** The naive exporter gets fewer: it would take most of the time. */
  naiveEvents: number;
}

const rate = (runs: Run[], events: number) => 1000 * events / median(runs.map((r) => r.elapsedMs));
const cpu = (runs: Run[], events: number) =>
  median(runs.map(({ cpuMs }) => cpuMs)) / 1000 / (events / 1e6);

/** A WATCH and a LIST, over plain HTTP and TLS; in each round all of them take turns. */
export async function throughput(rig: Rig, extent: Extent): Promise<Row[]> {
  const rows: Row[] = [];
  for (const transport of ["http", "https"] as const) {
    for (const verb of ["watch", "list"] as const) {
      rows.push(...await compare(rig, transport, { verb, events: extent.events }, extent));
    }
  }
  return rows;
}

async function compare(
  rig: Rig,
  transport: Transport,
  load: Load,
  { rounds, naiveEvents }: Extent,
): Promise<Row[]> {
  const runs: Record<"copy" | "program" | "naive", Run[]> = { copy: [], program: [], naive: [] };
  for (let round = 0; round < rounds; round++) {
    runs.copy.push(await rig.copy(transport, load));
    runs.program.push(await rig.write(transport, load));
    if (load.verb === "watch") {
      runs.naive.push(await rig.naive(transport, { ...load, events: naiveEvents }));
    }
  }
  const name = `${load.verb.toUpperCase()} over ${transport}`;
  const copied = rate(runs.copy, load.events);
  const written = rate(runs.program, load.events);
  const rows: Row[] = [{
    what: `${name}: events/s`,
    figure: whole(written),
    reference: `raw copy ${whole(copied)}`,
    ratio: written / copied,
    target: ">= 0.5",
    isMet: written / copied >= 0.5,
  }, {
    what: `${name}: CPU s per million events`,
    figure: cpu(runs.program, load.events).toFixed(1),
    reference: `raw copy ${cpu(runs.copy, load.events).toFixed(1)}`,
    ratio: cpu(runs.program, load.events) / cpu(runs.copy, load.events),
  }];
  if (load.verb === "list") return rows;
  const naive = rate(runs.naive, naiveEvents);
  return [...rows, {
    what: `${name}: against the naive exporter, events/s`,
    figure: whole(written),
    reference: `naive ${whole(naive)}`,
    ratio: written / naive,
    target: ">= 5",
    isMet: written / naive >= 5,
  }, {
    what: `${name}: against the naive exporter, CPU s per million events`,
    figure: cpu(runs.program, load.events).toFixed(1),
    reference: `naive ${cpu(runs.naive, naiveEvents).toFixed(1)}`,
    ratio: cpu(runs.program, load.events) / cpu(runs.naive, naiveEvents),
  }];
}

/** What the syncs cost: the same WATCH with the longest interval. */
export async function syncs(rig: Rig, { rounds, events }: Extent): Promise<Row[]> {
  const load: Load = { verb: "watch", events };
  const often: Run[] = [];
  const seldom: Run[] = [];
  for (let round = 0; round < rounds; round++) {
    seldom.push(await rig.write("http", load, { args: ["--sync-interval-ms", "60000"] }));
    often.push(await rig.write("http", load));
  }
  const ratio = rate(often, events) / rate(seldom, events);
  return [{
    what: "a sync each 100 ms: events/s",
    figure: whole(rate(often, events)),
    reference: `each 60 s: ${whole(rate(seldom, events))}`,
    ratio,
    target: ">= 0.9",
    isMet: ratio >= 0.9,
  }];
}
