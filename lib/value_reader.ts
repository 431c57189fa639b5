/**
 * Finds where a JSON value ends when its bytes come in pieces.
 *
 * Only strings, escapes and the depth of brackets are tracked, so what it finds need not be valid
 * JSON; but of valid JSON it finds the exact end. Each byte is looked at once.
 */

import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COMMA,
  isSpace,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from "./json_bytes.ts";

/** Whether a number or literal is over at this byte. */
export function endsScalar(byte: number): boolean {
  return byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || isSpace(byte);
}

/** Reads one value after another: begin(), then read() until isWhole. */
export class ValueReader {
  /** The end of the value was found. */
  isWhole = false;
  #isScalar = false;
  #inString = false;
  #escaped = false;
  #depth = 0;

  /** Starts on a value whose first byte is `first`; it is to be read too. */
  begin(first: number): void {
    this.isWhole = false;
    this.#isScalar = first !== QUOTE && first !== OPEN_OBJECT && first !== OPEN_ARRAY;
    this.#inString = false;
    this.#escaped = false;
    this.#depth = 0;
  }

  /** Reads on at `start`; returns where the value or the bytes end. */
  read(bytes: Uint8Array, start: number): number {
    let at = start;
    while (at < bytes.length && !this.isWhole) {
      if (this.#inString) at = this.#readString(bytes, at);
      else if (this.#isScalar) {
        this.isWhole = endsScalar(bytes[at]!);
        if (!this.isWhole) at++;
      } else this.#takeBracket(bytes[at++]!);
    }
    return at;
  }

  #takeBracket(byte: number): void {
    if (byte === QUOTE) this.#inString = true;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) this.#depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) this.isWhole = --this.#depth === 0;
  }

  #readString(bytes: Uint8Array, start: number): number {
    for (let at = start; at < bytes.length; at++) {
      const byte = bytes[at];
      if (this.#escaped) this.#escaped = false;
      else if (byte === BACKSLASH) this.#escaped = true;
      else if (byte === QUOTE) {
        this.#inString = false;
        this.isWhole = this.#depth === 0;
        return at + 1;
      }
    }
    return bytes.length;
  }
}
