/**
 * What may stand around the event of a line: how --wrap writes it, and how the event of a line that
 * was written before, by this program or by another one, is found again.
 *
 * A line tells its own shape; today's settings do not matter. It is an Event itself, or a wrapper
 * with one member of an Event's shape under any name: that of --wrap, or eventrouter's
 * `{"verb":"UPDATED","event":{...},"old_event":{...}}`.
 */

import type { Range } from "./event_grammar.ts";
import type { EventScan } from "./event_scan.ts";
import {
  BACKSLASH,
  CLOSE_OBJECT,
  COLON,
  fieldRange,
  FormatError,
  OPEN_OBJECT,
  parseJson,
  printable,
  QUOTE,
  startsWith,
} from "./json_bytes.ts";
import { NESTING_MAX } from "./limits.ts";
import type { JsonTree } from "./json_tree.ts";
import type { IdentityMode, LineForm } from "./protocol.ts";

/** The field of a wrapper that names the cluster. */
const CLUSTER_FIELD = "cluster";

/** The event as it was before, which is no occurrence of its own: eventrouter writes it beside. */
const OLD_EVENT_FIELD = "old_event";

/** Names that a wrapper must not give its event: a reader would take them for something else. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set([
  CLUSTER_FIELD,
  OLD_EVENT_FIELD,
  // With it, a wrapper might pass for an Event.
  "metadata",
]);

const encoder = new TextEncoder();
const RESERVED_KEYS = [...RESERVED_NAMES].map((name) => encoder.encode(`"${name}"`));
/** What stands between the event and the cluster's name. */
const CLUSTER_MEMBER = encoder.encode(`},"${CLUSTER_FIELD}":`);

/** What stands in front of the event of a line, and what behind it, its newline included. */
export function aroundEvent({ wrap, cluster }: LineForm): { front: string; back: string } {
  if (wrap === null) return { front: "", back: "\n" };
  const field = cluster === null ? "" : `,"${CLUSTER_FIELD}":${jsonString(cluster)}`;
  return { front: `{${jsonString(wrap)}:`, back: `${field}}\n` };
}

/** Without what some line splitter takes for a line end. */
function jsonString(text: string): string {
  return printable(JSON.stringify(text));
}

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

/**
 * Where the event stands if the line is `{"NAME":{...}}` or `{"NAME":{...},"cluster":"..."}` as
 * --wrap writes it. Whoever finds a valid Event there has found such a line: all bytes around it
 * were looked at. Null for any other line, and for names that are not plain ASCII.
 */
function wrappedEvent(bytes: Uint8Array, start: number, end: number): Range | null {
  const keyEnd = plainStringEnd(bytes, start + 1, end);
  if (keyEnd < 0 || bytes[start] !== OPEN_OBJECT || bytes[end - 1] !== CLOSE_OBJECT) return null;
  if (bytes[keyEnd] !== COLON || bytes[keyEnd + 1] !== OPEN_OBJECT) return null;
  if (RESERVED_KEYS.some((key) => startsWith(bytes, start + 1, keyEnd, key))) return null;
  if (bytes[end - 2] === CLOSE_OBJECT) return { start: keyEnd + 1, end: end - 1 };
  // Within a string its quotes would be escaped, so the last place is that of a member.
  let at = end - CLUSTER_MEMBER.length;
  while (at > keyEnd && !startsWith(bytes, at, end, CLUSTER_MEMBER)) at--;
  if (at <= keyEnd || plainStringEnd(bytes, at + CLUSTER_MEMBER.length, end) !== end - 1) {
    return null;
  }
  return { start: keyEnd + 1, end: at + 1 };
}

/** Behind a string of printable ASCII without an escape; -1 where it is none. */
function plainStringEnd(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] !== QUOTE) return -1;
  for (let at = start + 1; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) return at + 1;
    if (byte < 0x20 || byte > 0x7e || byte === BACKSLASH) return -1;
  }
  return -1;
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
