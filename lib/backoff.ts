/**
 * How long to wait after a failure: client-go's backoff for the Reflector (800 ms, doubled up to
 * 30 s, jitter of as much again, forgotten after two minutes without a failure).
 */

import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS, BACKOFF_RESET_MS } from "./limits.ts";

/** Time and chance, so that tests can own them. */
export interface Clock {
  /** A clock that only goes forward, ms. */
  nowMs(): number;
  /** A number in [0, 1). */
  random(): number;
}

/** The clock of the machine. */
export const realClock: Clock = { nowMs: () => performance.now(), random: () => Math.random() };

/** The numbers of a backoff, ms. */
export interface BackoffTimes {
  /** First delay before jitter. */
  firstMs: number;
  /** Longest delay before jitter. */
  maxMs: number;
  /** After this long without a failure the delay starts at the first again. */
  resetMs: number;
}

/** See lib/limits.ts. */
export const BACKOFF_TIMES: Readonly<BackoffTimes> = {
  firstMs: BACKOFF_FIRST_MS,
  maxMs: BACKOFF_MAX_MS,
  resetMs: BACKOFF_RESET_MS,
};

/** One backoff: failures of one kind of request. */
export class Backoff {
  readonly #clock: Clock;
  readonly #times: BackoffTimes;
  #delayMs = 0;
  #lastMs = -Infinity;

  constructor(clock: Clock, times: BackoffTimes = BACKOFF_TIMES) {
    this.#clock = clock;
    this.#times = times;
  }

  /**
   * A failure happened: the delay before the next attempt, ms. It is drawn from [d, 2d), where d
   * doubles with each failure, and from [atLeastMs, atLeastMs + d) where the server asked for more.
   */
  fail(atLeastMs = 0): number {
    const now = this.#clock.nowMs();
    const isFirst = now - this.#lastMs > this.#times.resetMs;
    this.#delayMs = isFirst ? this.#times.firstMs : Math.min(2 * this.#delayMs, this.#times.maxMs);
    this.#lastMs = now;
    return Math.max(this.#delayMs, atLeastMs) + this.#clock.random() * this.#delayMs;
  }
}

/** Resolves after `ms`, or at once when the signal is aborted; leaves no timer behind. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
