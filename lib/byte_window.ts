/**
 * A reusable buffer between a BYOB reader and a splitter of its bytes.
 *
 * The bytes that still matter stand at its front, and the reader fills the room behind them. The
 * buffer is moved into each read and comes back with its result, so nobody may hold on to a view
 * of it across a read.
 */

import { invariant } from "./errors.ts";
import { WINDOW_BYTES } from "./limits.ts";

/** One read at a time: room(), the read, fill(), then work on `bytes` until more are needed. */
export class ByteWindow {
  /**
   * The bytes kept and read so far: another view after each room() and fill(), since EventModule
   * knows by the view what it has copied.
   */
  bytes: Uint8Array<ArrayBuffer>;
  readonly #bytesMax: number;

  /** @param bytesMax the most that the window holds; it must exceed the longest unit kept in it */
  constructor(bytesMax: number) {
    this.#bytesMax = Math.max(bytesMax, WINDOW_BYTES);
    this.bytes = new Uint8Array(new ArrayBuffer(WINDOW_BYTES), 0, 0);
  }

  /**
   * Drops the bytes before `keepFrom`, moves the rest to the front and returns the free room
   * behind it. The window doubles until a quarter of it is free, and shrinks by the same rule.
   */
  room(keepFrom: number): Uint8Array<ArrayBuffer> {
    const kept = this.bytes.subarray(keepFrom);
    const capacity = this.#capacityFor(kept.length);
    invariant(kept.length < capacity, "the unfinished unit leaves room in its window");
    let buffer = this.bytes.buffer;
    if (capacity !== buffer.byteLength) buffer = new ArrayBuffer(capacity);
    const whole = new Uint8Array(buffer);
    if (keepFrom > 0 || whole.buffer !== this.bytes.buffer) whole.set(kept);
    this.bytes = whole.subarray(0, kept.length);
    return whole.subarray(kept.length);
  }

  /** Takes the window back from the read: `view` is what it returned for the room it was given. */
  fill(view: Uint8Array<ArrayBuffer>): void {
    this.bytes = new Uint8Array(view.buffer, 0, view.byteOffset + view.byteLength);
  }

  #capacityFor(kept: number): number {
    let capacity = WINDOW_BYTES;
    while (capacity < this.#bytesMax && capacity - kept < capacity / 4) {
      capacity = Math.min(capacity * 2, this.#bytesMax);
    }
    return capacity;
  }
}
