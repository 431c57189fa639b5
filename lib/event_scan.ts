/**
 * From the bytes of an Event object to its verdict, resourceVersion, identity and line.
 *
 * Two ways with the same results: the fast grammar of lib/event_grammar.ts for what an API server
 * writes nearly always, and JSON.parse for everything else. tests/property/event_scan_test.ts
 * holds them to each other. A scan points into the caller's bytes: take the line before they move.
 */

import { EventGrammar, type Range } from "./event_grammar.ts";
import { EventModule } from "./event_module.ts";
import { identityOf, IdentitySum, nameCountIdentity } from "./identity.ts";
import {
  BACKSLASH,
  breaksLines,
  COMMA,
  fieldRange,
  FormatError,
  parseJson,
  QUOTE,
  skipSpace,
  trimEnd,
  withoutField,
  writeOnOneLine,
} from "./json_bytes.ts";
import type { JsonObject, JsonTree } from "./json_tree.ts";
import { aroundEvent } from "./line_shape.ts";
import { type IdentityMode, type LineForm, PLAIN_LINE } from "./protocol.ts";
import { decimalIn, type ResourceVersion, versionOf } from "./resource_version.ts";

const LOWER_N = 0x6e;

/**
 * What is put in front of the rest of an object without it, in place of its `{`. A LIST has kind
 * and apiVersion once, above its items (kubernetes/kubernetes#3030); a WATCH in each object.
 */
const TYPE_META = {
  none: "",
  both: '{"kind":"Event","apiVersion":"v1",',
  kind: '{"kind":"Event",',
  apiVersion: '{"apiVersion":"v1",',
};

const encoder = new TextEncoder();

/**
 * Scans the event that begins at `start`, to know where it ends; -1 where it cannot. What looks for
 * the ends of events asks it first: so most of them are looked at only once. The bytes never change
 * as long as they are this view.
 */
export type ScanFirst = (bytes: Uint8Array, start: number) => number;

/** Reads one event at a time; what it found holds until the next scan. */
export class EventScan {
  /** The identity (lib/identity.ts). */
  readonly key: Uint32Array = new Uint32Array(4);
  /** metadata.resourceVersion, as versionOf() gives it: never empty, otherwise opaque. */
  version: ResourceVersion = "";
  /** The same as a text. */
  get resourceVersion(): string {
    return `${this.version}`;
  }

  /** The way that gave the verdict. */
  path: "fast" | "slow" = "fast";

  /** Bytes that writeLine() writes. */
  lineLength = 0;

  readonly #grammar: EventGrammar;
  readonly #sum = new IdentitySum();
  readonly #dropsManagedFields: boolean;
  /** What a line begins with, by what of TYPE_META is missing in its event. */
  readonly #fronts: Readonly<Record<keyof typeof TYPE_META, Uint8Array>>;
  /** What a line ends with. */
  readonly #back: Uint8Array;
  #bytes: Uint8Array = new Uint8Array();
  #front: Uint8Array = new Uint8Array();
  /** What follows #front on the line. */
  readonly #body: Range = { start: 0, end: 0 };
  /** What is left out of the body; start = end where it is nothing. */
  readonly #cut: Range = { start: 0, end: 0 };
  #breaksLines = false;

