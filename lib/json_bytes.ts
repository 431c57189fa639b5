/**
 * Helpers on the bytes of JSON texts, for the ways that are not hot.
 *
 * parseJson() is the judge of what is valid; everything else here either asks it first or works
 * on bytes that it (or the fast grammar of lib/event_grammar.ts) has already accepted.
 */

import { type JsonTree, parseTree } from "./json_tree.ts";
import { EXCERPT_BYTES_MAX, NESTING_MAX } from "./limits.ts";

/** Bytes of JSON's grammar. */
export const QUOTE = 0x22;
/** `,` */
export const COMMA = 0x2c;
/** `:` */
export const COLON = 0x3a;
/** `[` */
export const OPEN_ARRAY = 0x5b;
/** `\` */
export const BACKSLASH = 0x5c;
/** `]` */
export const CLOSE_ARRAY = 0x5d;
/** `{` */
export const OPEN_OBJECT = 0x7b;
/** `}` */
export const CLOSE_OBJECT = 0x7d;

/** An answer is not what the API promises. Its stream is ended and asked for again. */
export class FormatError extends Error {
  override readonly name = "FormatError";
}

// A BOM is no JSON: with ignoreBOM it stays in the text, where JSON.parse refuses it.
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenientUtf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * Parses the bytes in [start, end) as one JSON text: UTF-8 without a BOM, whitespace around it
 * allowed, valid where JSON.parse says so.
 *
 * @throws FormatError whose message says what is wrong, printable
 */
export function parseJson(
  bytes: Uint8Array,
  start: number,
  end: number,
  nestingMax: number = NESTING_MAX,
): JsonTree {
  let text: string;
  try {
    text = strictUtf8.decode(bytes.subarray(start, end));
  } catch {
    // TextDecoder has one error for one reason: the bytes are no UTF-8.
    throw new FormatError("not UTF-8");
  }
  if (nesting(bytes, start, end) > nestingMax) {
    throw new FormatError(`nested deeper than ${nestingMax} levels`);
  }
  try {
    return parseTree(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new FormatError(`not JSON: ${printable(error.message)}`);
  }
}

/** The deepest nesting of brackets outside strings, in valid JSON; some number in other bytes. */
function nesting(bytes: Uint8Array, start: number, end: number): number {
  let depth = 0;
  let deepest = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) at = stringEnd(bytes, at, end) - 1;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) deepest = Math.max(deepest, ++depth);
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
  }
  return deepest;
}

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

/** Space, tab, line feed, carriage return: what RFC 8259 allows between tokens. */
export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** The first index in [start, end) that holds no whitespace, else `end`. */
export function skipSpace(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && isSpace(bytes[at])) at++;
  return at;
}

/** The end of [start, end) without its last whitespace; `start` where there is nothing else. */
export function trimEnd(bytes: Uint8Array, start: number, end: number): number {
  let at = end;
  while (at > start && isSpace(bytes[at - 1])) at--;
  return at;
}

/** Behind the closing quote of the string that opens at `at`; `end` where it does not close. */
function stringEnd(bytes: Uint8Array, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    if (bytes[i] === BACKSLASH) i++;
    else if (bytes[i] === QUOTE) return i + 1;
  }
  return end;
}

/** Behind the value that begins at `at`, in valid JSON. */
function valueEnd(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at];
  if (first === QUOTE) return stringEnd(bytes, at, end);
  const nested = first === OPEN_OBJECT || first === OPEN_ARRAY;
  let depth = 0;
  for (let i = at; i < end; i++) {
    const byte = bytes[i]!;
    if (!nested && (byte === COMMA || byte === CLOSE_OBJECT || isSpace(byte))) return i;
    if (byte === QUOTE) i = stringEnd(bytes, i, end) - 1;
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
    else if ((byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) && --depth === 0) return i + 1;
  }
  return end;
}

/**
 * Where the value of a field stands in the bytes of a valid JSON object, whose whitespace and key
 * order are free. Of duplicates the last, as JSON.parse has it. Null where there is none.
 */
export function fieldRange(
  bytes: Uint8Array,
  start: number,
  end: number,
  name: string,
): { start: number; end: number } | null {
  let found: { start: number; end: number } | null = null;
  for (const member of members(bytes, start, end)) {
    if (member.name === name) found = { start: member.valueStart, end: member.end };
  }
  return found;
}

