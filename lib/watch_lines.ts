/**
 * A WATCH response: from a stream of bytes to lines, and from a line to what it says.
 *
 * An API server writes one JSON object a line (Go's json.Encoder). Lines are found in the window
 * that they were read into. What is found of an unfinished one is not used.
 */

import { ByteWindow } from "./byte_window.ts";
import type { EventScan, ScanFirst } from "./event_scan.ts";
import {
  CLOSE_OBJECT,
  excerpt,
  fieldRange,
  FormatError,
  parseJson,
  printable,
  skipSpace,
  startsWith,
} from "./json_bytes.ts";
import { JsonNumber, type JsonTree } from "./json_tree.ts";
import {
  LINE_BEGINNING_BYTES,
  LINE_BYTES_MAX,
  LINE_SKIPPED_BYTES_MAX,
  NESTING_MAX,
} from "./limits.ts";
import type { IdentityMode } from "./protocol.ts";

const LINE_FEED = 0x0a;

/** A line, also an unfinished one, is longer than may be. */
export class LineTooLong extends FormatError {
  /** What tells it from others: its first bytes, printable. */
  readonly beginning: string;

  constructor(message: string, beginning: string) {
    super(message);
    this.beginning = beginning;
  }
}

/**
 * Splits a stream into lines: room() and the read, fill(), then next() until it says false.
 * Each byte is looked at once, however the stream is cut, and once more where a scan was tried.
 */
export class WatchLines {
  /** The line that next() found: [start, end) of bytes, without its `\n`. */
  start = 0;
  /** See start. */
  end = 0;
  /** What the line says, where it was scanned while its end was looked for; null where not. */
  scanned: WatchLine | null = null;
  readonly #window: ByteWindow;
  readonly #lineBytesMax: number;
  readonly #scanFirst: ScanFirst;
  #lineStart = 0;
  #searched = 0;
  #rest = 0;
  /** Bytes of the line that is being left out; null = none is. */
  #skipped: number | null = null;

  /**
   * @param lineBytesMax longest line, bytes without its `\n`
   * @param scanFirst scans the event of a line, so that `\n` need not be searched for
   */
  constructor(lineBytesMax: number = LINE_BYTES_MAX, scanFirst: ScanFirst = () => -1) {
    this.#lineBytesMax = lineBytesMax;
    this.#scanFirst = scanFirst;
    this.#window = new ByteWindow(lineBytesMax + 1);
  }

