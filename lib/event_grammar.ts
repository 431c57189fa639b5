/**
 * The fast way through the bytes of an Event: a strict grammar that is a part of JSON.
 *
 * It accepts what a Kubernetes API server writes for nearly every Event (compact, ASCII, known
 * fields), and hashes it on the way. What it accepts is valid JSON and already canonical
 * (docs/FORMAT.md, Identity), so its verdict and identity are those of the slow way. Whatever it
 * does not know it refuses, and the slow way in lib/event_scan.ts decides. Nothing is allocated.
 */

import { memberEnd, NULL, scalarEnd, startsWith, stringEnd } from "./canonical_json.ts";
import { type IdentitySum, NESTED_KEYS, partPrefix, UNHASHED_FIELDS } from "./identity.ts";
import { CLOSE_OBJECT, COMMA, OPEN_OBJECT, QUOTE } from "./json_bytes.ts";

const encoder = new TextEncoder();

/** A key as it stands before its value: `"reason":`. */
function keyBytes(name: string): Uint8Array {
  return encoder.encode(`"${name}":`);
}

/** A top-level field, and how its value may look. */
interface Field {
  readonly key: Uint8Array;
  /** partPrefix(), or null where the field is not part of the identity. */
  readonly prefix: Uint8Array | null;
  readonly shape: "scalar" | "string" | "nested" | "metadata";
  /** With "nested": the keys in the only order that is canonical. */
  readonly keys: readonly Uint8Array[];
}

/** The fields of core/v1 Event, in the order in which the server writes them. */
const FIELDS: readonly Field[] = [
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
].map((name) => ({
  key: keyBytes(name),
  prefix: UNHASHED_FIELDS.has(name) ? null : partPrefix(name),
  shape: shapeOf(name),
  keys: (NESTED_KEYS.get(name) ?? []).map(keyBytes),
}));

function shapeOf(name: string): Field["shape"] {
  if (name === "metadata") return "metadata";
  if (name === "kind" || name === "apiVersion") return "string";
  return NESTED_KEYS.has(name) ? "nested" : "scalar";
}

const KIND_FIELD = 0;
const API_VERSION_FIELD = 1;
const COUNT_FIELD = 9;

/** The own keys of metadata that are read (uid only to be sure that it is a string, once). */
const METADATA_KEYS = ["name", "namespace", "resourceVersion", "uid"].map(keyBytes);
const MANAGED_FIELDS_KEY = keyBytes("managedFields");
const NAME_KEY = 0;
const RESOURCE_VERSION_KEY = 2;
const METADATA_PREFIXES = [partPrefix("metadata.name"), partPrefix("metadata.namespace")];

/** Where the grammar found a value; start = end where there is none. */
export interface Range {
  start: number;
  end: number;
}

/** Reads one Event at a time. What it found holds until the next accept(). */
export class EventGrammar {
  /** metadata.name without its quotes. */
  readonly name: Range = { start: 0, end: 0 };
  /** metadata.resourceVersion without its quotes. */
  readonly resourceVersion: Range = { start: 0, end: 0 };
  readonly count: Range = { start: 0, end: 0 };
  /** metadata.managedFields with its key; start = end where it has none. */
  readonly managedFields: Range = { start: 0, end: 0 };
  hasName = false;
  /** Of kind and apiVersion: both stand in the object. */
  hasTypeMeta = false;

  /**
   * Whether the bytes in [start, end) are an Event of this grammar: then they are valid JSON with
   * a resourceVersion, and every part of the identity was added to `sum`.
   */
  accept(bytes: Uint8Array, start: number, end: number, sum: IdentitySum): boolean {
    this.#clear();
    if (start >= end || bytes[start] !== OPEN_OBJECT) return false;
    let seen = 0;
    let next = 0;
    let at = start;
    do {
      at++;
      const index = fieldAt(bytes, at, end, next);
      if (index < 0 || (seen & (1 << index)) !== 0) return false;
      seen |= 1 << index;
      next = index + 1;
      const field = FIELDS[index]!;
      const valueStart = at + field.key.length;
      at = this.#fieldEnd(field, bytes, valueStart, end, sum);
      if (at < 0) return false;
      if (field.prefix !== null && !isEmptyValue(bytes, valueStart, at)) {
        sum.add(field.prefix, bytes, valueStart, at);
      }
      if (index === COUNT_FIELD) setRange(this.count, valueStart, at);
    } while (at < end && bytes[at] === COMMA);
    const typeMeta = 1 << KIND_FIELD | 1 << API_VERSION_FIELD;
    this.hasTypeMeta = (seen & typeMeta) === typeMeta;
    // With one of the two alone, the slow way puts the other in front.
    if (!this.hasTypeMeta && (seen & typeMeta) !== 0) return false;
    return at === end - 1 && bytes[at] === CLOSE_OBJECT &&
      this.resourceVersion.end > this.resourceVersion.start;
  }

