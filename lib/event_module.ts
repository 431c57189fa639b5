/**
 * The WebAssembly module that reads events, and its memory.
 *
 *     tables        keys and prefixes of the grammar, what it found, an identity (wasm/event.ts)
 *     the window    bytes in which events are read, a copy of those that were given, and a NUL
 *     the draft     where a batch is made, so that lines are copied into it within the memory
 *
 * A view and a call of set() for each event would be garbage for each, so bytes are copied as many
 * at once as there are, and that copy is held for the next event.
 */

import { invariant } from "./errors.ts";
import { EVENT_WASM } from "./event_wasm.ts";
import { NESTED_KEYS, partPrefix, UNHASHED_FIELDS } from "./identity.ts";
import { BATCH_BYTES, FAST_EVENT_BYTES_MAX } from "./limits.ts";

/** The fields of core/v1 Event, in the order in which the server writes them. */
const FIELDS = [
  "kind",
  "apiVersion",
  "metadata",
  "involvedObject",
  "reason",
  "message",
  "source",
  "firstTimestamp",
  "lastTimestamp",
  "count",
  "type",
  "eventTime",
  "series",
  "action",
  "related",
  "reportingComponent",
  "reportingInstance",
];

/**
 * The own keys of metadata that are read (uid only to be sure that it is a string, once; of
 * managedFields only where they stand).
 */
const METADATA_KEYS = ["name", "namespace", "uid", "resourceVersion", "managedFields"];

/** Zeros behind what was copied. The first stops every reader; bytes behind it decide nothing. */
const NUL_BYTES = 8;

let code: WebAssembly.Module | null | undefined;
let shared: EventModule | null | undefined;

/** See the head of this file. */
export class EventModule {
  /** What was found, nine numbers: see wasm/event.ts. */
  readonly found: Uint32Array;
  /** The identity of the last event in the mode "content". */
  readonly key: Uint32Array;
  /** BATCH_BYTES, for one writer of batches. */
  readonly draft: Uint8Array<ArrayBuffer>;
  readonly #accept: (address: number) => number;
  readonly #copy: (to: number, from: number, length: number) => void;
  readonly #window: Uint8Array;
  /**
   * Whose bytes from #from to #to stand in the window and count there; null = nobody's. It keeps
   * that view's buffer from the collector, at most one window, until other bytes are read.
   */
  #held: Uint8Array | null = null;
  #from = 0;
  #to = 0;

  private constructor({ exports }: WebAssembly.Instance) {
    const { buffer } = exports.memory as unknown as { buffer: ArrayBuffer };
    fillTables(buffer, exports);
    const [window = 0, draft = 0, fieldsMemory = 0] = ["WINDOW", "DRAFT", "FIELDS_MEMORY"]
      .map((name) => addressOf(exports, name));
    // wasm/event.ts lays out the memory, lib/limits.ts says how long things may be.
    invariant(
      window + FAST_EVENT_BYTES_MAX + NUL_BYTES <= draft && draft + BATCH_BYTES <= fieldsMemory,
      "the module's memory has room for the longest event and a draft",
    );
    this.#accept = exports.accept as (address: number) => number;
    this.#copy = exports.copy as (to: number, from: number, length: number) => void;
    this.#window = new Uint8Array(buffer, window, FAST_EVENT_BYTES_MAX + NUL_BYTES);
    this.draft = new Uint8Array(buffer, draft, BATCH_BYTES);
    this.found = new Uint32Array(buffer, addressOf(exports, "FOUND"), 9);
    this.key = new Uint32Array(buffer, addressOf(exports, "KEY"), 4);
  }

  /** One with a memory of its own; null where there can be none: a CPU without SSE 4.1. */
  static make(): EventModule | null {
    code ??= compile();
    return code === null ? null : new EventModule(new WebAssembly.Instance(code));
  }

  /** The one of this isolate for all who use no draft. */
  static shared(): EventModule | null {
    return shared === undefined ? shared = EventModule.make() : shared;
  }

  /**
   * Reads the Event that begins at `start`, of at most FAST_EVENT_BYTES_MAX; returns its length,
   * 0 for none. Bytes behind `end` may have been looked at where these bytes are held.
   */
  accept(bytes: Uint8Array, start: number, end: number): number {
    if (!this.#holds(bytes, start, end)) {
      this.#load(bytes, start, end);
      this.#held = null; // They may be others the next time.
    }
    return this.#accept(this.#addressOf(start));
  }

