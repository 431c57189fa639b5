/**
 * Families of scenarios: small worlds, each made for one kind of hole, in which the interleaving
 * that shows it comes in many runs and not once in thousands.
 */

import type { RecorderSettings } from "../../lib/recorder.ts";
import { tellHistory, type Write } from "./history.ts";
import type { Random } from "./random.ts";
import type { Deed, Scenario } from "./scenario.ts";

/** What a family says of a scenario; where it is silent on settings, {@linkcode QUIET} holds. */
export interface Special extends Pick<Scenario, "history" | "deeds" | "pausesMs" | "untilMs"> {
  settings: Partial<RecorderSettings>;
}

/** Settings with which the ring forgets nothing. */
export const QUIET = { filterCapacity: 100, batchCount: 3, batchDurationSec: 3600 };

/** The checker demands what comes from here on, ms: SETTLED_MS after the first line, and a margin. */
const WATCHED_MS = 4_700;
/** Lives of a run, those after planned crashes not counted. */
const LIVES = 6;

/** All families. */
export const FAMILIES: readonly ((random: Random) => Special)[] = [
  checkpointsAmongLines,
  hangupsDuringSyncs,
  longLinesAtPowerLoss,
  smallRingAndLaggingWatch,
  versionLeftBehind,
  rotationsBeforeCrashes,
];

/**
 * Lines come while the checkpoint of CHECKPOINT_MS syncs the file, and then the power goes: the
 * checkpoint must not tell of them. Each event is soon overwritten, so that no LIST mends a loss.
 */
function checkpointsAmongLines(random: Random): Special {
  const writes: Write[] = [{ atMs: 0, name: "pod-1.1" }];
  const deeds: Deed[] = [];
  const pausesMs: number[] = [];
  let startMs = 0;
  for (let life = 0; life < 3; life++) {
    const endMs = startMs + random.between(10_300, 12_300);
    writes.push(...overwrites(random, startMs + 9_500, endMs, 80));
    deeds.push({ atMs: endMs, kind: "end", how: "power loss" });
    pausesMs.push(random.between(0, 300));
    startMs = endMs + pausesMs.at(-1)!;
  }
  return {
    history: tellHistory(random, writes),
    deeds,
    settings: { syncIntervalMs: random.pick([300, 1000]) },
    pausesMs,
    untilMs: startMs + 1000,
  };
}

/**
 * SIGHUP comes during a sync, so lines wait at the gate while a checkpoint is written; then the
 * process or the machine dies.
 */
function hangupsDuringSyncs(random: Random): Special {
  const deeds: Deed[] = [];
  let endMs = WATCHED_MS;
  for (let life = 1; life < LIVES; life++) {
    endMs += random.between(1200, 2200);
    for (let hangup = 0; hangup < 5; hangup++) {
      deeds.push({ atMs: endMs - random.between(20, 600), kind: "hangup" });
    }
    deeds.push({ atMs: endMs, kind: "end", how: random.pick(["kill", "power loss"]) });
  }
  const writes = overwrites(random, WATCHED_MS, endMs, 80);
  return {
    history: tellHistory(random, [{ atMs: 0, name: "pod-1.1" }, ...writes]),
    deeds: deeds.sort((a, b) => a.atMs - b.atMs),
    settings: { syncIntervalMs: random.pick([20, 100]) },
    pausesMs: Array.from({ length: LIVES }, () => random.between(0, 200)),
    untilMs: endMs + 1000,
  };
}

/** Lines longer than a sector, of which a power loss leaves some sectors and not others. */
function longLinesAtPowerLoss(random: Random): Special {
  const deeds: Deed[] = [];
  const writes: Write[] = [];
  const untilMs = random.integer(5, 8) * 1000;
  for (let atMs = 0; atMs < untilMs; atMs += random.between(0, 200)) {
    const name = `pod-${random.integer(1, 20)}.1`;
    writes.push({ atMs, name, messageLength: random.integer(300, 2500) });
  }
  for (let life = 1; life < LIVES; life++) {
    deeds.push({ atMs: random.between(500, untilMs), kind: "end", how: "power loss" });
  }
  return {
    history: tellHistory(random, writes),
    deeds: deeds.sort((a, b) => a.atMs - b.atMs),
    settings: { syncIntervalMs: random.pick([300, 1000]) },
    pausesMs: Array.from({ length: LIVES }, () => random.between(0, 200)),
    untilMs,
  };
}

