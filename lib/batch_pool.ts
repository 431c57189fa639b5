/**
 * The buffers in which batches travel: memory that both isolates share.
 *
 * The watch isolate takes a buffer, fills it and names it in a message; from then on it is main's,
 * until main frees it. Who has a buffer stands in the shared memory too, so that one goes back
 * without a message: a message wakes the other isolate, and is not even seen by one that is busy,
 * since a read that finds its bytes at once does not let the event loop turn.
 *
 * All buffers taken is the back-pressure: the readers wait. Who has asked for it is told of the
 * next buffer by a message.
 *
 *     0             whether the next buffer that is freed is to be told of
 *     4             for each buffer whether it is taken
 *     HEAD_BYTES    the buffers, BATCH_BYTES each
 */

import { invariant } from "./errors.ts";
import { BATCH_BYTES, POOL_BUFFERS } from "./limits.ts";

/** A multiple of what any view of a buffer is aligned to. */
const HEAD_BYTES = 64;

const ASKED = 0;
const TAKEN_AT = 1;

/** Either end of the pool; they agree by atomic operations alone. */
export class BatchPool {
  /** What both isolates share. */
  readonly memory: SharedArrayBuffer;
  /** Buffers in all. */
  readonly count: number;
  readonly #head: Int32Array;

  /** @param memory of another end, or of a new pool, all zeros */
  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.count = (memory.byteLength - HEAD_BYTES) / BATCH_BYTES;
    this.#head = new Int32Array(memory, 0, TAKEN_AT + this.count);
  }

  /** A new pool. */
  static make(buffers: number = POOL_BUFFERS): BatchPool {
    invariant(4 * (TAKEN_AT + buffers) <= HEAD_BYTES, "the head has a number for each buffer");
    return new BatchPool(new SharedArrayBuffer(HEAD_BYTES + buffers * BATCH_BYTES));
  }

  /** Where a buffer begins in the memory. */
  startOf(buffer: number): number {
    return HEAD_BYTES + buffer * BATCH_BYTES;
  }

  /** Buffers that are not free. */
  get taken(): number {
    let taken = 0;
    for (let buffer = 0; buffer < this.count; buffer++) if (this.isTaken(buffer)) taken++;
    return taken;
  }

  isTaken(buffer: number): boolean {
    return Atomics.load(this.#head, TAKEN_AT + buffer) === 1;
  }

  /** Takes a free buffer; null where there is none. For the watch isolate alone. */
  take(): number | null {
    for (let buffer = 0; buffer < this.count; buffer++) {
      if (this.isTaken(buffer)) continue;
      Atomics.store(this.#head, TAKEN_AT + buffer, 1);
      return buffer;
    }
    return null;
  }

  /** Copies the first `bytes` of a batch into a buffer that was taken. */
  fill(buffer: number, batch: Uint8Array<ArrayBuffer>, bytes: number): void {
    // In whole words, see #draft of lib/batch.ts; the last one may hold a few bytes that count not.
    const words = Math.ceil(bytes / 8);
    const into = new BigUint64Array(this.memory, this.startOf(buffer), words);
    into.set(new BigUint64Array(batch.buffer, batch.byteOffset, words));
  }

  /** The next buffer that is freed is to be told of. Look again then: one may just have been. */
  ask(): void {
    Atomics.store(this.#head, ASKED, 1);
  }

  /** Gives a buffer back. Returns whether that was asked for, and is to be told. */
  free(buffer: number): boolean {
    invariant(this.isTaken(buffer), "a buffer is freed once");
    Atomics.store(this.#head, TAKEN_AT + buffer, 0);
    return Atomics.exchange(this.#head, ASKED, 0) === 1;
  }
}