  /** Holds the lines until the next room(). */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#window.bytes;
  }

  /** Bytes behind the last whole line. At the end of the stream they are to be forgotten. */
  get rest(): number {
    return this.#rest;
  }

  /** Where to read into next. All whole lines must have been taken. */
  room(): Uint8Array<ArrayBuffer> {
    const room = this.#window.room(this.#lineStart);
    this.#searched -= this.#lineStart;
    this.#lineStart = 0;
    return room;
  }

  /** Takes what a BYOB read into room() returned, with the window that it carries. */
  fill(view: Uint8Array<ArrayBuffer>): void {
    this.#window.fill(view);
    this.#rest += view.byteLength;
  }

  /**
   * Finds the next whole line; false where more bytes are needed.
   *
   * @throws LineTooLong where a line, also an unfinished one, is longer than lineBytesMax
   */
  next(): boolean {
    if (this.#skipped !== null && !this.#skip(this.#skipped)) return false;
    const { bytes } = this.#window;
    const isNew = this.#searched === this.#lineStart && this.#searched < bytes.length;
    this.scanned = isNew ? this.#scanLine(bytes) : null;
    if (this.scanned !== null) return true;
    const at = bytes.indexOf(LINE_FEED, this.#searched);
    const lineEnd = at < 0 ? bytes.length : at;
    if (lineEnd - this.#lineStart > this.#lineBytesMax) {
      const start = excerpt(bytes, this.#lineStart, lineEnd);
      throw new LineTooLong(
        `A line of the watch is longer than ${this.#lineBytesMax} bytes; it begins ${start}`,
        excerpt(bytes, this.#lineStart, lineEnd, LINE_BEGINNING_BYTES),
      );
    }
    this.#searched = lineEnd;
    if (at < 0) return false;
    this.#found(at);
    return true;
  }

  /** The line is whole. */
  #found(end: number): void {
    this.start = this.#lineStart;
    this.end = end;
    this.#lineStart = this.#searched = end + 1;
    this.#rest = this.#window.bytes.length - this.#lineStart;
  }

  /** Takes the line that begins here, if it is whole and an event that can be scanned at once. */
  #scanLine(bytes: Uint8Array): WatchLine | null {
    const start = this.#lineStart;
    for (const { line, prefix } of CANONICAL) {
      if (!startsWith(bytes, start, bytes.length, prefix)) continue;
      const end = this.#scanFirst(bytes, start + prefix.length);
      if (end < 0 || bytes[end] !== CLOSE_OBJECT || bytes[end + 1] !== LINE_FEED) return null;
      if (end + 1 - start > this.#lineBytesMax) return null;
      this.#found(end + 1);
      return line;
    }
    return null;
  }

  /**
   * As next(), but a line that is too long is passed over up to its end where `isLeftOut` says so.
   * Nothing of it is kept.
   *
   * @throws LineTooLong where it says no; FormatError where that line has no end
   */
  nextBut(isLeftOut: (line: LineTooLong) => boolean): boolean {
    for (;;) {
      try {
        return this.next();
      } catch (error) {
        if (!(error instanceof LineTooLong) || !isLeftOut(error)) throw error;
        this.#skipped = 0;
      }
    }
  }

  /** Passes over what there is of the line; whether that was its end. @throws FormatError */
  #skip(before: number): boolean {
    const { bytes } = this.#window;
    const at = bytes.indexOf(LINE_FEED, this.#lineStart);
    const end = at < 0 ? bytes.length : at + 1;
    this.#skipped = at < 0 ? before + end - this.#lineStart : null;
    this.#lineStart = this.#searched = end;
    if (at >= 0) this.#rest = bytes.length - end;
    if (before > LINE_SKIPPED_BYTES_MAX) {
      throw new FormatError(`A line of the watch does not end within ${before} bytes`);
    }
    return at >= 0;
  }
}

/** A Kubernetes Status, as far as it was there: zero and empty texts stand for what was not. */
export interface WatchStatus {
  code: number;
  reason: string;
  message: string;
  /** details.retryAfterSeconds, where the server gave a positive number. */
  retryAfterSeconds?: number;
}

/** What a line of a WATCH says. */
export type WatchLine =
  /** The event is in the EventScan that was given. */
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED" }
  /** resourceVersion: null where it has none. */
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string | null }
  | { readonly type: "ERROR"; readonly status: WatchStatus }
  /** Nothing but whitespace, which may stand between JSON texts. */
  | { readonly type: "BLANK" }
  /** No watch event. `excerpt`: its first 200 bytes, printable. */
  | { readonly type: "INVALID"; readonly reason: string; readonly excerpt: string };

/** How the server begins its lines; made once, since no event is worth an allocation. */
const CANONICAL = (["ADDED", "MODIFIED", "DELETED"] as const).map((type) => ({
  line: { type } as const,
  prefix: new TextEncoder().encode(`{"type":"${type}","object":`),
}));

/**
 * Reads the line [start, end), `\n` not included, and scans its event into `scan`. Whitespace and
 * key order are free; of duplicate keys the last counts, as for JSON.parse.
 */
export function readWatchLine(
  scan: EventScan,
  bytes: Uint8Array,
  start: number,
  end: number,
  mode: IdentityMode,
): WatchLine {
  for (const { line, prefix } of CANONICAL) {
    if (!startsWith(bytes, start, end, prefix) || bytes[end - 1] !== CLOSE_OBJECT) continue;
    // If these bytes are an Event, then the line is exactly that Event in its wrapper. If not,
    // they may still be more than the object: a third key, whitespace, a second "object".
    if (scan.scan(bytes, start + prefix.length, end - 1, mode) === null) return line;
    break;
  }
  return readSlowly(scan, bytes, start, end, mode);
}

function readSlowly(
  scan: EventScan,
  bytes: Uint8Array,
  start: number,
  end: number,
  mode: IdentityMode,
): WatchLine {
  if (skipSpace(bytes, start, end) === end) return { type: "BLANK" };
  const invalid = (reason: string): WatchLine => {
    return { type: "INVALID", reason, excerpt: excerpt(bytes, start, end) };
  };
  let line: JsonTree;
  try {
    // The wrapper is a level of its own: the bound of the object is the same in any spelling.
    line = parseJson(bytes, start, end, NESTING_MAX + 1);
  } catch (error) {
    if (error instanceof FormatError) return invalid(error.message);
    throw error;
  }
  if (!(line instanceof Map)) return invalid("not an object");
  const type = line.get("type");
  const object = line.get("object");
  // An ERROR comes first: its object is a Status, without a resourceVersion, or anything at all.
  if (type === "ERROR") return { type, status: statusOf(object) };
  if (typeof type !== "string") return invalid("no type");
  const known = CANONICAL.find((candidate) => candidate.line.type === type);
  if (known === undefined && type !== "BOOKMARK") {
    return invalid(`unknown type "${printable(type.slice(0, 40))}"`);
  }
  if (!(object instanceof Map)) return invalid("no object");
  if (known === undefined) {
    const resourceVersion = textOf(fieldOf(object.get("metadata"), "resourceVersion"));
    return { type: "BOOKMARK", resourceVersion: resourceVersion || null };
  }
  const range = fieldRange(bytes, start, end, "object")!;
  const reason = scan.scan(bytes, range.start, range.end, mode);
  return reason === null ? known.line : invalid(reason);
}

/** A Status (apimachinery meta/v1 types.go), from a server that may send anything. */
function statusOf(object: JsonTree | undefined): WatchStatus {
  const status: WatchStatus = {
    code: numberOf(fieldOf(object, "code")),
    reason: textOf(fieldOf(object, "reason")),
    message: textOf(fieldOf(object, "message")),
  };
  const seconds = numberOf(fieldOf(fieldOf(object, "details"), "retryAfterSeconds"));
  if (seconds > 0) status.retryAfterSeconds = seconds;
  return status;
}

function fieldOf(value: JsonTree | undefined, name: string): JsonTree | undefined {
  return value instanceof Map ? value.get(name) : undefined;
}

function textOf(value: JsonTree | undefined): string {
  return typeof value === "string" ? value : "";
}

function numberOf(value: JsonTree | undefined): number {
  return value instanceof JsonNumber ? Number(value.text) : 0;
}