/**
 * Generations are dropped at each start, as a ring this small is always due; bursts keep the watch
 * behind the LISTs, and the lives are short.
 */
function smallRingAndLaggingWatch(random: Random): Special {
  const writes: Write[] = [];
  const deeds: Deed[] = [];
  let endMs = 0;
  for (let life = 1; life < LIVES + 2; life++) {
    const startMs = endMs;
    endMs += random.between(300, 2000);
    const how = random.pick(["stop", "kill", "power loss", "power loss"] as const);
    deeds.push({ atMs: endMs, kind: "end", how });
    const burstMs = random.between(startMs, endMs);
    for (let write = random.integer(0, 8); write > 0; write--) {
      writes.push({ atMs: burstMs, name: `pod-${random.integer(1, 6)}.1` });
    }
  }
  return {
    history: tellHistory(random, writes),
    deeds,
    settings: {
      filterCapacity: random.integer(2, 4),
      batchCount: 1,
      syncIntervalMs: random.pick([20, 100]),
    },
    pausesMs: Array.from({ length: LIVES + 2 }, () => random.between(0, 200)),
    untilMs: endMs + 2000,
  };
}

/**
 * The watch breaks so often that it goes on at a LIST's version, and never shows that its last
 * event is gone. Generations are dropped then; a start resumes from P, which shows it once more.
 */
function versionLeftBehind(random: Random): Special {
  const writes: Write[] = [];
  for (let pod = 1; pod <= 5; pod++) {
    const atMs = random.chance(0.3) ? 0 : random.between(0, 1500);
    writes.push({ atMs, name: `pod-${pod}.1` });
  }
  const { name } = writes.reduce((last, write) => write.atMs > last.atMs ? write : last);
  const breakMs = random.between(2500, 4500);
  writes.push({ atMs: breakMs, name, deletes: random.chance(0.7) });
  for (let pod = random.integer(8, 12); pod > 5; pod--) {
    writes.push({ atMs: breakMs, name: `pod-${pod}.1` });
  }
  const endMs = breakMs + random.between(5000, 14_000);
  return {
    history: tellHistory(random, writes),
    deeds: [
      { atMs: breakMs, kind: "disconnect", leavesVersion: true },
      { atMs: endMs, kind: "end", how: random.pick(["stop", "kill", "power loss"]) },
    ],
    settings: {
      filterCapacity: random.integer(2, 3),
      batchCount: 1,
      syncIntervalMs: random.pick([20, 100]),
    },
    pausesMs: [random.between(0, 600)],
    untilMs: endMs + 3000,
  };
}

/** The file is renamed or deleted while lines wait for their sync, and soon a life ends. */
function rotationsBeforeCrashes(random: Random): Special {
  const deeds: Deed[] = [];
  let endMs = 0;
  for (let life = 1; life < LIVES; life++) {
    endMs += random.between(900, 2500);
    deeds.push({
      atMs: endMs - random.between(100, 900),
      kind: random.pick(["rotate", "rotate", "delete"]),
      creates: random.chance(0.3),
      hangupMs: random.between(0, 400),
    });
    deeds.push({ atMs: endMs, kind: "end", how: random.pick(["kill", "power loss"]) });
  }
  return {
    history: tellHistory(random, overwrites(random, 0, endMs, 80)),
    deeds,
    settings: { syncIntervalMs: random.pick([100, 300]) },
    pausesMs: Array.from({ length: LIVES }, () => random.between(0, 200)),
    untilMs: endMs + 2000,
  };
}

/** New occurrences of two events, on average so many ms apart. */
function overwrites(random: Random, fromMs: number, toMs: number, meanMs: number): Write[] {
  const writes: Write[] = [];
  for (let atMs = fromMs; atMs < toMs; atMs += random.between(0, 2 * meanMs)) {
    writes.push({ atMs, name: random.pick(["pod-1.1", "pod-2.1"]) });
  }
  return writes;
}
