/**
 * The fast way through the bytes of an Event: a strict grammar that is a part of JSON.
 *
 * It accepts what a Kubernetes API server writes for nearly every Event (compact, few escapes,
 * known fields), and hashes it on the way. What it accepts is valid JSON and already canonical
 * (docs/FORMAT.md, Identity), so its verdict and identity are those of the slow way. Whatever it
 * does not know it refuses, and the slow way in lib/event_scan.ts decides.
 *
 * The grammar is WebAssembly: JavaScript looks at one byte at a time, this at 16. Its source is
 * wasm/event.ts. It sees nothing but its own memory, into which each event is copied. Nothing is
 * allocated for an event.
 */

import { EVENT_WASM } from "./event_wasm.ts";
import { NESTED_KEYS, partPrefix, UNHASHED_FIELDS } from "./identity.ts";
import { FAST_EVENT_BYTES_MAX } from "./limits.ts";

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

/** Where the grammar found a value; start = end where there is none. */
export interface Range {
  start: number;
  end: number;
}

/** Reads one Event at a time. What it found holds until the next accept(), of any grammar. */
export class EventGrammar {
  /** metadata.name without its quotes. */
  readonly name: Range = { start: 0, end: 0 };
  /** metadata.resourceVersion without its quotes. */
  readonly resourceVersion: Range = { start: 0, end: 0 };
  readonly count: Range = { start: 0, end: 0 };
  /** metadata.managedFields with its key; start = end where it has none. */
  readonly managedFields: Range = { start: 0, end: 0 };
  /** The identity in the mode "content". */
  readonly key: Uint32Array;
  hasName = false;
  /** Both kind and apiVersion stand in the object; else neither does. */
  hasTypeMeta = false;

  readonly #machine: Machine | null;

  /** @param machine null = nothing is accepted */
  constructor(machine: Machine | null = sharedMachine()) {
    this.#machine = machine;
    this.key = machine?.key ?? new Uint32Array(4);
  }

  /**
   * Reads the Event that begins at `start`.
   *
   * @returns where it ends, at most at `end`: then these bytes are valid JSON and an Event with a
   * resourceVersion. -1 where they begin with no Event of this grammar
   */
  accept(bytes: Uint8Array, start: number, end: number): number {
    const machine = this.#machine;
    if (machine === null || end - start > FAST_EVENT_BYTES_MAX) return -1;
    machine.line.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
    const length = machine.accept(end - start);
    if (length === 0) return -1;
    const { found } = machine;
    setRange(this.resourceVersion, start, found, 0);
    setRange(this.name, start, found, 2);
    setRange(this.count, start, found, 4);
    setRange(this.managedFields, start, found, 6);
    this.hasName = found[3] !== 0;
    this.hasTypeMeta = (found[8]! & 1) !== 0;
    return start + length;
  }
}

function setRange(range: Range, start: number, found: Uint32Array, index: number): void {
  range.start = start + found[index]!;
  range.end = start + found[index + 1]!;
}

/** The module with its tables filled in, and views of its memory; wasm/event.ts names the parts. */
export interface Machine {
  accept(length: number): number;
  readonly line: Uint8Array;
  readonly found: Uint32Array;
  readonly key: Uint32Array;
}

let shared: Machine | null | undefined;

function sharedMachine(): Machine | null {
  return shared === undefined ? shared = makeMachine() : shared;
}

/** Null where there can be none: V8 has no SIMD on a CPU without SSE 4.1. */
function makeMachine(): Machine | null {
  const code = Uint8Array.from(atob(EVENT_WASM), (character) => character.charCodeAt(0));
  if (!WebAssembly.validate(code)) return null;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code));
  const { buffer } = exports.memory as WebAssembly.Memory;
  fillTables(buffer, exports);
  const line = addressOf(exports, "LINE");
  return {
    accept: exports.accept as Machine["accept"],
    // 32 bytes behind the longest line may be looked at.
    line: new Uint8Array(buffer, line, FAST_EVENT_BYTES_MAX + 32),
    found: new Uint32Array(buffer, addressOf(exports, "FOUND"), 9),
    key: new Uint32Array(buffer, addressOf(exports, "KEY"), 4),
  };
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
