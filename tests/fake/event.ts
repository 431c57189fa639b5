/**
 * Events as a kube-apiserver keeps and encodes them: which fields exist, in which order they are
 * written, which are left out when empty, and how Go escapes JSON.
 *
 * Field order and omission are those of k8s.io/api core/v1 types.go (`Event`, `ObjectReference`,
 * `EventSource`, `EventSeries`); checked against kube-apiserver 1.35 by the unit tests.
 */
import { badRequest, unreadable } from "./status.ts";

/** Anything that JSON can hold. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  [key: string]: JsonValue;
}

/** The part of an event that the server itself fills in. */
export interface EventMeta extends JsonObject {
  name: string;
  namespace: string;
  uid: string;
  resourceVersion: string;
  creationTimestamp: string;
}

/** An event as it is stored: without kind and apiVersion, as the items of a LIST are. */
export interface StoredEvent extends JsonObject {
  metadata: EventMeta;
}

/** Whether a value is a JSON object (no array, not null). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

type Shape = "string" | "string?" | "int?" | "time" | "micro" | "reference" | "reference?" | {
  fields: [string, Shape][];
  optional: boolean;
};

const REFERENCE: [string, Shape][] = [
  "kind",
  "namespace",
  "name",
  "uid",
  "apiVersion",
  "resourceVersion",
  "fieldPath",
].map((name) => [name, "string?"]);

/** Fields of an Event outside its metadata, in the order of Go's struct; "?" = left out if empty. */
const EVENT: [string, Shape][] = [
  ["involvedObject", "reference"],
  ["reason", "string?"],
  ["message", "string?"],
  ["source", { fields: [["component", "string?"], ["host", "string?"]], optional: false }],
  ["firstTimestamp", "time"],
  ["lastTimestamp", "time"],
  ["count", "int?"],
  ["type", "string?"],
  ["eventTime", "micro"],
  ["series", { fields: [["count", "int?"], ["lastObservedTime", "micro"]], optional: true }],
  ["action", "string?"],
  ["related", "reference?"],
  ["reportingComponent", "string"],
  ["reportingInstance", "string"],
];

const META: readonly string[] = [
  "name",
  "generateName",
  "namespace",
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "labels",
  "annotations",
  "ownerReferences",
  "finalizers",
  "managedFields",
];

const MAPS = new Set(["labels", "annotations"]);

/** metadata with the known fields only, in Go's order, empty ones left out. */
export function normalMeta(meta: JsonObject): JsonObject {
  const result: JsonObject = {};
  for (const name of META) {
    const value = meta[name];
    if (value === undefined || isEmpty(value)) continue;
    result[name] = MAPS.has(name) && isObject(value) ? sortedMap(value) : value;
  }
  return result;
}

/** Go writes the keys of a map sorted (those that look like integers: {@linkcode itemText}). */
function sortedMap(map: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => a < b ? -1 : 1));
}

/**
 * The fields of an event outside its metadata as the server keeps them: known ones only, in Go's
 * order, times in UTC, broken surrogates replaced.
 *
 * @throws ApiError 400 where a value has the wrong type or is no time
 */
export function normalBody(input: JsonObject): JsonObject {
  return normalFields(input, EVENT, "");
}

function normalFields(input: JsonObject, fields: [string, Shape][], path: string): JsonObject {
  const result: JsonObject = {};
  for (const [name, shape] of fields) {
    const value = normalValue(input[name] ?? null, shape, `${path}.${name}`);
    if (value !== undefined) result[name] = value;
  }
  return result;
}

