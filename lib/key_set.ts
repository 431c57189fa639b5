/**
 * A set of 128-bit keys that remembers their order.
 *
 * It holds the keys of lines that are appended but not yet synced. Typed arrays only, so that a
 * busy stream makes no garbage. Undoing is last in, first out ({@linkcode KeySet.truncate}), which
 * is what a write that did not go through needs, and needs no tombstones.
 */

/** A set of 128-bit keys (four 32-bit lanes each) in the order in which they came. */
export class KeySet {
  /** Four lanes a key, in order of arrival. */
  #lanes: Uint32Array;
  /** Open addressing with linear probing: index of the key + 1, or 0. Twice the keys at least. */
  #table: Int32Array;
  #size = 0;

  constructor() {
    this.#lanes = new Uint32Array(4 * 256);
    this.#table = new Int32Array(512);
  }

  /** Keys in the set. */
  get size(): number {
    return this.#size;
  }

  /** The lanes of all keys in order, `4 * size` of them are in use. Valid until the next change. */
  get lanes(): Uint32Array {
    return this.#lanes;
  }

  /** Whether the key at `from[at..at+4]` is in the set. */
  has(from: Uint32Array, at: number): boolean {
    return this.#size > 0 && this.#table[this.#slot(from, at)] !== 0;
  }

  /** Adds the key at `from[at..at+4]`; false where it is there already. */
  add(from: Uint32Array, at: number): boolean {
    let slot = this.#slot(from, at);
    if (this.#table[slot] !== 0) return false;
    if (4 * this.#size === this.#lanes.length) {
      this.#grow();
      slot = this.#slot(from, at);
    }
    const to = 4 * this.#size;
    for (let lane = 0; lane < 4; lane++) this.#lanes[to + lane] = from[at + lane]!;
    this.#table[slot] = ++this.#size;
    return true;
  }

  /** Takes out the keys that came last, until `size` are left. */
  truncate(size: number): void {
    // In reverse order each slot can simply be emptied: no key that stays was placed because of it.
    while (this.#size > size) {
      this.#table[this.#slot(this.#lanes, 4 * (this.#size - 1))] = 0;
      this.#size--;
    }
  }

  /** Takes out all keys. */
  clear(): void {
    if (this.#size > 0) this.#table.fill(0);
    this.#size = 0;
  }

  #slot(from: Uint32Array, at: number): number {
    const mask = this.#table.length - 1;
    let slot = from[at]! & mask;
    for (;;) {
      const index = this.#table[slot]!;
      if (index === 0) return slot;
      const lane = 4 * (index - 1);
      if (
        this.#lanes[lane] === from[at] && this.#lanes[lane + 1] === from[at + 1] &&
        this.#lanes[lane + 2] === from[at + 2] && this.#lanes[lane + 3] === from[at + 3]
      ) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const lanes = new Uint32Array(2 * this.#lanes.length);
    lanes.set(this.#lanes);
    this.#lanes = lanes;
    this.#table = new Int32Array(2 * this.#table.length);
    for (let index = 0; index < this.#size; index++) {
      this.#table[this.#slot(lanes, 4 * index)] = index + 1;
    }
  }
}
