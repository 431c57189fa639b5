/**
 * From the bytes of an Event object to its verdict, resourceVersion, identity and line.
 *
 * Two ways with the same results: the fast grammar of lib/event_grammar.ts for what an API server
 * writes nearly always, and JSON.parse for everything else. tests/property/event_scan_test.ts
 * holds them to each other. A scan points into the caller's bytes: take the line before they move.
 */

import { EventGrammar, type Range } from "./event_grammar.ts";
import { identityOf, IdentitySum, nameCountIdentity } from "./identity.ts";
import {
  BACKSLASH,
  breaksLines,
  FormatError,
  parseJson,
  QUOTE,
  skipSpace,
  trimEnd,
  writeOnOneLine,
} from "./json_bytes.ts";
import type { JsonObject, JsonTree } from "./json_tree.ts";
import type { IdentityMode } from "./protocol.ts";

/** Longer events are rare: to look for the end of each among more bytes would not pay, bytes. */
const EVENT_BYTES_USUAL = 4 * 1024;

const LINE_FEED = 0x0a;
const LOWER_N = 0x6e;

/**
 * What is put in front of the rest of an object without it, in place of its `{`. A LIST has kind
 * and apiVersion once, above its items (kubernetes/kubernetes#3030); a WATCH in each object.
 */
const TYPE_META = {
  none: new Uint8Array(),
  both: new TextEncoder().encode('{"kind":"Event","apiVersion":"v1",'),
  kind: new TextEncoder().encode('{"kind":"Event",'),
  apiVersion: new TextEncoder().encode('{"apiVersion":"v1",'),
};

/**
 * Scans the event that begins at `start`, to know where it ends; -1 where it cannot. What looks for
 * the ends of events asks it first: so most of them are looked at only once.
 */
export type ScanFirst = (bytes: Uint8Array, start: number) => number;

/** Reads one event at a time; what it found holds until the next scan. */
export class EventScan {
  /** The identity (lib/identity.ts). */
  readonly key: Uint32Array = new Uint32Array(4);
  /** metadata.resourceVersion: never empty, otherwise opaque. */
  resourceVersion = "";
  /** The way that gave the verdict. */
  path: "fast" | "slow" = "fast";

  /** Bytes that writeLine() writes. */
  lineLength = 0;

  readonly #grammar = new EventGrammar();
  readonly #sum = new IdentitySum();
  #bytes: Uint8Array = new Uint8Array();
  #typeMeta: Uint8Array = TYPE_META.none;
  /** What follows #typeMeta on the line. */
  readonly #body: Range = { start: 0, end: 0 };
  #breaksLines = false;

  /**
   * Reads the Event object in [start, end).
   *
   * @returns null where it is valid JSON and an object with metadata and a resourceVersion, else
   * the reason in words; then nothing else here means anything
   */
  scan(bytes: Uint8Array, start: number, end: number, mode: IdentityMode): string | null {
    if (this.#scanFast(bytes, start, end, mode) === end) return null;
    return this.scanSlowly(bytes, start, end, mode);
  }

  /**
   * Reads the Event object that begins at `start`, where it ends nobody knows.
   *
   * @returns its end; -1 where scan() has to be asked, since the object is not whole, is longer
   * than EVENT_BYTES_USUAL or none for the fast way; then nothing else here means anything
   */
  scanFirst(bytes: Uint8Array, start: number, mode: IdentityMode): number {
    return this.#scanFast(bytes, start, Math.min(bytes.length, start + EVENT_BYTES_USUAL), mode);
  }

  /** Reads the event that begins at `start`. Returns its end, -1 where the fast way cannot. */
  #scanFast(bytes: Uint8Array, start: number, limit: number, mode: IdentityMode): number {
    const grammar = this.#grammar;
    const end = grammar.accept(bytes, start, limit);
    if (end < 0 || !isPlain(grammar, bytes, mode)) return -1;
    this.path = "fast";
    this.resourceVersion = asciiText(bytes, grammar.resourceVersion, this.resourceVersion);
    if (mode === "content") {
      for (let lane = 0; lane < 4; lane++) this.key[lane] = grammar.key[lane]!;
    } else {
      const name = grammar.hasName ? asciiText(bytes, grammar.name) : "None";
      const { count } = grammar;
      const hasCount = count.end > count.start && !startsWithByte(bytes, count, LOWER_N);
      nameCountIdentity(name, hasCount ? asciiText(bytes, count) : "None", this.key);
    }
    const typeMeta = grammar.hasTypeMeta ? TYPE_META.none : TYPE_META.both;
    this.#keepLine(bytes, start, end, typeMeta, false);
    return end;
  }

