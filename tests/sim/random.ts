/** Random numbers that a seed repeats; each part of a run has a stream of its own. */

/** See the head of this file. */
export class Random {
  #state: number;

  /** @param parts whatever tells this stream from others; numbers, taken as integers */
  constructor(...parts: number[]) {
    let state = 0x9e3779b9;
    for (const part of parts) {
      state = Math.imul(state ^ part, 0x85ebca6b);
      state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35) ^ (part >>> 16);
    }
    this.#state = state | 0;
  }

  /** One that goes on as this one would. */
  copy(): Random {
    const copy = new Random();
    copy.#state = this.#state;
    return copy;
  }

  /** A number in [0, 1). mulberry32, public domain, Tommy Ettinger. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** An integer in [from, to], both included. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** A number in [from, to). */
  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  /** One of several. */
  pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.next() * of.length)]!;
  }

  /** Random bytes. */
  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.integer(0, 255));
  }
}
