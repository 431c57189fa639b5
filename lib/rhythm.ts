/**
 * One of the two rhythms of a commit (sync, checkpoint) as seen from outside: since when something
 * waits for it, when it last came to its end, and how long it took. It decides nothing.
 */

import type { Io } from "./io.ts";

/** See the head of this file. All times are of the clock that only goes forward. */
export class Rhythm {
  /** Called with the duration of each, ms. */
  onDone: (durationMs: number) => void = () => {};
  readonly #io: Io;
  /** Since when something waits that came after the last one had begun. */
  #sinceMs: number | null = null;
  /** The same of what the one under way takes, or the ones before it failed to take. */
  #takenMs: number | null = null;
  #beganMs: number;
  #doneMs: number;

  constructor(io: Io) {
    this.#io = io;
    this.#beganMs = this.#doneMs = io.monotonicMs();
  }

  /** Something waits for the next one. */
  due(): void {
    this.#sinceMs ??= this.#io.monotonicMs();
  }

  /** One begins: it takes what waits. */
  begin(): void {
    this.#takenMs ??= this.#sinceMs;
    this.#sinceMs = null;
    this.#beganMs = this.#io.monotonicMs();
  }

  /** What it took is durable. Where it took nothing, it is not counted. */
  done(): void {
    if (this.#takenMs === null) return;
    this.#takenMs = null;
    this.#doneMs = this.#io.monotonicMs();
    this.onDone(this.#doneMs - this.#beganMs);
  }

  /** One that is made whatever waits. */
  async during(operation: () => Promise<void>): Promise<void> {
    this.due();
    this.begin();
    await operation();
    this.done();
  }

  /** For how long something has been waiting, ms; 0 = nothing does. */
  get waitedMs(): number {
    const sinceMs = this.#takenMs ?? this.#sinceMs;
    return sinceMs === null ? 0 : this.#io.monotonicMs() - sinceMs;
  }

  /** Since the last one was done, or since the start, ms. */
  get ageMs(): number {
    return this.#io.monotonicMs() - this.#doneMs;
  }
}
