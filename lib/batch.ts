/**
 * A batch of events: what travels from the watch isolate to main, in a buffer of lib/batch_pool.ts.
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
 * While main has all buffers of the pool, the readers wait. A line that is too long for one travels
 * alone in memory made for it, and a buffer of the pool stands for it; at most one such is under
 * way.
 */

import type { BatchPool } from "./batch_pool.ts";
import { invariant } from "./errors.ts";
import type { EventScan } from "./event_scan.ts";
import type { Timer } from "./io.ts";
import { BATCH_BYTES, BATCH_DELAY_MS, BATCH_EVENTS_MAX } from "./limits.ts";
import {
  type BatchPlace,
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
  readonly keys: Uint32Array;
  /** Holds the lines, at start() to end(). */
  readonly bytes: Uint8Array;
  readonly #ends: Uint32Array;

  /** @param place of a message of type "batch"; valid until its buffer is freed */
  constructor(pool: BatchPool, { buffer, long }: BatchPlace) {
    const memory = long ?? pool.memory;
    const at = long === null ? pool.startOf(buffer) : 0;
    const [count = 0, end = 0] = new Uint32Array(memory, at, 2);
    this.count = count;
    this.keys = new Uint32Array(memory, at + KEYS_AT, KEY_LANES * count);
    this.bytes = new Uint8Array(memory, at, end);
    this.#ends = new Uint32Array(memory, at + ENDS_AT, count);
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
  /** Posts to main; the memory of a long line is transferred. */
  post(message: FromWatch): void;
  /** Where all watches stand now. */
  positions(): (Position | null)[];
}

/** The batch being filled: where it will be, and views of the memory that it is made in. */
interface OpenBatch {
  readonly place: BatchPlace;
  readonly head: Uint32Array;
  readonly keys: Uint32Array;
  readonly ends: Uint32Array;
  readonly bytes: Uint8Array;
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
  readonly #pool: BatchPool;
  /**
   * Batches are made in here and copied into their buffers whole: V8 copies into shared memory byte
   * by byte where source and target do not stand alike, as lines do, at ten times the cost.
   */
  readonly #draft: Uint8Array<ArrayBuffer>;
  #open: OpenBatch | null = null;
  /** The buffer that stood for the last long line, until it is taken for something else. */
  #long: number | null = null;
  #hasMoved = false;
  #isDue = false;
  #timer: Timer | undefined;
  /** When something was posted last, on performance.now(). */
  #postedMs = -Infinity;
  #isClosed = false;
  #changed: { promise: Promise<void>; resolve: () => void } | null = null;

  /** @param draft BATCH_BYTES that nobody else uses, such as those of an EventModule */
  constructor(
    outlet: BatchOutlet,
    pool: BatchPool,
    identity: IdentityMode,
    draft: Uint8Array<ArrayBuffer> = new Uint8Array(BATCH_BYTES),
  ) {
    invariant(draft.length === BATCH_BYTES, "the draft has the size of a batch");
    this.#draft = draft;
    this.#outlet = outlet;
    this.#pool = pool;
    this.#lanes = LANES_OF[identity];
    this.#otherLanes = LANES_OF[identity === "content" ? "name-count" : "content"];
  }

  /** Whether a line of so many bytes can be put now; posts a full batch to make it so. */
  isReady(lineBytes: number): boolean {
    if (this.#open !== null) {
      const { count, end, bytes } = this.#open;
      if (count < BATCH_EVENTS_MAX && end + lineBytes <= bytes.length) return true;
      this.flush();
      this.#dropUnused();
    }
    const isLong = BATCH_LINES_AT + lineBytes > BATCH_BYTES;
    if (isLong && this.#long !== null && this.#pool.isTaken(this.#long)) return false;
    const buffer = this.#pool.take();
    if (buffer === null) return false;
    if (isLong) this.#long = buffer;
    else if (buffer === this.#long) this.#long = null;
    const long = isLong ? new ArrayBuffer(4 * Math.ceil((BATCH_LINES_AT + lineBytes) / 4)) : null;
    this.#open = openBatch({ buffer, long }, long === null ? this.#draft : new Uint8Array(long));
    return true;
  }

  /**
   * Settles when {@linkcode isReady} may have become true for a line of so many bytes, or after
   * close(). Ask again then: another reader may have been faster.
   */
  async changed(lineBytes: number): Promise<void> {
    this.#pool.ask();
    if (this.#isClosed || this.isReady(lineBytes)) return; // One came back before that was asked.
    this.#changed ??= Promise.withResolvers();
    await this.#changed.promise;
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
    if (!this.#hasLines) return this.#outlet.post({ type: "batch", place: null, positions });
    const { head, count, end, place } = this.#open!;
    head[0] = count;
    head[1] = end;
    if (place.long === null) this.#pool.fill(place.buffer, this.#draft, end);
    this.#open = null;
    this.#outlet.post({ type: "batch", place, positions });
  }

  /** Main gave a buffer back, as was asked for. */
  freed(): void {
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
    this.#isDue = this.#isBehind && this.#isBehindAndAsked();
    if (!this.#isDue) this.flush();
  }

  get #isBehind(): boolean {
    const { taken, count } = this.#pool;
    const away = taken - (this.#open === null ? 0 : 1);
    return away > 0 && (taken === count || !this.#hasLines);
  }

  #isBehindAndAsked(): boolean {
    this.#pool.ask();
    return this.#isBehind; // Or a buffer came back before that was asked.
  }

  get #hasLines(): boolean {
    return this.#open !== null && this.#open.count > 0;
  }

  /** A batch that was opened, and into which nothing was put. */
  #dropUnused(): void {
    if (this.#open !== null && this.#pool.free(this.#open.place.buffer)) this.#wake();
    this.#open = null;
  }

  #wake(): void {
    this.#changed?.resolve();
    this.#changed = null;
  }
}

function openBatch(place: BatchPlace, bytes: Uint8Array<ArrayBuffer>): OpenBatch {
  const { buffer, byteOffset } = bytes;
  return {
    place,
    head: new Uint32Array(buffer, byteOffset, 2),
    keys: new Uint32Array(buffer, byteOffset + KEYS_AT, KEY_LANES * BATCH_EVENTS_MAX),
    ends: new Uint32Array(buffer, byteOffset + ENDS_AT, BATCH_EVENTS_MAX),
    bytes,
    count: 0,
    end: BATCH_LINES_AT,
  };
}
