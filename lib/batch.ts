/**
 * A batch of events: what travels from the watch isolate to main, in one transferred buffer.
 *
 * Layout, all numbers as Uint32 in the machine's byte order (both sides are one process):
 *
 *     0                 count of events, at most BATCH_EVENTS_MAX
 *     4                 end of the line bytes
 *     8                 keys, KEY_LANES each
 *     8 + 4 * KEY_LANES * BATCH_EVENTS_MAX
 *                       for each event the end of its line
 *     BATCH_LINES_AT    lines, each with its "\n", one after another without gaps, so that a run
 *                       of them can be written to a file at once
 *
 * The buffers of the pool are the back-pressure: while main has all of them, the readers wait. A
 * line that is too long for one travels alone in a bigger buffer made for it, while one of the pool
 * is held back as its token; at most one such is under way.
 */

import type { EventScan } from "./event_scan.ts";
import type { Timer } from "./io.ts";
import { BATCH_DELAY_MS, BATCH_EVENTS_MAX } from "./limits.ts";
import {
  type FromWatch,
  type IdentityMode,
  KEY_LANES,
  LANES_OF,
  type Position,
} from "./protocol.ts";

const KEYS_AT = 8;
const ENDS_AT = KEYS_AT + 4 * KEY_LANES * BATCH_EVENTS_MAX;

/** Where the line bytes of a batch begin. */
export const BATCH_LINES_AT = ENDS_AT + 4 * BATCH_EVENTS_MAX;

/** A batch as main reads it: views of the buffer, nothing is copied or made for an event. */
export class BatchReader {
  /** Events in it. */
  readonly count: number;
  /** KEY_LANES lanes an event. */
  readonly keys: Uint32Array<ArrayBuffer>;
  /** Holds the lines, at start() to end(). */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #ends: Uint32Array<ArrayBuffer>;

  /** @param buffer of a message of type "batch" */
  constructor(buffer: ArrayBuffer) {
    const [count = 0, end = 0] = new Uint32Array(buffer, 0, 2);
    this.count = count;
    this.keys = new Uint32Array(buffer, KEYS_AT, KEY_LANES * count);
    this.bytes = new Uint8Array(buffer, 0, end);
    this.#ends = new Uint32Array(buffer, ENDS_AT, count);
  }

  /** Where the line of an event begins in `bytes`. */
  start(index: number): number {
    return index === 0 ? BATCH_LINES_AT : this.#ends[index - 1]!;
  }

  /** Where the line of an event ends in `bytes`, its "\n" included; the next one begins there. */
  end(index: number): number {
    return this.#ends[index]!;
  }
}

/** What a writer needs of the outside. */
export interface BatchOutlet {
  /** Posts to main; the buffer of a batch is transferred. */
  post(message: FromWatch): void;
  /** Where all watches stand now. */
  positions(): (Position | null)[];
}

/** The batch being filled: its buffer and views of it. */
interface OpenBatch {
  readonly buffer: ArrayBuffer;
  readonly head: Uint32Array<ArrayBuffer>;
  readonly keys: Uint32Array<ArrayBuffer>;
  readonly ends: Uint32Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  count: number;
  end: number;
}

/**
 * Fills batches, for all watches of the isolate: their LISTs and WATCHes put events into the same
 * batch as they come. Between isReady() and the put() and moved() that belong together nothing may
 * be awaited; so at any other time what is in the batch and the positions agree.
 */
export class BatchWriter {
  readonly #outlet: BatchOutlet;
  readonly #lanes: number;
  readonly #otherLanes: number;
  readonly #poolBytes: number;
  readonly #free: ArrayBuffer[];
  #open: OpenBatch | null = null;
  /** Buffers that main has. */
  #away = 0;
  /** The pool's buffer that is held back for a bigger one under way. */
  #token: ArrayBuffer | null = null;
  #hasMoved = false;
  #isDue = false;
  #timer: Timer | undefined;
  /** When something was posted last, on performance.now(). */
  #postedMs = -Infinity;
  #isClosed = false;
  #changed: { promise: Promise<void>; resolve: () => void } | null = null;

  /** @param pool buffers of BATCH_BYTES each */
  constructor(outlet: BatchOutlet, pool: ArrayBuffer[], identity: IdentityMode) {
    this.#outlet = outlet;
    this.#lanes = LANES_OF[identity];
    this.#otherLanes = LANES_OF[identity === "content" ? "name-count" : "content"];
    this.#free = [...pool];
    this.#poolBytes = pool[0]?.byteLength ?? 0;
  }

