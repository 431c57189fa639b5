/**
 * What the watch isolate tells of itself: counts, and signs of life.
 *
 * Counting is a few additions a read. Main is told at most once a second, and only after something
 * changed: a watch that is idle costs nothing.
 */

import type { ApiFailure } from "./api_failure.ts";
import type { Clock } from "./backoff.ts";
import type { Timer } from "./io.ts";
import { PULSE_MS } from "./limits.ts";
import type { WatchPosition } from "./position.ts";

/** Kinds of requests. */
export const VERBS = ["list", "watch"] as const;
/** A kind of request. */
export type Verb = typeof VERBS[number];

/** What LISTs are made for: see docs/METRICS.md. */
export const LIST_REASONS = ["start", "doubt", "drop", "age"] as const;
/** What a LIST is made for. */
export type ListReason = typeof LIST_REASONS[number];

/** How WATCHes end: see lib/watch_pass.ts. */
export const WATCH_ENDS = [
  "closed",
  "refused",
  "cut",
  "broken",
  "stalled",
  "discarded",
] as const;
/** How a WATCH ended. */
export type WatchEndReason = typeof WATCH_ENDS[number];

/** Kinds of failures that are waited out: see docs/METRICS.md. */
export const API_FAILURES = [
  "connection",
  "unauthorized",
  "forbidden",
  "expired",
  "throttled",
  "server",
  "other",
] as const;
/** A kind of failure. */
export type ApiFailureReason = typeof API_FAILURES[number];

/** How one watch is. */
export interface WatchSigns {
  /** A WATCH is open that the server accepted. */
  isOpen: boolean;
  /** Nothing is owed since the start: a LIST was complete, or the WATCH went on where it was. */
  isComplete: boolean;
  /** It is not read, because main takes no more: its silence says nothing. */
  isHeld: boolean;
  /** Since its last sign of life, or since its end where that came later, ms. */
  silentMs: number;
}

/** What main is told: counts since the start, of all watches, and how each of them is. */
export interface PulseReport {
  listsStarted: Record<ListReason, number>;
  listsCompleted: number;
  watchesStarted: number;
  watchesEnded: Record<WatchEndReason, number>;
  failures: Record<Verb, Record<ApiFailureReason, number>>;
  receivedBytes: Record<Verb, number>;
  /** Since any byte came, or since the start, ms. */
  byteAgeMs: number;
  /** In the order of the watches. */
  watches: WatchSigns[];
}

/** A report of nothing: so many watches have just begun. */
export function emptyReport(watches: number): PulseReport {
  return {
    listsStarted: zeros(LIST_REASONS),
    listsCompleted: 0,
    watchesStarted: 0,
    watchesEnded: zeros(WATCH_ENDS),
    failures: { list: zeros(API_FAILURES), watch: zeros(API_FAILURES) },
    receivedBytes: zeros(VERBS),
    byteAgeMs: 0,
    watches: Array.from(
      { length: watches },
      () => ({ isOpen: false, isComplete: false, isHeld: false, silentMs: 0 }),
    ),
  };
}

function zeros<T extends string>(names: readonly T[]): Record<T, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<T, number>;
}

/** See the head of this file. */
export class Pulse {
  /** Counted in place; what it says of watches and ages is filled in when it is posted. */
  readonly counts: PulseReport = emptyReport(0);
  readonly #clock: Clock;
  readonly #post: (report: PulseReport) => void;
  readonly #watches: WatchPulse[] = [];
  #byteMs: number;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(clock: Clock, post: (report: PulseReport) => void) {
    this.#clock = clock;
    this.#post = post;
    this.#byteMs = clock.nowMs();
  }

  /** That of one more watch. */
  watch(position: WatchPosition): WatchPulse {
    const watch = new WatchPulse(this, this.#clock, position);
    this.#watches.push(watch);
    return watch;
  }

  /** Bytes came. */
  heard(): void {
    this.#byteMs = this.#clock.nowMs();
    this.changed();
  }

  /** Main is told soon. */
  changed(): void {
    if (this.#isStopped) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#post({
        ...this.counts,
        byteAgeMs: this.#clock.nowMs() - this.#byteMs,
        watches: this.#watches.map((watch) => watch.state()),
      });
    }, PULSE_MS);
  }

  /** Nothing is told any more. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }
}

/** That of one watch: its LISTs and WATCHes say what they do. */
export class WatchPulse {
  readonly #pulse: Pulse;
  readonly #clock: Clock;
  readonly #position: WatchPosition;
  #aliveMs: number;
  /** When the first WATCH since the last sign of life ended; -Infinity = none did. */
  #endedMs = -Infinity;
  #isOpen = false;
  /** Streams that wait for room. */
  #held = 0;
  #isComplete = false;
  /** A LIST was complete, or a WATCH was accepted, since the start. */
  #hasBegun = false;

