/**
 * Where the event stands in a line that was written before, by this program or by another one.
 *
 * A line tells its own shape; today's settings do not matter. It is an Event itself, or a wrapper
 * with one member of an Event's shape under any name: that of --wrap, or eventrouter's
 * `{"verb":"UPDATED","event":{...},"old_event":{...}}`.
 */

import { startsWith, stringEnd } from "./canonical_json.ts";
import type { Range } from "./event_grammar.ts";
import type { EventScan } from "./event_scan.ts";
import {
  CLOSE_OBJECT,
  COLON,
  fieldRange,
  FormatError,
  NESTING_MAX,
  OPEN_OBJECT,
  parseJson,
} from "./json_bytes.ts";
import type { JsonTree } from "./json_tree.ts";
import type { IdentityMode } from "./protocol.ts";

/** The field of a wrapper that names the cluster. */
export const CLUSTER_FIELD = "cluster";

/** The event as it was before, which is no occurrence of its own: eventrouter writes it beside. */
const OLD_EVENT_FIELD = "old_event";

/** Names that a wrapper must not give its event: a reader would take them for something else. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set([
  CLUSTER_FIELD,
  OLD_EVENT_FIELD,
  // With it, a wrapper might pass for an Event.
  "metadata",
]);

/**
 * Scans the event of the line in [start, end), which is without its newline, into `scan`.
 *
 * @returns where in the bytes the event stands; "other" where the line is another JSON object, or a
 * wrapper of several events; else "broken"
 */
export function scanLine(
  scan: EventScan,
  bytes: Uint8Array,
  start: number,
  end: number,
  mode: IdentityMode,
): Range | "other" | "broken" {
  const wrapped = wrappedEvent(bytes, start, end);
  if (wrapped !== null && scan.scan(bytes, wrapped.start, wrapped.end, mode) === null) {
    return wrapped;
  }
  if (scan.scan(bytes, start, end, mode) === null) return { start, end };
  const names = eventNames(bytes, start, end);
  if (names === null) return "broken";
  if (names.length !== 1) return "other";
  const event = fieldRange(bytes, start, end, names[0]!)!;
  return scan.scan(bytes, event.start, event.end, mode) === null ? event : "other";
}

const encoder = new TextEncoder();
const RESERVED_KEYS = [...RESERVED_NAMES].map((name) => encoder.encode(JSON.stringify(name)));
const CLUSTER_MEMBER = encoder.encode(`},${JSON.stringify(CLUSTER_FIELD)}:`);

/**
 * Where the event stands if the line is `{"NAME":{...}}` or `{"NAME":{...},"cluster":"..."}` as
 * --wrap writes it. Whoever finds a valid Event there has found such a line: all bytes around it
 * were looked at. Null for any other line, and for names in characters beyond ASCII.
 */
function wrappedEvent(bytes: Uint8Array, start: number, end: number): Range | null {
  const keyEnd = stringEnd(bytes, start + 1, end);
  if (keyEnd < 0 || bytes[start] !== OPEN_OBJECT || bytes[end - 1] !== CLOSE_OBJECT) return null;
  if (bytes[keyEnd] !== COLON || bytes[keyEnd + 1] !== OPEN_OBJECT) return null;
  if (RESERVED_KEYS.some((key) => startsWith(bytes, start + 1, keyEnd, key))) return null;
  if (bytes[end - 2] === CLOSE_OBJECT) return { start: keyEnd + 1, end: end - 1 };
  // Within a string its quotes would be escaped, so the last place is that of a member.
  let at = end - CLUSTER_MEMBER.length;
  while (at > keyEnd && !startsWith(bytes, at, end, CLUSTER_MEMBER)) at--;
  if (at <= keyEnd || stringEnd(bytes, at + CLUSTER_MEMBER.length, end) !== end - 1) return null;
  return { start: keyEnd + 1, end: at + 1 };
}

/** Under which names an object in any spelling has events; null where it is no JSON object. */
function eventNames(bytes: Uint8Array, start: number, end: number): string[] | null {
  let line: JsonTree;
  try {
    // The wrapper is a level of its own: the bound of the event is the same without it.
    line = parseJson(bytes, start, end, NESTING_MAX + 1);
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
  if (!(line instanceof Map)) return null;
  return [...line.keys()].filter((name) => name !== OLD_EVENT_FIELD && isEvent(line.get(name)!));
}

/** Whether EventScan takes it for an Event. */
function isEvent(value: JsonTree): boolean {
  const metadata = value instanceof Map ? value.get("metadata") : null;
  const resourceVersion = metadata instanceof Map ? metadata.get("resourceVersion") : null;
  return typeof resourceVersion === "string" && resourceVersion !== "" &&
    resourceVersion.isWellFormed();
}
