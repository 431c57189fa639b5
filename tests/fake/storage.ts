/**
 * The events as etcd keeps them: one revision counter for everything, every version of every key
 * until compaction, and what a WATCH or a LIST at a revision may see of it.
 *
 * Besides, the full log of everything ever stored, which compaction and rewinds do not touch: the
 * oracle of the tests.
 */
import { type EventMeta, normalMeta, type StoredEvent } from "./event.ts";

/** What happened to an event. */
export type ChangeType = "ADDED" | "MODIFIED" | "DELETED";

/** One stored change. Never altered afterwards. */
export interface StoredRevision {
  /** Changes of one transaction share it. After a rewind numbers come again, in a later epoch. */
  readonly revision: bigint;
  readonly type: ChangeType;
  /** "namespace/name". */
  readonly key: string;
  /** As a WATCH shows it; for DELETED the last state under the new resourceVersion. */
  readonly object: StoredEvent;
  /** The state before. */
  readonly previous: StoredEvent | null;
  /** How many rewinds came before. */
  readonly epoch: number;
}

/** A change to be stored; the storage gives it its resourceVersion. */
export interface Change {
  type: ChangeType;
  key: string;
  /** Everything but the resourceVersion. */
  object: StoredEvent;
}

/** What a LIST reads. */
export interface RangeQuery {
  /** "" or "namespace/". */
  prefix: string;
  /** First key, inclusive. */
  start: string;
  at: bigint;
  /** Most events; null = all. */
  limit: number | null;
  matches: (event: StoredEvent) => boolean;
}

/** What a LIST found. */
export interface RangeResult {
  events: StoredEvent[];
  /** The last key looked at. */
  lastKey: string;
  /** Live keys behind it (whether they match or not). */
  remaining: number;
}

/** See the head of this file. */
export class Storage {
  /** Everything ever stored, in order. */
  readonly log: StoredRevision[] = [];
  #history: StoredRevision[] = [];
  #versions = new Map<string, StoredRevision[]>();
  #keys: string[] = [];
  #revision: bigint;
  #compacted = 0n;
  #epoch = 0;
  #listeners = new Set<() => void>();

  constructor(firstRevision: bigint) {
    this.#revision = firstRevision;
  }

  /** The newest revision. */
  get revision(): bigint {
    return this.#revision;
  }

  /** Oldest revision that can still be read. */
  get compacted(): bigint {
    return this.#compacted;
  }

  /** How many rewinds there were. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Calls `listener` after every change of the state, within the call that made it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The live event under a key. */
  get(key: string): StoredEvent | undefined {
    return liveAt(this.#versions.get(key), this.#revision);
  }

  /** Stores changes as one transaction, so under one revision, which is returned. */
  commit(changes: Change[]): bigint {
    const revision = this.#revision + 1n;
    for (const { type, key, object } of changes) {
      const entry: StoredRevision = {
        revision,
        type,
        key,
        object: withRevision(object, revision),
        previous: this.get(key) ?? null,
        epoch: this.#epoch,
      };
      this.log.push(entry);
      this.#history.push(entry);
      const versions = this.#versions.get(key);
      if (versions === undefined) {
        this.#versions.set(key, [entry]);
        this.#keys.splice(lowerBound(this.#keys, (each) => each < key), 0, key);
      } else versions.push(entry);
    }
    this.#revision = revision;
    this.#notify();
    return revision;
  }

  /** Changes with `revision >= from`, oldest first. The caller checks for compaction. */
  since(from: bigint): StoredRevision[] {
    return this.#history.slice(lowerBound(this.#history, (each) => each.revision < from));
  }

  /** Live events at a revision, in key order. The caller checks that the revision can be read. */
  range(query: RangeQuery): RangeResult {
    const { prefix, at } = query;
    const start = query.start > prefix ? query.start : prefix;
    const result: RangeResult = { events: [], lastKey: "", remaining: 0 };
    for (let i = lowerBound(this.#keys, (key) => key < start); i < this.#keys.length; i++) {
      const key = this.#keys[i] ?? "";
      if (!key.startsWith(prefix)) break;
      const event = liveAt(this.#versions.get(key), at);
      if (event === undefined) continue;
      if (query.limit !== null && result.events.length >= query.limit) {
        result.remaining++;
        continue;
      }
      result.lastKey = key;
      if (query.matches(event)) result.events.push(event);
    }
    return result;
  }

  /** Forgets the history before a revision, as etcd's compaction does; never goes back. */
  compact(to: bigint): void {
    if (to > this.#revision) throw new RangeError(`Cannot compact to ${to}: at ${this.#revision}`);
    if (to <= this.#compacted) return;
    this.#compacted = to;
    this.#history = this.since(to);
    for (const [key, versions] of this.#versions) {
      const kept = versions.slice(Math.max(0, versionIndex(versions, to)));
      if (kept[0]?.type === "DELETED") kept.shift();
      this.#versions.set(key, kept);
    }
    this.#dropEmptyKeys();
  }

  /** Puts state and counter back to a revision: etcd restored from an older copy. */
  rewindTo(to: bigint): void {
    if (to < this.#compacted || to > this.#revision) {
      throw new RangeError(`Cannot rewind to ${to}: have ${this.#compacted} to ${this.#revision}`);
    }
    this.#epoch++;
    this.#revision = to;
    this.#history = this.#history.filter((entry) => entry.revision <= to);
    for (const [key, versions] of this.#versions) {
      this.#versions.set(key, versions.slice(0, versionIndex(versions, to) + 1));
    }
    this.#dropEmptyKeys();
    this.#notify();
  }

  /** Moves the counter on, as writes to anything but events do. */
  bump(to: bigint): void {
    if (to < this.#revision) throw new RangeError(`Cannot bump to ${to}: at ${this.#revision}`);
    this.#revision = to;
    this.#notify();
  }

  #dropEmptyKeys(): void {
    this.#keys = this.#keys.filter((key) => {
      if (this.#versions.get(key)?.length !== 0) return true;
      this.#versions.delete(key);
      return false;
    });
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

function withRevision(event: StoredEvent, revision: bigint): StoredEvent {
  const metadata = normalMeta({ ...event.metadata, resourceVersion: `${revision}` });
  return { ...event, metadata: metadata as EventMeta };
}

/** Index of the newest version that is not newer than `at`; -1 = none. */
function versionIndex(versions: StoredRevision[], at: bigint): number {
  return versions.findLastIndex((version) => version.revision <= at);
}

function liveAt(versions: StoredRevision[] | undefined, at: bigint): StoredEvent | undefined {
  const version = versions?.[versionIndex(versions, at)];
  return version === undefined || version.type === "DELETED" ? undefined : version.object;
}

/** First index for which `isBefore` is false. */
function lowerBound<T>(sorted: T[], isBefore: (each: T) => boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(sorted[middle] as T)) low = middle + 1;
    else high = middle;
  }
  return low;
}
