/**
 * How late lines are: from an event's own latest timestamp to its line, now and then.
 *
 * A line is parsed for it, so not each is looked at: the last of a batch, at most ten a second.
 */

import type { Io } from "./io.ts";
import { DELAY_LINE_BYTES_MAX, DELAY_LOOK_MS } from "./limits.ts";

/** The fields of an event that tell when it happened, and those of what may be around it. */
interface Stamped {
  metadata?: { creationTimestamp?: unknown };
  eventTime?: unknown;
  lastTimestamp?: unknown;
  series?: { lastObservedTime?: unknown } | null;
}

/** When the event of a line happened last, ms since 1970; null where no timestamp tells. */
export function eventTimeMs(line: Uint8Array): number | null {
  const event = stampedIn(JSON.parse(new TextDecoder().decode(line)));
  if (event === null) return null;
  const { metadata, eventTime, lastTimestamp, series } = event;
  const times = [eventTime, lastTimestamp, series?.lastObservedTime].map(parse).filter(isTime);
  if (times.length > 0) return Math.max(...times);
  const created = parse(metadata?.creationTimestamp);
  return isTime(created) ? created : null;
}

/** The event, or the one that a wrapper holds. */
function stampedIn(line: unknown): Stamped | null {
  if (!isObject(line)) return null;
  return [line, ...Object.values(line)].filter(isObject).find(({ metadata }) =>
    isObject(metadata)
  ) ?? null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function parse(time: unknown): number {
  return typeof time === "string" ? Date.parse(time) : NaN;
}

function isTime(ms: number): boolean {
  return !Number.isNaN(ms);
}

/** Looks at lines as they are written. */
export class DelaySampler {
  readonly #io: Io;
  readonly #observe: (delayMs: number) => void;
  #lookedMs = -Infinity;

  /** @param observe called with a delay, ms, 0 or more */
  constructor(io: Io, observe: (delayMs: number) => void) {
    this.#io = io;
    this.#observe = observe;
  }

  /** A line was written just now. */
  written(line: Uint8Array): void {
    const nowMs = this.#io.monotonicMs();
    if (nowMs - this.#lookedMs < DELAY_LOOK_MS || line.length > DELAY_LINE_BYTES_MAX) return;
    this.#lookedMs = nowMs;
    const timeMs = eventTimeMs(line);
    // The clock that stamped it may be ahead of ours.
    if (timeMs !== null) this.#observe(Math.max(0, this.#io.nowMs() - timeMs));
  }
}