  constructor(pulse: Pulse, clock: Clock, position: WatchPosition) {
    this.#pulse = pulse;
    this.#clock = clock;
    this.#position = position;
    this.#aliveMs = clock.nowMs();
  }

  /** A LIST begins. */
  listStarted(reason: ListReason): void {
    this.#pulse.counts.listsStarted[reason]++;
    this.#pulse.changed();
  }

  /** Bytes of a LIST came. Until the first one is complete, they are signs of life. */
  listRead(bytes: number): void {
    this.#pulse.counts.receivedBytes.list += bytes;
    if (!this.#isComplete) this.alive();
    this.#pulse.heard();
  }

  /** A LIST is complete. */
  listCompleted(): void {
    this.#pulse.counts.listsCompleted++;
    this.#began();
  }

  /** The server accepted a WATCH. */
  watchOpened(): void {
    this.#pulse.counts.watchesStarted++;
    this.#isOpen = true;
    this.#pulse.changed();
  }

  /** The WATCH goes on from where it was to begin. */
  watchAccepted(): void {
    this.alive();
    this.#began();
  }

  /** Bytes of a WATCH came; whether they are a sign of life, {@linkcode alive} tells. */
  watchRead(bytes: number): void {
    this.#pulse.counts.receivedBytes.watch += bytes;
    this.#pulse.heard();
  }

  /** A WATCH that was accepted, if it was, came to its end. */
  watchEnded(reason: WatchEndReason): void {
    if (this.#isOpen) this.#pulse.counts.watchesEnded[reason]++;
    this.#isOpen = false;
    if (this.#endedMs < this.#aliveMs) this.#endedMs = this.#clock.nowMs();
    this.#pulse.changed();
  }

  /** The WATCH shows what there is, or there is nothing to show. */
  alive(): void {
    this.#aliveMs = this.#clock.nowMs();
    this.#pulse.changed();
  }

  /** A stream waits until main takes more. */
  held(): void {
    this.#held++;
    this.#pulse.changed();
  }

  /** It goes on. */
  released(): void {
    this.#held--;
    this.alive();
  }

  /** A request failed, which is waited out. */
  failed(verb: Verb, { status }: ApiFailure): void {
    this.#pulse.counts.failures[verb][reasonOf(status)]++;
    this.#pulse.changed();
  }

  /** For main. */
  state(): WatchSigns {
    // Whatever raised a doubt has said so by now: this is asked between two deeds.
    this.#isComplete ||= this.#hasBegun && this.#position.rv !== null && !this.#position.listOwed;
    const sinceMs = this.#isOpen ? this.#aliveMs : Math.max(this.#aliveMs, this.#endedMs);
    const silentMs = this.#clock.nowMs() - sinceMs;
    return {
      isOpen: this.#isOpen,
      isComplete: this.#isComplete,
      isHeld: this.#held > 0,
      silentMs,
    };
  }

  #began(): void {
    this.#hasBegun = true;
    this.#pulse.changed();
  }
}

/** @param status of HTTP; 0 = there was no answer */
function reasonOf(status: number): ApiFailureReason {
  if (status >= 500) return "server";
  switch (status) {
    case 0:
      return "connection";
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 410:
      return "expired";
    case 429:
      return "throttled";
    default:
      return "other";
  }
}