  /**
   * @param form of the lines that writeLine() writes
   * @param module for the fast way; null = everything goes the slow way
   */
  constructor(
    form: LineForm = PLAIN_LINE,
    module: EventModule | null = EventModule.shared(),
  ) {
    this.#grammar = new EventGrammar(module);
    const { front, back } = aroundEvent(form);
    const frontOf = (typeMeta: string) => encoder.encode(front + typeMeta);
    this.#dropsManagedFields = form.managedFields === "drop";
    this.#fronts = {
      none: frontOf(TYPE_META.none),
      both: frontOf(TYPE_META.both),
      kind: frontOf(TYPE_META.kind),
      apiVersion: frontOf(TYPE_META.apiVersion),
    };
    this.#back = encoder.encode(back);
  }

  /**
   * Reads the Event object in [start, end).
   *
   * @returns null where it is valid JSON and an object with metadata and a resourceVersion, else
   * the reason in words; then nothing else here means anything
   */
  scan(bytes: Uint8Array, start: number, end: number, mode: IdentityMode): string | null {
    const fastEnd = this.#grammar.accept(bytes, start, end);
    if (fastEnd === end && this.#takeFast(bytes, start, end, mode)) return null;
    return this.scanSlowly(bytes, start, end, mode);
  }

  /**
   * Reads the Event object that begins at `start`, where it ends nobody knows. The bytes must never
   * change as long as they are this view.
   *
   * @returns its end; -1 where scan() has to be asked, since the object is not whole, or none for
   * the fast way; then nothing else here means anything
   */
  scanFirst(bytes: Uint8Array, start: number, mode: IdentityMode): number {
    const end = this.#grammar.acceptFirst(bytes, start);
    return end >= 0 && this.#takeFast(bytes, start, end, mode) ? end : -1;
  }

  /** Takes what the grammar accepted; false where the slow way has to look. */
  #takeFast(bytes: Uint8Array, start: number, end: number, mode: IdentityMode): boolean {
    const grammar = this.#grammar;
    const { resourceVersion } = grammar;
    const number = decimalIn(bytes, resourceVersion.start, resourceVersion.end);
    if (!isPlain(grammar, bytes, mode, number >= 0)) return false;
    this.path = "fast";
    this.version = number >= 0 ? number : asciiText(bytes, resourceVersion);
    if (mode === "content") {
      for (let lane = 0; lane < 4; lane++) this.key[lane] = grammar.key[lane]!;
    } else {
      const name = grammar.hasName ? asciiText(bytes, grammar.name) : "None";
      const { count } = grammar;
      const hasCount = count.end > count.start && !startsWithByte(bytes, count, LOWER_N);
      nameCountIdentity(name, hasCount ? asciiText(bytes, count) : "None", this.key);
    }
    this.#keepLine(bytes, start, end, grammar.hasTypeMeta ? "none" : "both", false);
    if (this.#dropsManagedFields) this.#leaveOut(grammar.managedFields);
    return true;
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
    this.version = versionOf(resourceVersion);
    identityOf(event, mode, this.#sum, this.key);
    const hasDropped = this.#dropsManagedFields && metadata.has("managedFields");
    const kept = hasDropped ? withoutManagedFields(bytes, start, end) : bytes.subarray(start, end);
    const from = skipSpace(kept, 0, kept.length);
    const to = trimEnd(kept, 0, kept.length);
    this.#keepLine(kept, from, to, missingTypeMeta(event), breaksLines(kept, from, to));
    return null;
  }

  /**
   * Writes the line of the event just scanned in the form of this scan: the server's bytes, with
   * kind and apiVersion where they are missing, and one `\n`. Only what would break a line splitter
   * is spelled otherwise. `into` must have lineLength bytes of room at `offset`. Returns the index
   * behind the line.
   */
  writeLine(into: Uint8Array, offset: number): number {
    const { start, end } = this.#body;
    const cut = this.#cut;
    if (this.#front.length > 0) into.set(this.#front, offset);
    let to = offset + this.#front.length;
    if (this.#breaksLines) to += writeOnOneLine(this.#bytes, start, end, into, to);
    else {
      this.#copy(start, cut.start, into, to);
      to += cut.start - start;
      if (cut.end < end) this.#copy(cut.end, end, into, to);
      to += end - cut.end;
    }
    for (let i = 0; i < this.#back.length; i++) into[to++] = this.#back[i]!;
    return to;
  }

  #copy(start: number, end: number, into: Uint8Array, to: number): void {
    if (this.#grammar.copy(this.#bytes, start, end, into, to)) return;
    into.set(this.#bytes.subarray(start, end), to);
  }

  #keepLine(
    bytes: Uint8Array,
    start: number,
    end: number,
    missing: keyof typeof TYPE_META,
    breaksLines: boolean,
  ): void {
    this.#bytes = bytes;
    this.#front = this.#fronts[missing];
    this.#body.start = missing === "none" ? start : start + 1;
    this.#body.end = this.#cut.start = this.#cut.end = end;
    this.#breaksLines = breaksLines;
    const bodyLength = breaksLines
      ? writeOnOneLine(bytes, this.#body.start, end, null, 0)
      : end - this.#body.start;
    this.lineLength = this.#front.length + bodyLength + this.#back.length;
  }

  /** Leaves a field of metadata out of the line, as the fast grammar found it: no space around. */
  #leaveOut({ start, end }: Range): void {
    if (start === end) return;
    const isFirst = this.#bytes[start - 1] !== COMMA;
    this.#cut.start = isFirst ? start : start - 1;
    this.#cut.end = isFirst && this.#bytes[end] === COMMA ? end + 1 : end;
    this.lineLength -= this.#cut.end - this.#cut.start;
  }
}

/** The bytes of a valid Event without metadata.managedFields. */
function withoutManagedFields(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const metadata = fieldRange(bytes, start, end, "metadata")!;
  const kept = withoutField(bytes, metadata.start, metadata.end, "managedFields");
  const event = new Uint8Array(end - start - (metadata.end - metadata.start) + kept.length);
  event.set(bytes.subarray(start, metadata.start));
  event.set(kept, metadata.start - start);
  event.set(bytes.subarray(metadata.end, end), metadata.start - start + kept.length);
  return event;
}

/** Which of kind and apiVersion an object lacks. It has metadata, so a comma may follow them. */
function missingTypeMeta(event: JsonObject): keyof typeof TYPE_META {
  if (event.has("kind")) return event.has("apiVersion") ? "none" : "apiVersion";
  return event.has("apiVersion") ? "kind" : "both";
}

/** Whether what is needed as text of an accepted event stands in its bytes as it is. */
function isPlain(
  grammar: EventGrammar,
  bytes: Uint8Array,
  mode: IdentityMode,
  isDecimal: boolean,
): boolean {
  if (!isDecimal && !isPlainText(bytes, grammar.resourceVersion)) return false;
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

/** ASCII bytes as a string. */
function asciiText(bytes: Uint8Array, range: Range): string {
  let text = "";
  for (let at = range.start; at < range.end; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}