  /**
   * The same, where the end of the event is not known. The bytes are held for the next call, so
   * they must never change as long as they are this view. Allocates nothing where they are held.
   */
  acceptHeld(bytes: Uint8Array, start: number): number {
    if (!this.#holds(bytes, start, start + 1)) this.#hold(bytes, start);
    const length = this.#accept(this.#addressOf(start));
    if (length > 0 || this.#to === bytes.length || this.#from === start) return length;
    // It may have been cut off by the end of what is held. One that is refused costs a copy too.
    this.#hold(bytes, start);
    return this.#accept(this.#addressOf(start));
  }

  /**
   * Copies [start, end) of bytes to into[at], if these are held and `into` is the draft; returns
   * whether.
   */
  copy(bytes: Uint8Array, start: number, end: number, into: Uint8Array, at: number): boolean {
    if (into !== this.draft || !this.#holds(bytes, start, end)) return false;
    invariant(at + end - start <= into.length, "the line fits into the draft");
    this.#copy(into.byteOffset + at, this.#addressOf(start), end - start);
    return true;
  }

  #holds(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#held === bytes && start >= this.#from && end <= this.#to;
  }

  #hold(bytes: Uint8Array, start: number): void {
    this.#load(bytes, start, Math.min(bytes.length, start + FAST_EVENT_BYTES_MAX));
    this.#held = bytes;
  }

  #load(bytes: Uint8Array, start: number, end: number): void {
    this.#window.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
    this.#window.fill(0, end - start, end - start + NUL_BYTES);
    this.#from = start;
    this.#to = end;
  }

  /** Where in the memory the byte stands. */
  #addressOf(index: number): number {
    return this.#window.byteOffset + index - this.#from;
  }
}

/** Null where V8 has no SIMD. */
function compile(): WebAssembly.Module | null {
  const bytes = Uint8Array.from(atob(EVENT_WASM), (character) => character.charCodeAt(0));
  return WebAssembly.validate(bytes) ? new WebAssembly.Module(bytes) : null;
}

function addressOf(exports: WebAssembly.Exports, name: string): number {
  return (exports[name] as WebAssembly.Global).value;
}

/** How the value of a field may look; the numbers are those of wasm/event.ts. */
const SHAPES = { scalar: 0, string: 1, knownObject: 2, metadata: 3 };

function shapeOf(name: string): number {
  if (name === "metadata") return SHAPES.metadata;
  if (name === "kind" || name === "apiVersion") return SHAPES.string;
  return NESTED_KEYS.has(name) ? SHAPES.knownObject : SHAPES.scalar;
}

/** Writes the rows: those of the fields, then those of the metadata keys. */
function fillTables(buffer: ArrayBufferLike, exports: WebAssembly.Exports): void {
  const [rows = 0, rowBytes = 0, knownKeys = 0, keyBytes = 0, prefixEnd = 0] = [
    "ROWS",
    "ROW_BYTES",
    "KNOWN_KEYS",
    "KEY_BYTES",
    "PREFIX_END",
  ].map((name) => addressOf(exports, name));
  const memory = new Uint8Array(buffer);
  const encoder = new TextEncoder();
  const putKey = (at: number, name: string) => {
    const { written } = encoder.encodeInto(`"${name}":`, memory.subarray(at, at + keyBytes - 1));
    memory[at + keyBytes - 1] = written;
  };
  let row = rows;
  let knownKey = knownKeys;
  const putRow = (name: string, prefix: Uint8Array, shape: number, keys: readonly string[]) => {
    putKey(row, name);
    memory.set(prefix, row + prefixEnd - prefix.length);
    const numbers = new Uint32Array(buffer, row + prefixEnd, 4);
    numbers.set([prefix.length, shape, knownKey, knownKey + keyBytes * keys.length]);
    for (const key of keys) {
      putKey(knownKey, key);
      knownKey += keyBytes;
    }
    row += rowBytes;
  };
  const none = new Uint8Array();
  for (const name of FIELDS) {
    const prefix = UNHASHED_FIELDS.has(name) ? none : partPrefix(name);
    putRow(name, prefix, shapeOf(name), NESTED_KEYS.get(name) ?? []);
  }
  for (const name of METADATA_KEYS) {
    const isPart = name === "name" || name === "namespace";
    putRow(name, isPart ? partPrefix(`metadata.${name}`) : none, SHAPES.string, []);
  }
}
