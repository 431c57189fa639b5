/**
 * The writes that the API server knows on events, and the ends that events come to: TTL, deletion.
 *
 * Rules as in k8s.io/apiserver pkg/registry/generic and pkg/storage/etcd3/store.go: a write that
 * changes nothing makes no revision; PUT creates what is missing; a uid lives from create to delete.
 */
import {
  type EventMeta,
  isObject,
  type JsonObject,
  mergePatch,
  normalBody,
  normalMeta,
  type StoredEvent,
} from "./event.ts";
import { managedFields } from "./managed_fields.ts";
import {
  checkInvolved,
  checkPreconditions,
  isFinished,
  isSame,
  keyOf,
  mismatch,
  nameFor,
  settableMeta,
} from "./rules.ts";
import { alreadyExists, ApiError, badRequest, notFound } from "./status.ts";
import { type Change, Storage, type StoredRevision } from "./storage.ts";

/** The server takes it from the User-Agent, up to the first slash. */
const DEFAULT_MANAGER = "kubelet";

/** etcd revokes leases of up to 1000 keys each in one transaction (apiserver lease_manager.go). */
const LEASE_KEYS_MAX = 1000;

/** About a write. */
export interface WriteOptions {
  /** Who writes, for managedFields. */
  manager?: string;
}

/** Events and everything that can be done to them. Not HTTP: that is api_writes.ts. */
export class EventStore {
  readonly storage: Storage;
  #now: () => number;
  #ttlMs: number;
  /** Key -> when it expires, oldest write first. */
  #expiry = new Map<string, number>();

  /** `now` gives ms since 1970; `ttlSec` 0 = never. */
  constructor(now: () => number, ttlSec: number, firstRevision: bigint) {
    this.storage = new Storage(firstRevision);
    this.#now = now;
    this.#ttlMs = ttlSec * 1000;
  }

  /** The live event. @throws ApiError 404 */
  get(namespace: string, name: string): StoredEvent {
    const event = this.storage.get(`${namespace}/${name}`);
    if (event === undefined) throw notFound("events", name);
    return event;
  }

  /** The newest revision; the next write gets the next number. */
  get revision(): bigint {
    return this.storage.revision;
  }

  /** Everything ever stored, in order, whatever compaction and rewinds did since. */
  get revisions(): readonly StoredRevision[] {
    return this.storage.log;
  }

  /** How many events live. */
  get size(): number {
    return this.#expiry.size;
  }

