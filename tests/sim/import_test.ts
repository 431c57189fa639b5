/**
 * `import` on the false disk, crashed at each of its calls that change something: by kill -9, after
 * which the cache shows all, and by power loss, which takes what was not synced.
 */

import { assert, assertEquals } from "@std/assert";
import { importLines, type ImportReport } from "../../lib/import.ts";
import { LineKeys } from "../../lib/line_keys.ts";
import { Ring } from "../../lib/ring.ts";
import { sampleEvent } from "../support/rig.ts";
import { testSeed } from "../support/temp.ts";
import { SimClock } from "./clock.ts";
import { SimDisk } from "./disk.ts";
import { Faults } from "./faults.ts";
import { type Keeper, LifeIo } from "./life_io.ts";
import { Random } from "./random.ts";

const STATE = "/state";
const FILES = ["/old/a.jsonl", "/old/b.jsonl"];
const RING = {
  filterCapacity: 30,
  filterErrorRate: 1e-9,
  batchCount: 3,
  batchDurationSec: 3600,
  identity: "content" as const,
};

/** The process that runs on a disk, with a clock that goes on by itself. */
class Life {
  readonly io: LifeIo;
  readonly clock = new SimClock();

  constructor(disk: SimDisk, random: Random, keeper: Keeper | null = null) {
    const outside = { disk, clock: this.clock, random, faults: new Faults({}), keeper };
    this.io = new LifeIo(outside, () => {}, () => 0);
  }

  /** Runs an import to its end. */
  async import(files = FILES): Promise<ImportReport> {
    let isOver = false;
    const options = { persistencePath: STATE, ...RING, files, json: true };
    const result = importLines(this.io, options, 1).finally(() => isOver = true);
    while (!isOver) {
      if (this.clock.nextMs < Infinity) this.clock.advance();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return JSON.parse((await result).text);
  }

  /** Which of the events the ring knows, by their numbers. */
  known(): Set<number> {
    const ring = Ring.open(this.io, { ...RING, folder: STATE });
    try {
      return new Set(numbers().filter((n) => ring.knows(keysOf(sampleEvent(n)), 0)));
    } finally {
      ring.release();
    }
  }
}

const numbers = () => Array.from({ length: 100 }, (_, n) => n);

function keysOf(line: string): Uint32Array {
  const keys = new LineKeys();
  const bytes = new TextEncoder().encode(line);
  assertEquals(keys.read(bytes, 0, bytes.length), "event");
  return keys.lanes.slice();
}

/** Two files whose lines another program has just written; nobody synced them. */
function freshDisk(): SimDisk {
  const disk = new SimDisk([STATE, "/old"]);
  for (const [index, path] of FILES.entries()) {
    const lines = numbers().slice(50 * index, 50 * index + 50).map((n) => `${sampleEvent(n)}\n`);
    disk.create(path, 0).write(new TextEncoder().encode(lines.join("")), 0);
  }
  disk.syncFolder("/old");
  return disk;
}

/** Which events have a whole line, by their numbers. */
function lines(disk: SimDisk): Set<number> {
  const all = new Set(FILES.flatMap((path) => {
    const text = new TextDecoder().decode(disk.names.get(path)!.content());
    return text.split("\n").slice(0, -1); // What has no newline is no whole line.
  }));
  return new Set(numbers().filter((n) => all.has(sampleEvent(n))));
}

for (const state of ["an empty state folder", "a state that stands since a clean stop"]) {
  Deno.test(`import into ${state}, crashed at each of its calls: no key is left without its line, and another run completes it`, async () => {
    const seed = testSeed();
    const random = new Random(seed);
    const disk = freshDisk();
    if (!state.includes("empty")) await new Life(disk, random).import(FILES.slice(0, 1));
    const kept: { disk: SimDisk; change: number }[] = [];
    const keeper: Keeper = {
      momentOf: () => random.pick(["before", "middle", "after"] as const),
      keep: (change) => kept.push({ disk: disk.copy(), change }),
    };
    const report = await new Life(disk, random, keeper).import();
    assertEquals(report.added + report.known, 100);
    assert(kept.length > 25, `only ${kept.length} crashes`);
    kept.push({ disk: disk.copy(), change: Infinity }); // What it said is durable.
    for (const power of [false, true]) {
      for (const { disk: from, change } of kept) {
        const crashed = from.copy();
        if (power) crashed.losePower(random);
        else crashed.kill();
        const where = `change ${change}, ${power ? "power loss" : "kill"}, seed ${seed}`;
        const durable = lines(crashed);
        const known = new Life(crashed.copy(), random).known();
        assertEquals([...known].filter((n) => !durable.has(n)), [], where);
        if (change === Infinity) assertEquals(known.size, 100, where);
        const again = await new Life(crashed, random).import();
        assertEquals(again.added + again.known, durable.size, where);
        crashed.losePower(random);
        assertEquals(new Life(crashed, random).known(), durable, where);
      }
    }
  });
}