function normalValue(value: JsonValue, shape: Shape, path: string): JsonValue | undefined {
  switch (shape) {
    case "string":
    case "string?": {
      const text = stringOf(value, path) ?? "";
      return text === "" && shape === "string?" ? undefined : text.toWellFormed();
    }
    case "int?":
      return numberOf(value, path) || undefined;
    case "time":
      return normalTime(stringOf(value, path), /(?:\.\d+)?/, "", 0);
    case "micro":
      return normalTime(stringOf(value, path), /\.\d{6}/, ".000000", 7);
    case "reference":
    case "reference?":
      return normalValue(value, { fields: REFERENCE, optional: shape === "reference?" }, path);
    default: {
      if (value === null && shape.optional) return undefined;
      if (value !== null && !isObject(value)) throw wrongType(value, "object", path);
      return normalFields(value ?? {}, shape.fields, path);
    }
  }
}

function stringOf(value: JsonValue, path: string): string | null {
  if (value !== null && typeof value !== "string") throw wrongType(value, "string", path);
  return value;
}

function numberOf(value: JsonValue, path: string): number {
  if (value !== null && typeof value !== "number") throw wrongType(value, "int32", path);
  return value ?? 0;
}

function wrongType(value: JsonValue, type: string, path: string): Error {
  const found = Array.isArray(value) ? "array" : typeof value;
  return unreadable(`json: cannot unmarshal ${found} into Go struct field Event${path} of ${type}`);
}

/** RFC 3339 in UTC; fractions are dropped (Time) or exactly six digits (MicroTime). */
function normalTime(
  text: string | null,
  fraction: RegExp,
  layout: string,
  keep: number,
): JsonValue {
  if (text === null) return null;
  const pattern =
    `^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(${fraction.source})(Z|[+-]\\d\\d:\\d\\d)$`;
  const match = new RegExp(pattern).exec(text);
  const at = match === null ? NaN : Date.parse(text.slice(0, 19) + match[2]);
  if (match === null || Number.isNaN(at)) {
    throw unreadable(`parsing time "${text}" as "2006-01-02T15:04:05${layout}Z07:00"`);
  }
  return new Date(at).toISOString().slice(0, 19) + (match[1] ?? "").slice(0, keep) + "Z";
}

function isEmpty(value: JsonValue): boolean {
  if (value === null || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}

/** JSON as Go's encoder writes it: `< > &` and U+2028, U+2029 escaped (encoding/json). */
export function goJson(value: JsonValue): string {
  return JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (char) => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}

const texts = new WeakMap<StoredEvent, string>();

/** The event as an item of a LIST. Kept for the life of the object, which must not change. */
export function itemText(event: StoredEvent): string {
  const known = texts.get(event);
  if (known !== undefined) return known;
  const parts = Object.entries(event.metadata).map(([name, value]) => {
    return `"${name}":${MAPS.has(name) && isObject(value) ? mapText(value) : goJson(value)}`;
  });
  const { metadata: _, ...body } = event;
  const text = `{"metadata":{${parts.join(",")}},${goJson(body).slice(1)}`;
  texts.set(event, text);
  return text;
}

/** JavaScript would put keys that look like integers first, in the order of their numbers. */
function mapText(map: JsonObject): string {
  const entries = Object.keys(map).sort().map((key) => `${goJson(key)}:${goJson(map[key] ?? "")}`);
  return `{${entries.join(",")}}`;
}

/** The event as an object of its own: that of a WATCH or a GET, with kind and apiVersion. */
export function objectText(event: StoredEvent): string {
  return `{"kind":"Event","apiVersion":"v1",${itemText(event).slice(1)}`;
}

/** RFC 7386. Keys such as `__proto__` are plain keys here. */
export function mergePatch(target: JsonValue, patch: JsonValue): JsonValue {
  if (!isObject(patch)) return patch;
  const merged = new Map(Object.entries(isObject(target) ? target : {}));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key) ?? null, value));
  }
  return Object.fromEntries(merged);
}

/** Parses a JSON object. @throws ApiError 400 */
export function parseObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw badRequest(
      "the object provided is unrecognized (must be of type Event): couldn't get version/kind; " +
        `json parse error: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (!isObject(value)) throw badRequest("the object provided is unrecognized");
  return value;
}
