/**
 * The fields of an Event of core/v1, to know lines to which another program added some: a time, the
 * cluster's name, the labels of the involved object.
 */

import type { Range } from "./event_grammar.ts";

/** k8s.io/api core/v1 types.go, Event. */
const EVENT_FIELDS: ReadonlySet<string> = new Set([
  ...["kind", "apiVersion", "metadata", "involvedObject", "reason", "message", "source"],
  ...["firstTimestamp", "lastTimestamp", "count", "type", "eventTime", "series", "action"],
  ...["related", "reportingComponent", "reportingInstance"],
]);

/** The same, ObjectReference. */
const REFERENCE_FIELDS: ReadonlySet<string> = new Set([
  ...["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"],
]);

/** An Event without what is none of its fields. */
export interface PlainEvent {
  /** The fields that were left out, `involvedObject.labels`. */
  foreign: string[];
  /** The rest, as JSON. */
  bytes: Uint8Array;
}

/**
 * Leaves out of an event, in valid JSON at this place, what another program added to it.
 *
 * @returns null where nothing is added
 */
export function withoutForeignFields(
  bytes: Uint8Array,
  { start, end }: Range,
): PlainEvent | null {
  const event = JSON.parse(new TextDecoder().decode(bytes.subarray(start, end)));
  const foreign: string[] = [];
  takeOut(event, EVENT_FIELDS, "", foreign);
  takeOut(event.involvedObject ?? {}, REFERENCE_FIELDS, "involvedObject.", foreign);
  if (foreign.length === 0) return null;
  return { foreign, bytes: new TextEncoder().encode(JSON.stringify(event)) };
}

function takeOut(
  object: Record<string, unknown>,
  known: ReadonlySet<string>,
  prefix: string,
  foreign: string[],
): void {
  for (const name of Object.keys(object)) {
    if (known.has(name)) continue;
    delete object[name];
    foreign.push(`${prefix}${name}`);
  }
}
