/** The script of a run, made from its seed: the data, what operators do, and the settings. */

import type { RecorderSettings } from "../../lib/recorder.ts";
import { FAMILIES, QUIET } from "./families.ts";
import { type History, makeHistory } from "./history.ts";
import { Random } from "./random.ts";

/** Folder of the state. */
export const STATE = "/state";
/** Folder of the destinations. */
export const OUT = "/out";

/** What somebody does to the files, the machine or the process. */
export type Deed =
  /** Renames the destination; then makes a new one, as logrotate's `create` does; then SIGHUP. */
  | { atMs: number; kind: "rotate"; creates: boolean; hangupMs: number | null }
  | { atMs: number; kind: "delete"; creates: boolean; hangupMs: number | null }
  | { atMs: number; kind: "hangup" }
  | { atMs: number; kind: "step-clock"; byMs: number }
  /**
   * The watch breaks. It resumes; or, after so many failures at its version that this may be the
   * cause, it goes on at the version of a LIST (VERSION_FAILURES_MAX and others in lib/limits.ts).
   */
  | { atMs: number; kind: "disconnect"; leavesVersion?: boolean }
  /** No room on the disk but so many bytes, for a while. */
  | { atMs: number; kind: "full"; freeBytes: number; forMs: number }
  | { atMs: number; kind: "end"; how: "stop" | "kill" | "power loss" };

/** See the head of this file. */
export interface Scenario {
  seed: number;
  history: History;
  deeds: Deed[];
  settings: RecorderSettings;
  /** Between the end of a life and the next one, ms, one after another. */
  pausesMs: number[];
  /** Destinations of the lives, one after another. */
  destinations: string[];
  /** How long the script goes, ms. */
  untilMs: number;
}

/**
 * The scenario of a seed. Half of them are general ones, where anything may meet anything; the
 * others belong to the families of families.ts, in turn.
 */
export function makeScenario(seed: number): Scenario {
  const general = makeGeneral(seed);
  const family = FAMILIES[seed % (2 * FAMILIES.length)];
  if (family === undefined) return general;
  const special = family(new Random(seed, 6));
  return {
    ...general,
    ...special,
    settings: { ...general.settings, ...QUIET, ...special.settings },
    destinations: [general.settings.destination],
  };
}

function makeGeneral(seed: number): Scenario {
  const random = new Random(seed, 1);
  // Some are long enough for checkpoints and LISTs that come each 10 s.
  const untilMs = random.chance(0.15) ? random.integer(11, 20) * 1000 : random.integer(2, 6) * 1000;
  const kind = random.next();
  const rewinds = kind > 0.85;
  const history = makeHistory(new Random(seed, 2), {
    untilMs,
    writes: random.integer(5, 22),
    compacts: kind < 0.25,
    rewinds,
  });
  // What a restored backup shows again the ring may have forgotten: only a ring that forgets
  // nothing can promise not to repeat it.
  const forgets = !rewinds;
  const destination = `${OUT}/events.jsonl`;
  return {
    seed,
    history,
    deeds: makeDeeds(random, untilMs),
    settings: {
      destination,
      persistencePath: STATE,
      filterCapacity: forgets ? random.pick([2, 3, 5, 8, 13, 40]) : 40,
      filterErrorRate: 1e-9,
      batchCount: forgets ? random.integer(1, 3) : 50,
      batchDurationSec: random.pick([1, 2, 4, 9, 3600]),
      identity: "content",
      syncIntervalMs: random.pick([20, 100, 300]),
    },
    pausesMs: Array.from({ length: 6 }, () => {
      return random.chance(0.2) ? random.between(2000, 9000) : random.between(0, 600);
    }),
    destinations: Array.from({ length: 6 }, () => {
      return random.chance(0.1) ? `${OUT}/other.jsonl` : destination;
    }),
    untilMs,
  };
}

function makeDeeds(random: Random, untilMs: number): Deed[] {
  const deeds: Deed[] = [];
  const some = (most: number, make: (atMs: number) => Deed) => {
    const count = random.integer(0, most);
    for (let n = 0; n < count; n++) deeds.push(make(random.between(200, untilMs)));
  };
  const later = () => random.chance(0.75) ? random.between(0, 1500) : null;
  some(2, (atMs) => ({ atMs, kind: "rotate", creates: random.chance(0.3), hangupMs: later() }));
  if (random.chance(0.4)) {
    some(1, (atMs) => ({ atMs, kind: "delete", creates: random.chance(0.3), hangupMs: later() }));
  }
  // Without a rotation SIGHUP makes a checkpoint: many of them meet lines that come meanwhile.
  some(6, (atMs) => ({ atMs, kind: "hangup" }));
  some(2, (atMs) => ({ atMs, kind: "disconnect" }));
  if (random.chance(0.3)) {
    const byMs = random.pick([-3_600_000, -5000, 5000, 3_600_000, 86_400_000 * 400]);
    some(2, (atMs) => ({ atMs, kind: "step-clock", byMs }));
  }
  if (random.chance(0.3)) {
    const freeBytes = random.integer(0, 3000);
    const forMs = random.between(300, 4000);
    some(1, (atMs) => ({ atMs, kind: "full", freeBytes, forMs }));
  }
  if (random.chance(0.5)) {
    const how = random.pick(["stop", "kill", "power loss"] as const);
    some(1, (atMs) => ({ atMs, kind: "end", how }));
  }
  return deeds.sort((a, b) => a.atMs - b.atMs);
}