  #clear(): void {
    setRange(this.name, 0, 0);
    setRange(this.resourceVersion, 0, 0);
    setRange(this.count, 0, 0);
    setRange(this.managedFields, 0, 0);
    this.hasName = false;
    this.hasTypeMeta = false;
  }

  #fieldEnd(field: Field, bytes: Uint8Array, at: number, end: number, sum: IdentitySum): number {
    switch (field.shape) {
      case "scalar":
        return scalarEnd(bytes, at, end);
      case "string":
        return stringEnd(bytes, at, end);
      case "nested":
        return nestedEnd(bytes, at, end, field.keys);
      case "metadata":
        return this.#metadataEnd(bytes, at, end, sum);
    }
  }

  #metadataEnd(bytes: Uint8Array, start: number, end: number, sum: IdentitySum): number {
    if (start >= end || bytes[start] !== OPEN_OBJECT) return -1;
    let seen = 0;
    let at = start;
    do {
      at++;
      const index = metadataKeyAt(bytes, at, end);
      if (index < 0) {
        const memberStart = at;
        at = memberEnd(bytes, at, end, 2);
        if (at < 0) return -1;
        // No escape of this grammar spells a letter, so the key has no other spelling.
        if (startsWith(bytes, memberStart, at, MANAGED_FIELDS_KEY)) {
          if (this.managedFields.end > 0) return -1;
          setRange(this.managedFields, memberStart, at);
        }
        continue;
      }
      if ((seen & (1 << index)) !== 0) return -1;
      seen |= 1 << index;
      const valueStart = at + METADATA_KEYS[index]!.length;
      at = stringEnd(bytes, valueStart, end);
      if (at < 0) return -1;
      if (index < METADATA_PREFIXES.length && !isEmptyValue(bytes, valueStart, at)) {
        sum.add(METADATA_PREFIXES[index]!, bytes, valueStart, at);
      }
      if (index === RESOURCE_VERSION_KEY) setRange(this.resourceVersion, valueStart + 1, at - 1);
      if (index === NAME_KEY) setRange(this.name, valueStart + 1, at - 1);
    } while (at < end && bytes[at] === COMMA);
    this.hasName = (seen & (1 << NAME_KEY)) !== 0;
    return at < end && bytes[at] === CLOSE_OBJECT ? at + 1 : -1;
  }
}

function setRange(range: Range, start: number, end: number): void {
  range.start = start;
  range.end = end;
}

/** Which field's key stands at `at`, tried in the server's order from `first` on; -1 for none. */
function fieldAt(bytes: Uint8Array, at: number, end: number, first: number): number {
  for (let i = first; i < FIELDS.length; i++) {
    if (startsWith(bytes, at, end, FIELDS[i]!.key)) return i;
  }
  for (let i = 0; i < first; i++) {
    if (startsWith(bytes, at, end, FIELDS[i]!.key)) return i;
  }
  return -1;
}

function metadataKeyAt(bytes: Uint8Array, at: number, end: number): number {
  for (let i = 0; i < METADATA_KEYS.length; i++) {
    if (startsWith(bytes, at, end, METADATA_KEYS[i]!)) return i;
  }
  return -1;
}

/** Whether a value that this grammar accepted is `null`, `{}` or `""`. */
function isEmptyValue(bytes: Uint8Array, start: number, end: number): boolean {
  const first = bytes[start]!;
  // Nothing else in the grammar begins with n.
  return first === 0x6e || (end - start === 2 && (first === QUOTE || first === OPEN_OBJECT));
}

/** `null` or an object that has only the given keys, in their order, each with a scalar. */
function nestedEnd(
  bytes: Uint8Array,
  start: number,
  end: number,
  keys: readonly Uint8Array[],
): number {
  if (startsWith(bytes, start, end, NULL)) return start + NULL.length;
  if (end - start < 2 || bytes[start] !== OPEN_OBJECT) return -1;
  if (bytes[start + 1] === CLOSE_OBJECT) return start + 2;
  let next = 0;
  let at = start;
  do {
    at++;
    while (next < keys.length && !startsWith(bytes, at, end, keys[next]!)) next++;
    if (next === keys.length) return -1;
    at = scalarEnd(bytes, at + keys[next]!.length, end);
    if (at < 0) return -1;
    next++;
  } while (at < end && bytes[at] === COMMA);
  return at < end && bytes[at] === CLOSE_OBJECT ? at + 1 : -1;
}
