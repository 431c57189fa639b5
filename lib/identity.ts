/**
 * The identity of an occurrence: 128 bits that are the same for the same content, whatever the
 * order of the fields and whoever wrote the JSON. docs/FORMAT.md defines it, with test vectors;
 * each change of what is hashed, or how, needs a new {@linkcode IDENTITY_VERSION}.
 */

import { JsonNumber, type JsonObject, type JsonTree } from "./json_tree.ts";
import { mixLanes, Murmur3 } from "./murmur3.ts";
import type { IdentityMode } from "./protocol.ts";

/** The version of the definition below; it stands in every ring header beside the mode. */
export const IDENTITY_VERSION = 1;

const REFERENCE_KEYS = [
  "kind",
  "namespace",
  "name",
  "uid",
  "apiVersion",
  "resourceVersion",
  "fieldPath",
];

/**
 * Fields whose value is a known object, with its keys in the order in which Kubernetes writes them:
 * that of the Go structs ObjectReference, EventSource and EventSeries (k8s.io/api/core/v1).
 */
export const NESTED_KEYS: ReadonlyMap<string, readonly string[]> = new Map([
  ["involvedObject", REFERENCE_KEYS],
  ["related", REFERENCE_KEYS],
  ["source", ["component", "host"]],
  ["series", ["count", "lastObservedTime"]],
]);

/** Fields that do not tell one occurrence from another. */
export const UNHASHED_FIELDS: ReadonlySet<string> = new Set(["metadata", "kind", "apiVersion"]);

const encoder = new TextEncoder();

/** What precedes a part's value under the hash: its name and one zero byte. */
export function partPrefix(name: string): Uint8Array {
  return encoder.encode(`${name}\0`);
}

/** Adds up the parts of one event, in any order. Allocates nothing after construction. */
export class IdentitySum {
  readonly #hash = new Murmur3();
  readonly #part = new Uint32Array(4);
  readonly #sum = new Uint32Array(4);

  /** Starts a new event. */
  reset(): void {
    for (let i = 0; i < 4; i++) this.#sum[i] = 0;
  }

  /** Adds a part: its prefix and its canonical value, which is not empty. */
  add(part: Uint8Array): void {
    this.#hash.reset();
    this.#hash.update(part, 0, part.length);
    this.#hash.finish(this.#part);
    // A Uint32Array stores modulo 2^32.
    for (let i = 0; i < 4; i++) this.#sum[i]! += this.#part[i]!;
  }

  /** Writes the identity of everything added since reset(). */
  finish(into: Uint32Array): void {
    for (let i = 0; i < 4; i++) into[i] = this.#sum[i]!;
    mixLanes(into);
  }
}

/**
 * The canonical text of a value: compact JSON as Go's encoding/json writes it with HTML escaping.
 *
 * @param keys come first, in this order, where the value is an object; its others follow sorted
 */
export function encodeCanonical(value: JsonTree, keys: readonly string[] = []): string {
  if (typeof value === "string") return encodeString(value);
  if (value instanceof JsonNumber) return encodeNumber(value);
  if (Array.isArray(value)) {
    return `[${value.map((element) => encodeCanonical(element)).join(",")}]`;
  }
  if (!(value instanceof Map)) return String(value);
  const known = keys.filter((key) => value.has(key));
  const others = [...value.keys()].filter((key) => !known.includes(key)).sort();
  const fields = [...known, ...others].map((key) =>
    `${encodeString(key)}:${encodeCanonical(value.get(key)!)}`
  );
  return `{${fields.join(",")}}`;
}

function encodeNumber({ text }: JsonNumber): string {
  const value = Number(text);
  // Adding 0 makes 0 of -0. Below 2^53 String() never writes an exponent.
  return Number.isSafeInteger(value) ? String(value + 0) : text;
}

// A pair of backslashes is matched too, so that the b of "\\b" is not taken for an escape.
const REWRITTEN = /\\[\\bf]|[<>&\u2028\u2029]/g;

/** Characters that may need an escape, and halves of those beyond the BMP. */
// deno-lint-ignore no-control-regex
const SPECIAL = /["\\<>&\u0000-\u001f\u2028\u2029\ud800-\udfff]/;

function encodeString(text: string): string {
  if (!SPECIAL.test(text)) return `"${text}"`;
  return JSON.stringify(text.toWellFormed()).replaceAll(REWRITTEN, (match) => {
    if (match === "\\\\") return match;
    if (match === "\\b") return "\\u0008";
    if (match === "\\f") return "\\u000c";
    return `\\u${match.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

const EMPTY_VALUES: ReadonlySet<string> = new Set(["null", "{}", "[]", '""']);

/** Writes the identity of a parsed event into four lanes: the slow way, for any spelling. */
export function identityOf(
  event: JsonObject,
  mode: IdentityMode,
  sum: IdentitySum,
  into: Uint32Array,
): void {
  const given = event.get("metadata");
  const metadata: JsonObject = given instanceof Map ? given : new Map();
  if (mode === "name-count") {
    nameCountIdentity(pythonText(metadata.get("name")), pythonText(event.get("count")), into);
    return;
  }
  sum.reset();
  for (const [name, value] of event) {
    if (!UNHASHED_FIELDS.has(name)) addPart(sum, name, value);
  }
  for (const name of ["namespace", "name"]) {
    addPart(sum, `metadata.${name}`, metadata.get(name) ?? null);
  }
  sum.finish(into);
}

function addPart(sum: IdentitySum, name: string, value: JsonTree): void {
  const text = encodeCanonical(value, NESTED_KEYS.get(name));
  if (EMPTY_VALUES.has(text)) return;
  // The encoder makes U+FFFD of lone surrogates in the name, as encodeString() does in values.
  sum.add(encoder.encode(`${name}\0${text}`));
}

/** What an f-string of the Python tool makes of a value: its text, or None where there is none. */
function pythonText(value: JsonTree | undefined): string {
  if (value === undefined || value === null) return "None";
  return typeof value === "string" ? value : encodeCanonical(value);
}

const nameCountHash = new Murmur3();

/** Writes the hash of the Python tool's key; what is missing or null is named `None`, as there. */
export function nameCountIdentity(name: string, count: string, into: Uint32Array): void {
  const bytes = encoder.encode(`${name}-${count}`);
  nameCountHash.reset();
  nameCountHash.update(bytes, 0, bytes.length);
  nameCountHash.finish(into);
}

/** An identity as 32 hexadecimal digits: the four lanes in order, high digits first. */
export function identityHex(key: Uint32Array): string {
  let text = "";
  for (const lane of key) text += lane.toString(16).padStart(8, "0");
  return text;
}

/** The lanes that {@linkcode identityHex} wrote; null where it did not. */
export function identityLanes(hex: string): Uint32Array | null {
  if (!/^[0-9a-f]{32}$/.test(hex)) return null;
  return Uint32Array.from([0, 8, 16, 24], (at) => parseInt(hex.slice(at, at + 8), 16));
}
