/**
 * Whether the program does its work, as one sentence why not: for `/healthz`, `/readyz` and whoever
 * else asks (docs/METRICS.md says what is judged and why).
 *
 * Pure: facts in, verdict out. Where the facts come from is lib/run.ts.
 */

import { STALL_MS } from "./limits.ts";

/** How one watch is. */
export interface WatchHealth {
  /** Path of the collection, e.g. /api/v1/events. */
  path: string;
  /** A WATCH is open that the server accepted. */
  isOpen: boolean;
  /** Since its last sign of life, or since its end where that came later, ms. */
  silentMs: number;
  /** Since the start it had nothing owed once: all that is alive was met, or it resumed. */
  isComplete: boolean;
}

/** All that a verdict is made of. Durations are ms; 0 = nothing waits. */
export interface HealthFacts {
  /** For how long the oldest line has been waiting for its sync, less the interval of syncs. */
  syncLateMs: number;
  /** The same of the oldest position and its checkpoint. */
  checkpointLateMs: number;
  /** For how long events have been waiting without a line going out. */
  blockedMs: number;
  /** Path of the destination; "-" = stdout. */
  destination: string;
  watches: readonly WatchHealth[];
}

/**
 * Why the program is not healthy, in one sentence; null = it is.
 *
 * What stands still behind something else is not told: a blocked destination holds the watch back.
 *
 * @param afterMs --unhealthy-after
 */
export function unhealthyReason(facts: HealthFacts, afterMs: number): string | null {
  const { syncLateMs, checkpointLateMs, blockedMs, destination, watches } = facts;
  if (syncLateMs > afterMs) {
    return `Commits stand still: a sync of the destination is ${seconds(syncLateMs)} late.`;
  }
  if (checkpointLateMs > afterMs) {
    return `Commits stand still: a checkpoint is ${seconds(checkpointLateMs)} late.`;
  }
  if (blockedMs > afterMs) {
    const where = destination === "-" ? "standard output" : destination;
    return `The destination is blocked: events have been waiting for ${seconds(blockedMs)}, and ` +
      `no line went to ${where}.`;
  }
  const late = watches.filter(({ isOpen, silentMs }) => silentMs > silenceMaxMs(isOpen, afterMs));
  const [worst] = late.toSorted((one, other) => other.silentMs - one.silentMs);
  if (worst === undefined) return null;
  const { path, isOpen, silentMs } = worst;
  return isOpen
    ? `The WATCH of ${path} has shown no sign of life for ${seconds(silentMs)}.`
    : `No WATCH of ${path} has got going for ${seconds(silentMs)}; the log says why.`;
}

/** Why the program is not ready, in one sentence; null = it is. See {@linkcode unhealthyReason}. */
export function unreadyReason(facts: HealthFacts, afterMs: number): string | null {
  const unhealthy = unhealthyReason(facts, afterMs);
  if (unhealthy !== null) return unhealthy;
  const incomplete = facts.watches.find(({ isComplete }) => !isComplete);
  if (incomplete === undefined) return null;
  return `Not ready: the first LIST of ${incomplete.path} is not complete.`;
}

/** An open WATCH may be silent until it is asked about: a quiet cluster has nothing to say. */
function silenceMaxMs(isOpen: boolean, afterMs: number): number {
  return isOpen ? STALL_MS + afterMs : afterMs;
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1000)} s`;
}
