/**
 * The lexical half of the fast way through JSON (lib/event_grammar.ts): values that are already
 * spelled as docs/FORMAT.md, Identity, has them.
 *
 * That is a part of JSON: no whitespace, ASCII strings with few escapes, integers. Functions named
 * ...End return the index in [start, end) behind what they read, or -1 for "not this grammar",
 * which does not mean that it is no JSON. Nothing is allocated.
 */

import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from "./json_bytes.ts";
import { FAST_NESTING_MAX } from "./limits.ts";

const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

/** 1 where a byte of a string stands for itself, raw, also in the canonical text. */
const PLAIN = new Uint8Array(256).fill(1, 0x20, 0x80);
for (const special of '"\\<>&') PLAIN[special.charCodeAt(0)] = 0;

const encoder = new TextEncoder();

/** Whether [at, end) begins with all of `expected`. */
export function startsWith(
  bytes: Uint8Array,
  at: number,
  end: number,
  expected: Uint8Array,
): boolean {
  if (end - at < expected.length) return false;
  for (let i = 0; i < expected.length; i++) {
    if (bytes[at + i] !== expected[i]) return false;
  }
  return true;
}

/** Behind a string. */
export function stringEnd(bytes: Uint8Array, start: number, end: number): number {
  if (start >= end || bytes[start] !== QUOTE) return -1;
  let at = start + 1;
  for (;;) {
    while (at < end && PLAIN[bytes[at]!] === 1) at++;
    if (at >= end) return -1;
    if (bytes[at] === QUOTE) return at + 1;
    if (bytes[at] !== BACKSLASH) return -1;
    at = escapeEnd(bytes, at + 1, end);
    if (at < 0) return -1;
  }
}

const ANGLE_AND_AMPERSAND = ["u003c", "u003e", "u0026"].map((text) => encoder.encode(text));

/** An escape behind its backslash: one of those that are canonical and that Events often have. */
function escapeEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1;
  switch (bytes[at]) {
    case QUOTE:
    case BACKSLASH:
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 1;
  }
  for (const expected of ANGLE_AND_AMPERSAND) {
    if (startsWith(bytes, at, end, expected)) return at + expected.length;
  }
  return -1;
}

/** The bytes of `null`. */
export const NULL = encoder.encode("null");
const TRUE = encoder.encode("true");
const FALSE = encoder.encode("false");

/** Behind a string, integer, `null`, `true` or `false`. */
export function scalarEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1;
  if (bytes[at] === QUOTE) return stringEnd(bytes, at, end);
  if (startsWith(bytes, at, end, NULL)) return at + NULL.length;
  if (startsWith(bytes, at, end, TRUE)) return at + TRUE.length;
  if (startsWith(bytes, at, end, FALSE)) return at + FALSE.length;
  return integerEnd(bytes, at, end);
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/**
 * An integer in plain digits, which is canonical at any length. No -0, no leading zero, and no
 * fraction or exponent: what is left of those is no `,` `}` or `]`, and the caller stops at it.
 */
function integerEnd(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start] === MINUS ? start + 1 : start;
  if (first >= end || !isDigit(bytes[first]!)) return -1;
  if (bytes[first] === ZERO) return first === start ? first + 1 : -1;
  let at = first + 1;
  while (at < end && isDigit(bytes[at]!)) at++;
  return at;
}

/** Behind any `"key":value` in an object that is itself at the given depth; the outermost is 1. */
export function memberEnd(bytes: Uint8Array, at: number, end: number, depth: number): number {
  const colon = stringEnd(bytes, at, end);
  if (colon < 0 || colon >= end || bytes[colon] !== COLON) return -1;
  return valueEnd(bytes, colon + 1, end, depth);
}

/** Behind any value in an object or array at the given depth. */
function valueEnd(bytes: Uint8Array, start: number, end: number, depth: number): number {
  if (start + 1 >= end) return -1;
  const isObject = bytes[start] === OPEN_OBJECT;
  if (!isObject && bytes[start] !== OPEN_ARRAY) return scalarEnd(bytes, start, end);
  const close = isObject ? CLOSE_OBJECT : CLOSE_ARRAY;
  if (depth >= FAST_NESTING_MAX) return -1;
  if (bytes[start + 1] === close) return start + 2;
  let at = start;
  do {
    at++;
    at = isObject ? memberEnd(bytes, at, end, depth + 1) : valueEnd(bytes, at, end, depth + 1);
    if (at < 0) return -1;
  } while (at < end && bytes[at] === COMMA);
  return at < end && bytes[at] === close ? at + 1 : -1;
}