/**
 * The bytes of a valid JSON object without a field, all of its duplicates included. With each goes
 * the comma before it, or behind it where nothing else is before it; every other byte stays.
 */
export function withoutField(
  bytes: Uint8Array,
  start: number,
  end: number,
  name: string,
): Uint8Array {
  const all = [...members(bytes, start, end)];
  const rest = new Uint8Array(end - start);
  let length = 0;
  let from = start;
  let hasKept = false;
  const keepTo = (to: number) => {
    rest.set(bytes.subarray(from, to), length);
    length += to - from;
  };
  for (const [index, member] of all.entries()) {
    if (member.name !== name) {
      hasKept = true;
      continue;
    }
    keepTo(hasKept ? all[index - 1]!.end : member.start);
    from = hasKept ? member.end : all[index + 1]?.start ?? member.end;
  }
  keepTo(end);
  return rest.subarray(0, length);
}

/** A field of an object with its key, as a range of bytes. */
interface Member {
  readonly name: string;
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** The fields of a valid JSON object, in their order. */
function* members(bytes: Uint8Array, start: number, end: number): Generator<Member> {
  let at = skipSpace(bytes, skipSpace(bytes, start, end) + 1, end);
  while (at < end && bytes[at] === QUOTE) {
    const keyEnd = stringEnd(bytes, at, end);
    const name = JSON.parse(strictUtf8.decode(bytes.subarray(at, keyEnd)));
    const colon = skipSpace(bytes, keyEnd, end);
    const valueStart = skipSpace(bytes, colon + 1, end);
    const member = { name, start: at, valueStart, end: valueEnd(bytes, valueStart, end) };
    yield member;
    at = skipSpace(bytes, member.end, end);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1, end);
  }
}

/**
 * Whether valid JSON holds bytes that some line splitter takes for a line end: raw control bytes
 * (in valid JSON only between tokens), or U+0085, U+2028, U+2029 in strings.
 */
export function breaksLines(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte < 0x20 || lineEndLength(bytes, at, end) > 0) return true;
  }
  return false;
}

/** The bytes of the raw U+0085, U+2028 or U+2029 at `at`, else 0. */
function lineEndLength(bytes: Uint8Array, at: number, end: number): number {
  const byte = bytes[at]!;
  if (byte === 0xc2) return at + 1 < end && bytes[at + 1] === 0x85 ? 2 : 0;
  if (byte !== 0xe2 || at + 2 >= end || bytes[at + 1] !== 0x80) return 0;
  return bytes[at + 2] === 0xa8 || bytes[at + 2] === 0xa9 ? 3 : 0;
}

const ESCAPES: ReadonlyMap<number, Uint8Array> = new Map(
  [[0x85, "\\u0085"], [0xa8, "\\u2028"], [0xa9, "\\u2029"]].map(([byte, text]) => [
    byte as number,
    new TextEncoder().encode(text as string),
  ]),
);

/**
 * Writes valid JSON (or what follows a token of it) as one line: without whitespace between
 * tokens, U+0085, U+2028 and U+2029 escaped, every other byte as it is. Writes nothing where
 * `into` is null. Returns the number of bytes.
 */
export function writeOnOneLine(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array | null,
  offset: number,
): number {
  let to = offset;
  let inString = false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (!inString && isSpace(byte)) continue;
    const length = lineEndLength(bytes, at, end);
    if (length > 0) {
      const escape = ESCAPES.get(bytes[at + length - 1]!)!;
      into?.set(escape, to);
      to += escape.length;
      at += length - 1;
      continue;
    }
    if (into !== null) into[to] = byte;
    to++;
    if (byte === QUOTE) inString = !inString;
    else if (byte === BACKSLASH) {
      // The escaped byte is ASCII in valid JSON, and never ends the string.
      at++;
      if (into !== null) into[to] = bytes[at]!;
      to++;
    }
  }
  return to - offset;
}

/** Control characters, line separators and DEL as \u escapes, so that a text stays one log line. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** The first bytes of [start, end) for a log: printable, bad UTF-8 replaced, `...` if cut. */
export function excerpt(
  bytes: Uint8Array,
  start: number,
  end: number,
  bytesMax: number = EXCERPT_BYTES_MAX,
): string {
  const cut = Math.min(end, start + bytesMax);
  return printable(lenientUtf8.decode(bytes.subarray(start, cut))) + (cut < end ? "..." : "");
}
