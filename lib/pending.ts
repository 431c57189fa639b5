/**
 * The keys of lines that are appended but not yet known to be durable.
 *
 * Two sets: those appended since the last sync was called, and those that this sync is for. So
 * appending goes on while a sync runs, and nothing counts as durable that came after its call.
 */

import { KeySet } from "./key_set.ts";

/** See the head of this file. */
export class Pending {
  #appended = new KeySet();
  #syncing = new KeySet();

  /** Keys appended since the last call of {@linkcode collect}, in order. */
  get appended(): KeySet {
    return this.#appended;
  }

  /** Whether no line waits for a sync. */
  get isEmpty(): boolean {
    return this.#appended.size === 0 && this.#syncing.size === 0;
  }

  /** Whether the key (four lanes at `keys[at]`) is among them. */
  has(keys: Uint32Array, at: number): boolean {
    return this.#appended.has(keys, at) || this.#syncing.has(keys, at);
  }

  /**
   * Makes all of them those of the sync that is called now, also where the last one did not count.
   */
  collect(): KeySet {
    if (this.#syncing.size === 0) {
      [this.#appended, this.#syncing] = [this.#syncing, this.#appended];
    } else {
      const { lanes, size } = this.#appended;
      for (let index = 0; index < size; index++) this.#syncing.add(lanes, 4 * index);
      this.#appended.clear();
    }
    return this.#syncing;
  }

  /** The collected ones are in the ring now. */
  settle(): void {
    this.#syncing.clear();
  }
}
