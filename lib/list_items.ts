/**
 * A page of a LIST: from a stream of bytes to the byte ranges of its items, as they complete.
 *
 * The document is an EventList (k8s.io/api core/v1 types.go); its keys may come in any order and
 * with any whitespace. Only strings, escapes and the depth of brackets are tracked inside values:
 * an item is judged by EventScan, everything else by parseJson(). Each byte is looked at once,
 * however the stream is cut.
 */

import { ByteWindow } from "./byte_window.ts";
import type { ScanFirst } from "./event_scan.ts";
import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  excerpt,
  FormatError,
  isSpace,
  OPEN_ARRAY,
  OPEN_OBJECT,
  parseJson,
  printable,
  QUOTE,
} from "./json_bytes.ts";
import { JsonNumber, type JsonTree } from "./json_tree.ts";
import { LINE_BYTES_MAX, LIST_VALUE_BYTES_MAX } from "./limits.ts";
import { endsScalar, ValueReader } from "./value_reader.ts";

/** What a page says beside its items. */
export interface ListMetadata {
  resourceVersion: string;
  /** The token for the next page; "" on the last one. */
  continue: string;
}

/** What must come next. */
type State =
  | "document"
  | "first key"
  | "key"
  | "colon"
  | "value"
  | "value end"
  | "first item"
  | "item"
  | "item end"
  | "nothing";

/** Top-level fields that mean something, here or in a Status that stands in the list's place. */
const KEPT_FIELDS: ReadonlySet<string> = new Set([
  "kind",
  "metadata",
  "items",
  "code",
  "reason",
  "message",
]);

/** Splits one page: room() and the read, fill(), then next() until it says false; finish(). */
export class ListItems {
  /** The item that next() found: [start, end) of bytes. */
  start = 0;
  /** See start. */
  end = 0;
  /**
   * Of an item that is longer than itemBytesMax its beginning, for a message: nothing of it is
   * held, and start is end. Null for any other.
   */
  tooLong: string | null = null;
  /** Whether the item was scanned while its end was looked for. */
  isScanned = false;
  /** metadata.resourceVersion of the list, from when it was read; the server puts it first. */
  resourceVersion: string | null = null;
  /** metadata.continue, likewise; "" on the last page. */
  continue: string | null = null;

  readonly #window: ByteWindow;
  readonly #itemBytesMax: number;
  readonly #scanFirst: ScanFirst;
  readonly #fields = new Map<string, JsonTree>();
  readonly #value = new ValueReader();
  #state: State = "document";
  #key = "";
  /** The next byte to look at. */
  #at = 0;
  /** Where the key, value or item that is being read begins, or what is held of it; -1 between. */
  #valueStart = -1;
  /** What becomes tooLong when the item that is being read is whole. */
  #beginning: string | null = null;

  /**
   * @param itemBytesMax longest item that is held, bytes
   * @param scanFirst scans an item, so that its end need not be searched for
   */
  constructor(itemBytesMax: number = LINE_BYTES_MAX, scanFirst: ScanFirst = () => -1) {
    this.#itemBytesMax = itemBytesMax;
    this.#scanFirst = scanFirst;
    this.#window = new ByteWindow(Math.max(itemBytesMax, LIST_VALUE_BYTES_MAX) + 1);
  }

