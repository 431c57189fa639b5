/** A false clock: time passes only from one action to the next. */

interface Entry {
  atMs: number;
  action: (() => void) | null;
}

/** See the head of this file. */
export class SimClock {
  /** What goes forward only, ms. */
  nowMs = 0;
  /** How far the wall clock was set forward or back, ms. */
  steppedMs = 0;
  /** Sorted by time; of equal times the first that was asked for comes first. */
  #entries: Entry[] = [];

  /** Calls `action` after so many ms; returns how to call it off. */
  after(ms: number, action: () => void): () => void {
    const entry: Entry = { atMs: this.nowMs + Math.max(0, ms), action };
    let at = this.#entries.length;
    while (at > 0 && this.#entries[at - 1]!.atMs > entry.atMs) at--;
    this.#entries.splice(at, 0, entry);
    return () => entry.action = null;
  }

  /** When the next action is due; Infinity where there is none. */
  get nextMs(): number {
    while (this.#entries.length > 0 && this.#entries[0]!.action === null) this.#entries.shift();
    return this.#entries[0]?.atMs ?? Infinity;
  }

  /** Goes to the next action and does it. */
  advance(): void {
    this.nowMs = this.nextMs;
    this.#entries.shift()?.action?.();
  }
}
