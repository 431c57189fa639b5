/**
 * What the API server checks and fills in on a write of an event.
 */
import {
  type EventMeta,
  isObject,
  type JsonObject,
  type JsonValue,
  type StoredEvent,
} from "./event.ts";
import { conflict, invalid } from "./status.ts";

/** The text of 400 for an object that does not belong to its URL. */
export function mismatch(name: string, inUrl: string): string {
  return `the name of the object (${name}) does not match the name on the URL (${inUrl})`;
}

/** "namespace/name", etcd's key behind /registry/events/. */
export function keyOf(event: StoredEvent): string {
  return `${event.metadata.namespace}/${event.metadata.name}`;
}

/** What a client may set in metadata. */
export function settableMeta(meta: JsonObject): JsonObject {
  const { generateName, labels, annotations, ownerReferences, finalizers } = meta;
  const all = { generateName, labels, annotations, ownerReferences, finalizers };
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined),
  );
}

/** generateName gets five characters of k8s.io/apimachinery pkg/util/rand's alphabet. */
export function nameFor(meta: JsonObject): string {
  if (typeof meta.name === "string" && meta.name !== "") return meta.name;
  if (typeof meta.generateName !== "string" || meta.generateName === "") {
    const message = "Required value: name or generateName is required";
    throw invalid("", "FieldValueRequired", "metadata.name", message);
  }
  const alphabet = "bcdfghjklmnpqrstvwxz2456789";
  const bytes = [...crypto.getRandomValues(new Uint8Array(5))];
  return meta.generateName + bytes.map((byte) => alphabet[byte % alphabet.length]).join("");
}

/**
 * A resourceVersion or uid in the request must be that of the stored object.
 *
 * @throws ApiError 409
 */
export function checkPreconditions(before: EventMeta, meta: JsonObject): void {
  const { resourceVersion, uid } = meta;
  if (resourceVersion && resourceVersion !== before.resourceVersion) {
    throw conflict(
      before.name,
      "the object has been modified; please apply your changes to the latest version and try again",
    );
  }
  if (uid && uid !== before.uid) {
    const error =
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${before.uid}`;
    throw conflict(
      before.name,
      `StorageError: invalid object, Code: 4, Key: /registry/events/${before.namespace}/` +
        `${before.name}, ResourceVersion: 0, AdditionalErrorMsg: ${error}`,
    );
  }
}

/** An event lives in the namespace of what it is about, or in default (validation/events.go). */
export function checkInvolved(event: StoredEvent): void {
  const involved = isObject(event.involvedObject) ? event.involvedObject.namespace ?? "" : "";
  const { name, namespace } = event.metadata;
  if (involved === namespace || (involved === "" && namespace === "default")) return;
  const message = `Invalid value: ${JSON.stringify(involved)}: does not match event.namespace`;
  throw invalid(name, "FieldValueInvalid", "involvedObject.namespace", message);
}

/** Whether the last finalizer of a deleted event is gone: the write deletes it. */
export function isFinished(meta: EventMeta): boolean {
  return meta.deletionTimestamp !== undefined && meta.finalizers === undefined;
}

/** Whether storing `after` would change nothing. Both are in Go's field order. */
export function isSame(before: StoredEvent, after: StoredEvent): boolean {
  const { resourceVersion: _, ...meta } = before.metadata;
  const { resourceVersion: __, ...newMeta } = after.metadata;
  return JSON.stringify({ ...before, metadata: meta }) ===
    JSON.stringify({ ...after, metadata: newMeta });
}