  /** Holds the items until the next room(). */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#window.bytes;
  }

  /** Where to read into next. All whole items must have been taken. */
  room(): Uint8Array<ArrayBuffer> {
    const keepFrom = this.#valueStart < 0 ? this.#at : this.#valueStart;
    this.#at -= keepFrom;
    if (this.#valueStart >= 0) this.#valueStart = 0;
    return this.#window.room(keepFrom);
  }

  /** Takes what a BYOB read into room() returned, with the window that it carries. */
  fill(view: Uint8Array<ArrayBuffer>): void {
    this.#window.fill(view);
  }

  /**
   * Finds the next whole item; false where more bytes are needed, or all were looked at.
   *
   * @throws FormatError where the document is no list of events, or a part of it is too long
   */
  next(): boolean {
    const { bytes } = this.#window;
    for (;;) {
      this.isScanned = false;
      if (this.#valueStart < 0) {
        if (!this.#toValue(bytes)) return false;
        this.isScanned = this.#isItem && this.#scanItem(bytes);
      }
      if (!this.isScanned) {
        this.#at = this.#value.read(bytes, this.#at);
        this.#checkLength(bytes);
        if (!this.#value.isWhole) return false;
      }
      const start = this.#valueStart;
      this.#valueStart = -1;
      if (this.#isItem) {
        this.start = start;
        this.end = this.#at;
        this.tooLong = this.#beginning;
        this.#beginning = null;
        this.#state = "item end";
        return true;
      }
      this.#take(bytes, start);
    }
  }

  /**
   * What the list says of itself, at the end of the stream.
   *
   * @throws FormatError where the stream ended early, or what it held is no list of events
   */
  finish(): ListMetadata {
    if (this.#state !== "nothing") throw failure("the answer ends early");
    const kind = this.#fields.get("kind");
    if (kind === "Status") throw failure(`found a Status: ${this.#statusText()}`);
    if (kind === undefined) throw failure("found no kind");
    if (!this.#fields.has("items")) throw failure("found no items");
    if (this.resourceVersion === null) throw failure("found no metadata.resourceVersion");
    if (this.continue === null) throw failure("found a metadata.continue that is no string");
    return { resourceVersion: this.resourceVersion, continue: this.continue };
  }

  /** Goes through what stands between values; false where the bytes end before one begins. */
  #toValue(bytes: Uint8Array): boolean {
    for (; this.#at < bytes.length; this.#at++) {
      const byte = bytes[this.#at]!;
      if (isSpace(byte)) continue;
      const next = this.#punctuation(byte);
      if (next === null) {
        if (!this.#beginsValue(byte)) {
          const found = excerpt(bytes, this.#at, this.#at + 1);
          throw failure(`found "${found}" where ${EXPECTED[this.#state]} should be`);
        }
        this.#valueStart = this.#at;
        this.#value.begin(byte);
        return true;
      }
      this.#state = next;
    }
    return false;
  }

  /** The state behind a byte that is no part of a value; null where it is none of those. */
  #punctuation(byte: number): State | null {
    switch (this.#state) {
      case "document":
        return byte === OPEN_OBJECT ? "first key" : null;
      case "first key":
        return byte === CLOSE_OBJECT ? "nothing" : null;
      case "colon":
        return byte === COLON ? "value" : null;
      case "value":
        if (this.#key !== "items" || byte !== OPEN_ARRAY) return null;
        this.#keep("items", null);
        return "first item";
      case "value end":
        return byte === COMMA ? "key" : byte === CLOSE_OBJECT ? "nothing" : null;
      case "first item":
        return byte === CLOSE_ARRAY ? "value end" : null;
      case "item end":
        return byte === COMMA ? "item" : byte === CLOSE_ARRAY ? "value end" : null;
      case "key":
      case "item":
      case "nothing":
        return null;
    }
  }

  #beginsValue(byte: number): boolean {
    switch (this.#state) {
      case "first key":
      case "key":
        return byte === QUOTE;
      case "value":
      case "first item":
      case "item":
        return !endsScalar(byte) && byte !== COLON;
      default:
        return false;
    }
  }

  get #isItem(): boolean {
    return this.#state === "first item" || this.#state === "item";
  }

  /** Goes behind the item that begins here, if it can be scanned at once. */
  #scanItem(bytes: Uint8Array): boolean {
    const end = this.#scanFirst(bytes, this.#at);
    if (end < 0 || end - this.#at > this.#itemBytesMax) return false;
    this.#at = end;
    return true;
  }

  #checkLength(bytes: Uint8Array): void {
    const isItem = this.#isItem;
    const bytesMax = isItem ? this.#itemBytesMax : LIST_VALUE_BYTES_MAX;
    if (this.#beginning === null && this.#at - this.#valueStart <= bytesMax) return;
    if (isItem) {
      this.#beginning ??= excerpt(bytes, this.#valueStart, this.#valueStart + bytesMax + 1);
      this.#valueStart = this.#at;
      return;
    }
    const what = this.#state === "value" ? `"${this.#key}"` : "a key";
    throw failure(`${printable(what)} is longer than ${bytesMax} bytes`);
  }

  /** Takes a key, or a top-level value other than the items. */
  #take(bytes: Uint8Array, start: number): void {
    let parsed: JsonTree;
    try {
      parsed = parseJson(bytes, start, this.#at);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      throw failure(`${error.message} in ${excerpt(bytes, start, this.#at)}`);
    }
    if (this.#state === "value") {
      this.#keep(this.#key, parsed);
      this.#state = "value end";
    } else {
      this.#key = String(parsed);
      this.#state = "colon";
    }
  }

  #keep(field: string, value: JsonTree): void {
    if (!KEPT_FIELDS.has(field)) return;
    // JSON.parse would take the last, but the first may have been acted on already.
    if (this.#fields.has(field)) throw failure(`found "${field}" twice`);
    this.#fields.set(field, value);
    if (field === "items" && value !== null) {
      throw failure("found items that are no array");
    }
    if (field === "kind" && value !== "EventList" && value !== "Status") {
      throw failure(`found the kind ${textOf(value).slice(0, 100)} instead of EventList`);
    }
    if (field !== "metadata" || !(value instanceof Map)) return;
    const resourceVersion = value.get("resourceVersion");
    if (typeof resourceVersion === "string" && resourceVersion !== "") {
      this.resourceVersion = resourceVersion;
    }
    const token = value.get("continue") ?? "";
    if (typeof token === "string") this.continue = token;
  }

  #statusText(): string {
    const fields = ["code", "reason", "message"].map((field) => this.#fields.get(field) ?? null);
    return fields.filter((field) => field !== null).map(textOf).join(", ").slice(0, 300);
  }
}

/** A string or number as it reads, printable; of anything else that it is something else. */
function textOf(value: JsonTree): string {
  if (value instanceof JsonNumber) return value.text;
  return typeof value === "string" ? printable(value) : "that is no string";
}

/** For messages: what a state stands for. */
const EXPECTED: Record<State, string> = {
  "document": "the list's {",
  "first key": "a key or }",
  "key": "a key",
  "colon": "a colon",
  "value": "a value",
  "value end": "a comma or }",
  "first item": "an item or ]",
  "item": "an item",
  "item end": "a comma or ]",
  "nothing": "the end of the answer",
};

function failure(text: string): FormatError {
  return new FormatError(`Cannot read the list of events: ${text}`);
}
