/**
 * The body of an HTTP answer, as the splitters of a LIST and a WATCH want to read it.
 */

import { setImmediate } from "node:timers";
import { ApiFailure } from "./api_failure.ts";
import { messageOf } from "./errors.ts";
import { TURN_MS, WAITED_MS } from "./limits.ts";

/** What a read brought; at the end no value that counts. */
export interface BodyResult {
  done: boolean;
  value?: Uint8Array<ArrayBuffer> | undefined;
}

/** Reads into the memory that it is given; `value` holds that memory from then on. */
export interface BodyReader {
  read(room: Uint8Array<ArrayBuffer>): Promise<BodyResult>;
  cancel(): Promise<void>;
}

/** What a body is read from: that of a fetch(), or of lib/http_connection.ts. */
export type BodySource = ReadableStream<Uint8Array<ArrayBuffer>> | BodyReader;

/** As much of an answer as is needed: a Response is one. */
export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  readonly body: BodySource | null;
}

/**
 * The body of an answer, read into memory that the caller gives and gets back.
 *
 * An abort also cancels the reader. On its own it may be lost: fetch() follows a signal that is
 * derived from the given one, and Deno (2.6.10, 2.8.3) lets the garbage collector take that one
 * once the header is there.
 */
export class Body {
  readonly #reader: BodyReader;
  readonly #signal: AbortSignal;
  /** When the event loop is known to have turned last, on performance.now(). */
  #turnedMs = performance.now();

  constructor(source: BodySource, signal: AbortSignal) {
    this.#reader = source instanceof ReadableStream ? source.getReader({ mode: "byob" }) : source;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.cancel(), { once: true });
    if (signal.aborted) this.cancel();
  }

  /** Nothing more of it is wanted. */
  cancel(): void {
    // Where the stream broke or an abort got through to it, there is nothing to cancel.
    this.#reader.cancel().catch(() => {});
  }

  /**
   * The next bytes: at the front of `room`, whose memory moves into the result; null at the end.
   *
   * @throws ApiFailure where the connection broke; the abort's reason
   */
  async read(room: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    let result: BodyResult;
    try {
      result = await this.#readAndTurn(room);
    } catch (error) {
      if (this.#signal.aborted) throw this.#signal.reason;
      throw new ApiFailure(messageOf(error));
    }
    if (this.#signal.aborted) throw this.#signal.reason;
    return result.done ? null : result.value!;
  }

  /**
   * A read that finds its bytes at once does not let the event loop turn (Deno polls it in the
   * call): while there always are some, no timer would fire and no message arrive. A timer of 0 ms
   * would do, and take over a millisecond.
   */
  async #readAndTurn(room: Uint8Array<ArrayBuffer>): Promise<BodyResult> {
    if (performance.now() - this.#turnedMs >= TURN_MS) {
      await new Promise<void>((resolve) => setImmediate(() => resolve()));
      this.#turnedMs = performance.now();
    }
    const beganMs = performance.now();
    const result = await this.#reader.read(room);
    const endedMs = performance.now();
    if (endedMs - beganMs >= WAITED_MS) this.#turnedMs = endedMs;
    return result;
  }
}