  /** scan() without the fast way, for any spelling of JSON, with whitespace around the object. */
  scanSlowly(bytes: Uint8Array, start: number, end: number, mode: IdentityMode): string | null {
    this.path = "slow";
    let event: JsonTree;
    try {
      event = parseJson(bytes, start, end);
    } catch (error) {
      if (error instanceof FormatError) return error.message;
      throw error;
    }
    if (!(event instanceof Map)) return "not an object";
    const metadata = event.get("metadata");
    if (!(metadata instanceof Map)) return "no metadata";
    const resourceVersion = metadata.get("resourceVersion");
    if (typeof resourceVersion !== "string" || resourceVersion === "") return "no resourceVersion";
    // A lone surrogate could not be put into the URL of the next request.
    if (!resourceVersion.isWellFormed()) return "a resourceVersion that is no text";
    this.resourceVersion = resourceVersion;
    identityOf(event, mode, this.#sum, this.key);
    const from = skipSpace(bytes, start, end);
    const to = trimEnd(bytes, start, end);
    this.#keepLine(bytes, from, to, missingTypeMeta(event), breaksLines(bytes, from, to));
    return null;
  }

  /**
   * Writes the line of the event just scanned: the server's bytes, with kind and apiVersion where
   * they are missing, and one `\n`. Only what would break a line splitter is spelled otherwise.
   * `into` must have lineLength bytes of room at `offset`. Returns the index behind the line.
   */
  writeLine(into: Uint8Array, offset: number): number {
    const { start, end } = this.#body;
    if (this.#typeMeta.length > 0) into.set(this.#typeMeta, offset);
    const to = offset + this.#typeMeta.length;
    if (this.#breaksLines) writeOnOneLine(this.#bytes, start, end, into, to);
    else into.set(this.#bytes.subarray(start, end), to);
    into[offset + this.lineLength - 1] = LINE_FEED;
    return offset + this.lineLength;
  }

  #keepLine(
    bytes: Uint8Array,
    start: number,
    end: number,
    typeMeta: Uint8Array,
    breaksLines: boolean,
  ): void {
    this.#bytes = bytes;
    this.#typeMeta = typeMeta;
    this.#body.start = typeMeta.length === 0 ? start : start + 1;
    this.#body.end = end;
    this.#breaksLines = breaksLines;
    const bodyLength = breaksLines
      ? writeOnOneLine(bytes, this.#body.start, end, null, 0)
      : end - this.#body.start;
    this.lineLength = typeMeta.length + bodyLength + 1;
  }
}

/** Which of kind and apiVersion an object lacks. It has metadata, so a comma may follow them. */
function missingTypeMeta(event: JsonObject): Uint8Array {
  if (event.has("kind")) {
    return event.has("apiVersion") ? TYPE_META.none : TYPE_META.apiVersion;
  }
  return event.has("apiVersion") ? TYPE_META.kind : TYPE_META.both;
}

/** Whether what is needed as text of an accepted event stands in its bytes as it is. */
function isPlain(grammar: EventGrammar, bytes: Uint8Array, mode: IdentityMode): boolean {
  if (!isPlainText(bytes, grammar.resourceVersion)) return false;
  if (mode === "content") return true;
  return isPlainText(bytes, grammar.name) && !startsWithByte(bytes, grammar.count, QUOTE);
}

/** ASCII without an escape. */
function isPlainText(bytes: Uint8Array, range: Range): boolean {
  for (let at = range.start; at < range.end; at++) {
    if (bytes[at] === BACKSLASH || bytes[at]! >= 0x80) return false;
  }
  return true;
}

function startsWithByte(bytes: Uint8Array, range: Range, byte: number): boolean {
  return range.end > range.start && bytes[range.start] === byte;
}

/** ASCII bytes as a string; `previous` itself where it is the same, which it often is. */
function asciiText(bytes: Uint8Array, range: Range, previous = ""): string {
  const length = range.end - range.start;
  let same = 0;
  while (
    same < length && same < previous.length &&
    bytes[range.start + same] === previous.charCodeAt(same)
  ) same++;
  if (same === length && same === previous.length) return previous;
  let text = previous.slice(0, same);
  for (let at = range.start + same; at < range.end; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}
