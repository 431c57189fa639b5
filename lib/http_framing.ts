/**
 * HTTP/1.1 on the side that reads (RFC 9112): the head of an answer, and where its body ends.
 *
 * Strict where a guess could hide a cut: what is not exactly a length or a chunk is a failure.
 */

import { ApiFailure } from "./api_failure.ts";
import { CHUNK_DIGITS_MAX, CHUNK_EXTENSION_BYTES_MAX, HEAD_BYTES_MAX } from "./limits.ts";

const CR = 0x0d;
const LF = 0x0a;
const SEMICOLON = 0x3b;

/** Of a chunk's size: as many as 64 KiB less one take. */
const EVENT_DIGITS = 4;

/** The head of an answer. */
export interface AnswerHead {
  status: number;
  statusText: string;
  headers: Headers;
  /** The server is ready for another request behind this answer. */
  isKept: boolean;
}

/** Where the head ends that these bytes begin with: behind its empty line; -1 where it does not. */
export function headEnd(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}

/** Reads a whole head. @throws ApiFailure where it is none of HTTP/1 */
export function parseHead(bytes: Uint8Array): AnswerHead {
  // Latin-1, as header fields are; every byte is a character.
  const [first = "", ...lines] = new TextDecoder("latin1").decode(bytes).split(/\r?\n/);
  const [, minor, status, statusText = ""] = /^HTTP\/1\.([01]) (\d{3})(?: (.*))?$/.exec(first) ??
    [];
  if (status === undefined) throw new ApiFailure("the answer is no HTTP/1.1");
  const headers = new Headers();
  for (const line of lines.filter((line) => line !== "")) {
    const [, name, value = ""] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ??
      [];
    if (name === undefined) throw new ApiFailure("the answer has a header that is none");
    headers.append(name, value);
  }
  const isKept = minor === "1" && !/\bclose\b/i.test(headers.get("connection") ?? "");
  return { status: Number(status), statusText, headers, isKept };
}

/** Finds the bytes of a body among those of a connection. */
export interface Framing {
  /** The body is over. */
  readonly isDone: boolean;
  /** So far nothing came behind the body, and the connection outlives it. */
  readonly isReusable: boolean;
  /**
   * Moves the body's bytes among the first `count` to the front of `bytes`, over what frames them.
   * Bytes behind the end of the body are dropped.
   *
   * @returns how many there are
   * @throws ApiFailure where the frames are none
   */
  take(bytes: Uint8Array, count: number): number;
  /** The connection ended. @throws ApiFailure where the body is not whole */
  end(): void;
}

/** How the body of an answer is framed. @throws ApiFailure */
export function framingOf({ status, headers }: Omit<AnswerHead, "isKept">): Framing {
  if (status === 204 || status === 304) return new LengthFraming(0);
  const coding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (coding !== null) {
    if (coding.toLowerCase() === "chunked" && length === null) return new ChunkFraming();
    throw new ApiFailure("the answer's body has a transfer encoding that was not asked for");
  }
  if (length === null) return new OpenFraming();
  if (!/^\d{1,15}$/.test(length)) throw new ApiFailure("the answer's Content-Length is no number");
  return new LengthFraming(Number(length));
}

/** A body of a known length. */
class LengthFraming implements Framing {
  isReusable = true;
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  take(_bytes: Uint8Array, count: number): number {
    const taken = Math.min(count, this.#left);
    if (taken < count) this.isReusable = false;
    this.#left -= taken;
    return taken;
  }

  end(): void {
    if (this.#left > 0) throw cutOff();
  }
}

/** A body that ends with its connection, as before HTTP/1.1. */
class OpenFraming implements Framing {
  isDone = false;
  readonly isReusable = false;

  take(_bytes: Uint8Array, count: number): number {
    return count;
  }

  end(): void {
    this.isDone = true;
  }
}

/** What must come next of a chunked body. */
type State = "size" | "extension" | "size end" | "data" | "data end" | "trailer" | "nothing";

/** A body in chunks. A WATCH has one for each event, so this is on the hot path. */
class ChunkFraming implements Framing {
  isReusable = true;
  #state: State = "size";
  /** Of the chunk's size, while it is read; then bytes of the chunk that are still to come. */
  #left = 0;
  #digits = 0;
  /** Bytes of an extension or of the trailer so far. */
  #skipped = 0;
  /** Bytes of the line that is read: of `\r\n` behind a chunk, or of a trailer's line. */
  #lineBytes = 0;

  get isDone(): boolean {
    return this.#state === "nothing";
  }

  take(bytes: Uint8Array, count: number): number {
    let to = 0;
    for (let at = 0; at < count;) {
      if (this.#state === "data") {
        const end = Math.min(count, at + this.#left);
        if (at > to) bytes.copyWithin(to, at, end);
        to += end - at;
        this.#left -= end - at;
        at = end;
        if (this.#left > 0) break;
        this.#state = "data end";
        at = this.#betweenChunks(bytes, at, count);
      } else if (this.#state === "nothing") {
        this.isReusable = false;
        break;
      } else this.#frame(bytes[at++]!);
    }
    return to;
  }

  end(): void {
    if (!this.isDone) throw cutOff();
  }

  /**
   * What stands between two chunks of a WATCH, if all of it is there: the end of one, the size of
   * the next in as many digits as an event takes. Anything else is left to #frame().
   *
   * @returns where the next one's data begins; `at` where nothing was taken
   */
  #betweenChunks(bytes: Uint8Array, at: number, count: number): number {
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return at;
    let size = 0;
    let next = at + 2;
    for (; next < at + 2 + EVENT_DIGITS; next++) {
      const digit = hexDigit(bytes[next]!);
      if (digit < 0) break;
      size = 16 * size + digit;
    }
    if (size === 0 || next + 2 > count || bytes[next] !== CR || bytes[next + 1] !== LF) return at;
    this.#left = size;
    this.#state = "data";
    return next + 2;
  }

  /** One byte that is no part of the body. */
  #frame(byte: number): void {
    switch (this.#state) {
      case "size":
        return this.#size(byte);
      case "extension":
        if (byte === CR) this.#state = "size end";
        else if (byte === LF || ++this.#skipped > CHUNK_EXTENSION_BYTES_MAX) throw noChunk();
        return;
      case "size end":
        if (byte !== LF) throw noChunk();
        this.#state = this.#left > 0 ? "data" : "trailer";
        this.#digits = this.#skipped = this.#lineBytes = 0;
        return;
      case "data end":
        if (byte !== (this.#lineBytes === 0 ? CR : LF)) throw noChunk();
        if (this.#lineBytes++ === 0) return;
        this.#lineBytes = 0;
        this.#state = "size";
        return;
      case "trailer":
        return this.#trailer(byte);
    }
  }

  #size(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (++this.#digits > CHUNK_DIGITS_MAX) throw noChunk();
      this.#left = 16 * this.#left + digit;
    } else if (this.#digits === 0) throw noChunk();
    else if (byte === CR) this.#state = "size end";
    else if (byte === SEMICOLON) this.#state = "extension";
    else throw noChunk();
  }

  /** Lines up to an empty one; what they say is of no interest. */
  #trailer(byte: number): void {
    if (++this.#skipped > HEAD_BYTES_MAX) throw noChunk();
    if (byte === LF) {
      if (this.#lineBytes === 0) this.#state = "nothing";
      this.#lineBytes = 0;
    } else if (byte !== CR) this.#lineBytes++;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function noChunk(): ApiFailure {
  return new ApiFailure("the answer's body is not in chunks as it says");
}

function cutOff(): ApiFailure {
  return new ApiFailure("the connection ended in the middle of the answer's body");
}