  /** POST. The namespace is taken from metadata. @throws ApiError 400, 409, 422, 500 */
  create(input: JsonObject, options: WriteOptions = {}): StoredEvent {
    const meta = isObject(input.metadata) ? input.metadata : {};
    if (typeof meta.resourceVersion === "string" && meta.resourceVersion !== "") {
      throw new ApiError(500, "", "resourceVersion should not be set on objects to be created");
    }
    const namespace = String(meta.namespace ?? "");
    const name = nameFor(meta);
    if (this.storage.get(`${namespace}/${name}`) !== undefined) throw alreadyExists("events", name);
    const event = this.#event(input, {
      ...settableMeta(meta),
      name,
      namespace,
      uid: crypto.randomUUID(),
      creationTimestamp: this.#timestamp(),
    });
    return this.#write("ADDED", null, event, options);
  }

  /** PUT: replaces, or creates where there is nothing. @throws ApiError 400, 409, 422 */
  update(input: JsonObject, options: WriteOptions = {}): StoredEvent {
    const meta = isObject(input.metadata) ? input.metadata : {};
    const name = String(meta.name ?? "");
    const before = this.storage.get(`${meta.namespace ?? ""}/${name}`);
    if (before === undefined) {
      const { resourceVersion: _rv, uid: _uid, ...rest } = meta;
      return this.create({ ...input, metadata: rest }, options);
    }
    checkPreconditions(before.metadata, meta);
    const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, ...rest } =
      before.metadata;
    const event = this.#event(input, {
      ...settableMeta(meta),
      name,
      namespace: rest.namespace,
      uid,
      creationTimestamp,
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
    });
    return this.#write("MODIFIED", before, event, options);
  }

  /** PATCH with a merge patch. @throws ApiError 400, 404, 409, 422 */
  patch(
    namespace: string,
    name: string,
    patch: JsonObject,
    options: WriteOptions = {},
  ): StoredEvent {
    const before = this.get(namespace, name);
    // The merge happens on the object as clients see it; a resourceVersion in the patch is checked.
    const merged = mergePatch(before, patch);
    if (!isObject(merged) || !isObject(merged.metadata)) throw badRequest("patch without object");
    const asked = String(merged.metadata.name ?? "");
    if (asked !== name) throw badRequest(mismatch(asked, name));
    return this.update({ ...merged, metadata: { ...merged.metadata, namespace } }, options);
  }

  /** The event happened again, as client-go's core/v1 recorder tells it: count and lastTimestamp. */
  repeat(namespace: string, name: string, by = 1): StoredEvent {
    const count = Number(this.get(namespace, name).count ?? 0) + by;
    return this.patch(namespace, name, { count, lastTimestamp: this.#timestamp() });
  }

  /** The event happened again, as the events.k8s.io recorder tells it: `series`. */
  series(namespace: string, name: string, count: number): StoredEvent {
    const lastObservedTime = this.#timestamp().replace("Z", ".000000Z");
    return this.patch(namespace, name, { series: { count, lastObservedTime } });
  }

  /** A metadata-only write: no occurrence. */
  annotate(namespace: string, name: string, annotations: JsonObject): StoredEvent {
    return this.patch(namespace, name, { metadata: { annotations } });
  }

  /**
   * DELETE. Returns the event as deleted; one with finalizers only gets its deletionTimestamp and
   * goes when the last finalizer does. @throws ApiError 404
   */
  delete(namespace: string, name: string): StoredEvent {
    const event = this.get(namespace, name);
    if (event.metadata.finalizers === undefined) return this.#remove([event])[0] ?? event;
    const deletion = { deletionTimestamp: this.#timestamp(), deletionGracePeriodSeconds: 0 };
    const metadata = { ...event.metadata, ...deletion } as EventMeta;
    const marked = { ...event, metadata: normalMeta({ ...metadata }) as EventMeta };
    return this.#commit({ type: "MODIFIED", key: keyOf(event), object: marked });
  }

  /** Deletes all events of a namespace (null = all), one revision each. Returns how many. */
  deleteAll(namespace: string | null): number {
    const keys = [...this.#expiry.keys()].filter((key) =>
      namespace === null || key.startsWith(`${namespace}/`)
    );
    for (const key of keys) {
      const event = this.storage.get(key);
      if (event !== undefined) this.delete(event.metadata.namespace, event.metadata.name);
    }
    return keys.length;
  }

  /**
   * The TTL takes the `count` events whose last write is oldest: DELETED for all of them under one
   * revision, as etcd does for keys that share a lease. Returns them.
   */
  expire(count: number): StoredEvent[] {
    return this.#expireKeys([...this.#expiry.keys()].slice(0, count));
  }

  /** Expires what is due, at most 1000 a revision. Does nothing without a TTL. */
  expireDue(): void {
    if (this.#ttlMs === 0) return;
    const due: string[] = [];
    for (const [key, at] of this.#expiry) {
      if (at > this.#now()) break;
      due.push(key);
    }
    for (let i = 0; i < due.length; i += LEASE_KEYS_MAX) {
      this.#expireKeys(due.slice(i, i + LEASE_KEYS_MAX));
    }
  }

  /** See {@linkcode Storage.compact}; default: to the newest revision. */
  compact(to: bigint | number = this.revision): void {
    this.storage.compact(BigInt(to));
  }

  /** See {@linkcode Storage.bump}. */
  bump(to: bigint | number): void {
    this.storage.bump(BigInt(to));
  }

  /** See {@linkcode Storage.rewindTo}; what lives then gets a full TTL, as after an etcd restore. */
  rewindTo(to: bigint | number): void {
    const revision = BigInt(to);
    this.storage.rewindTo(revision);
    const { events } = this.storage.range({
      prefix: "",
      start: "",
      at: revision,
      limit: null,
      matches: () => true,
    });
    const written = (event: StoredEvent) => BigInt(event.metadata.resourceVersion);
    events.sort((a, b) => written(a) < written(b) ? -1 : 1);
    this.#expiry = new Map(events.map((event) => [keyOf(event), this.#now() + this.#ttlMs]));
  }

  #event(input: JsonObject, meta: JsonObject): StoredEvent {
    const event = { metadata: normalMeta(meta) as EventMeta, ...normalBody(input) };
    checkInvolved(event);
    return event;
  }

  #write(
    type: "ADDED" | "MODIFIED",
    before: StoredEvent | null,
    event: StoredEvent,
    options: WriteOptions,
  ): StoredEvent {
    const manager = options.manager ?? DEFAULT_MANAGER;
    const owners = managedFields(before, event, manager, this.#timestamp());
    const metadata = normalMeta({ ...event.metadata, managedFields: owners }) as EventMeta;
    const object: StoredEvent = { ...event, metadata };
    if (before !== null && isSame(before, object)) return before;
    if (before !== null && isFinished(metadata)) {
      this.#remove([before]);
      // The answer bears the resourceVersion from before; DELETED bears that of the deletion.
      const { resourceVersion } = before.metadata;
      return { ...object, metadata: normalMeta({ ...metadata, resourceVersion }) as EventMeta };
    }
    return this.#commit({ type, key: keyOf(object), object });
  }

  #commit(change: Change): StoredEvent {
    this.#expiry.delete(change.key);
    this.#expiry.set(change.key, this.#now() + this.#ttlMs);
    this.storage.commit([change]);
    return this.storage.get(change.key) ?? change.object;
  }

  #expireKeys(keys: string[]): StoredEvent[] {
    const events = keys.flatMap((key) => this.storage.get(key) ?? []);
    return this.#remove(events);
  }

  #remove(events: StoredEvent[]): StoredEvent[] {
    if (events.length === 0) return [];
    for (const event of events) this.#expiry.delete(keyOf(event));
    this.storage.commit(events.map((object) => ({ type: "DELETED", key: keyOf(object), object })));
    return this.storage.log.slice(-events.length).map((entry) => entry.object);
  }

  #timestamp(): string {
    return new Date(this.#now()).toISOString().slice(0, 19) + "Z";
  }
}