  /** Whether a line of so many bytes can be put now; posts a full batch to make it so. */
  isReady(lineBytes: number): boolean {
    if (this.#open !== null) {
      const { count, end, buffer } = this.#open;
      if (count < BATCH_EVENTS_MAX && end + lineBytes <= buffer.byteLength) return true;
      this.flush();
      if (this.#open !== null) this.#keep(this.#open.buffer);
      this.#open = null;
    }
    const bufferBytes = BATCH_LINES_AT + lineBytes;
    const buffer = bufferBytes > this.#poolBytes
      ? this.#bigger(bufferBytes)
      : this.#free.pop() ?? null;
    if (buffer !== null) this.#open = openBatch(buffer);
    return buffer !== null;
  }

  /** Settles when isReady() may have become true, or after close(). */
  changed(): Promise<void> {
    if (this.#changed === null) {
      let resolve = () => {};
      const promise = new Promise<void>((settle) => resolve = settle);
      this.#changed = { promise, resolve };
    }
    return this.#changed.promise;
  }

  /**
   * Adds an event; isReady() must have said yes to its line.
   *
   * @param other has scanned the same event in the other mode; null = its lanes are left 0
   */
  put(event: EventScan, other: EventScan | null): void {
    const batch = this.#open!;
    const at = KEY_LANES * batch.count;
    // Calls of set() and fill() would cost more than four numbers.
    for (let lane = 0; lane < 4; lane++) {
      batch.keys[at + this.#lanes + lane] = event.key[lane]!;
      batch.keys[at + this.#otherLanes + lane] = other === null ? 0 : other.key[lane]!;
    }
    batch.end = event.writeLine(batch.bytes, batch.end);
    batch.ends[batch.count++] = batch.end;
  }

  /** A position changed. */
  moved(): void {
    this.#hasMoved = true;
  }

  /**
   * For a reader that is about to wait for the network: what is new goes at once, unless something
   * went just before. So a single event waits for nothing, and a burst goes in few batches.
   */
  offer(): void {
    if (this.#isClosed || this.#timer !== undefined) return;
    if (!this.#hasLines && !this.#hasMoved) return;
    const waitMs = this.#postedMs + BATCH_DELAY_MS - performance.now();
    if (waitMs <= 0) return this.#postUnlessBehind();
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#postUnlessBehind();
    }, waitMs);
  }

  /** Posts what is new. */
  flush(): void {
    this.#isDue = false;
    if (!this.#hasLines && !this.#hasMoved) return;
    this.#hasMoved = false;
    this.#postedMs = performance.now();
    const positions = this.#outlet.positions();
    if (!this.#hasLines) return this.#outlet.post({ type: "batch", buffer: null, positions });
    const { head, count, end, buffer } = this.#open!;
    head[0] = count;
    head[1] = end;
    this.#open = null;
    this.#away++;
    this.#outlet.post({ type: "batch", buffer, positions });
  }

  /** Takes back a buffer. */
  give(buffer: ArrayBuffer): void {
    this.#away--;
    this.#keep(buffer);
    if (this.#isDue) this.#postUnlessBehind();
    this.#wake();
  }

  /** Wakes those who wait: nothing will be taken any more. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#wake();
  }

  /**
   * While main is behind, what is new goes when a buffer comes back, and what comes until then goes
   * with it: so main has full batches to catch up with, not many small ones, and nothing piles up
   * in its queue.
   */
  #postUnlessBehind(): void {
    const isBehind = this.#hasLines ? this.#free.length === 0 && this.#away > 0 : this.#away > 0;
    if (isBehind) this.#isDue = true;
    else this.flush();
  }

  get #hasLines(): boolean {
    return this.#open !== null && this.#open.count > 0;
  }

  /** A buffer of the pool is free again; a bigger one goes, and its token with it. */
  #keep(buffer: ArrayBuffer): void {
    if (buffer.byteLength > this.#poolBytes) {
      this.#free.push(this.#token!);
      this.#token = null;
    } else this.#free.push(buffer);
  }

  #bigger(bytes: number): ArrayBuffer | null {
    if (this.#token !== null || this.#free.length === 0) return null;
    this.#token = this.#free.pop()!;
    return new ArrayBuffer(Math.ceil(bytes / 4) * 4);
  }

  #wake(): void {
    this.#changed?.resolve();
    this.#changed = null;
  }
}

function openBatch(buffer: ArrayBuffer): OpenBatch {
  return {
    buffer,
    head: new Uint32Array(buffer, 0, 2),
    keys: new Uint32Array(buffer, KEYS_AT, KEY_LANES * BATCH_EVENTS_MAX),
    ends: new Uint32Array(buffer, ENDS_AT, BATCH_EVENTS_MAX),
    bytes: new Uint8Array(buffer),
    count: 0,
    end: BATCH_LINES_AT,
  };
}
