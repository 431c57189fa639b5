/**
 * WATCH: history from the log, then what comes, as etcd and the API server tell it.
 *
 * Rules: k8s.io/apiserver pkg/storage/etcd3/watcher.go and pkg/endpoints/handlers/watch.go. Events
 * have no watch cache: no periodic bookmarks, only the one that ends the initial events.
 */
import { type Answer, commonHeaders } from "./answer.ts";
import { objectText, type StoredEvent } from "./event.ts";
import { bookmarkLine, type FaultAction, type RequestInfo } from "./faults.ts";
import { invalidOption, parseNumber, parseVersion, prefixOf } from "./list.ts";
import { parseFieldSelector } from "./selector.ts";
import { ApiError, watchExpired } from "./status.ts";
import type { Storage, StoredRevision } from "./storage.ts";

/** Without timeoutSeconds the server takes 30 minutes and up (--min-request-timeout). */
const DEFAULT_TIMEOUT_SEC = 1800;

type Matches = (event: StoredEvent) => boolean;

/** What a WATCH asked for, checked. */
export interface WatchQuery {
  prefix: string;
  matches: Matches;
  /** History after this; null = begin with what lives now. */
  after: bigint | null;
  /** End what lives now with a bookmark. */
  marksInitialEnd: boolean;
  timeoutMs: number;
}

/** Reads the query. @throws ApiError 400, 422, 500 */
export function parseWatch(request: RequestInfo): WatchQuery {
  const { query } = request;
  const match = query.get("resourceVersionMatch") ?? "";
  const initial = query.get("sendInitialEvents");
  const wantsBookmarks = isTrue(query.get("allowWatchBookmarks"));
  if (match !== "" && initial === null) {
    const why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
    throw invalidOption("resourceVersionMatch", why);
  }
  const matches = parseFieldSelector(query.get("fieldSelector")) ?? (() => true);
  const seconds = parseNumber(query.get("timeoutSeconds"));
  const after = watchVersion(query.get("resourceVersion") ?? "");
  const isInitial = initial === null ? after === 0n : isTrue(initial);
  return {
    prefix: prefixOf(request.namespace),
    matches,
    after: isInitial ? null : after,
    marksInitialEnd: isInitial && wantsBookmarks,
    timeoutMs: (seconds > 0 ? seconds : DEFAULT_TIMEOUT_SEC) * 1000,
  };
}

/** A WATCH answers 500 without a reason where a LIST answers 400. */
function watchVersion(text: string): bigint {
  try {
    return parseVersion(text, "");
  } catch (error) {
    throw error instanceof ApiError ? new ApiError(500, "", error.message) : error;
  }
}

function isTrue(text: string | null): boolean {
  return text !== null && text !== "0" && text.toLowerCase() !== "false";
}

/** Answers a watch: header, events, end. */
export async function streamWatch(
  storage: Storage,
  query: WatchQuery,
  answer: Answer,
  action: FaultAction,
): Promise<void> {
  const cursor = new WatchCursor(storage, query.prefix, query.after);
  const sender = new LineSender(answer, action);
  const timeoutMs = action.endAfterMs ?? (action.ignoreTimeout ? Infinity : query.timeoutMs);
  const deadline = timeoutMs === Infinity ? undefined : setTimeout(() => answer.end(), timeoutMs);
  answer.done.then(() => cursor.close());
  try {
    // Behind the cursor, so that whoever has seen the header misses nothing that is written then.
    await answer.start(200, commonHeaders("application/json"));
    await sender.begin();
    if (query.after === null) await sendInitial(storage, cursor, query, sender);
    while (answer.ended === "open") {
      if (cursor.isExpired) {
        await sender.send("ERROR", JSON.stringify(watchExpired()));
        return await answer.end();
      }
      for (const entry of cursor.take()) {
        if (answer.ended !== "open") break;
        const shown = transition(entry, query.matches);
        if (shown !== null) await sender.send(shown.type, objectText(shown.object));
      }
      await cursor.changed();
    }
  } finally {
    clearTimeout(deadline);
    cursor.close();
  }
}

/** What lives now, as ADDED in key order: not in the order of resourceVersions. */
async function sendInitial(
  storage: Storage,
  cursor: WatchCursor,
  query: WatchQuery,
  sender: LineSender,
): Promise<void> {
  const at = cursor.start;
  const { prefix, matches } = query;
  const { events } = storage.range({ prefix, start: prefix, at, limit: null, matches });
  for (const event of events) await sender.send("ADDED", objectText(event));
  if (query.marksInitialEnd) {
    await sender.raw(bookmarkLine(`${at}`, { "k8s.io/initial-events-end": "true" }));
  }
}

/** With a selector, an event that comes to match is ADDED, one that ceases to match is DELETED. */
function transition(
  entry: StoredRevision,
  matches: Matches,
): { type: string; object: StoredEvent } | null {
  const { type, object, previous } = entry;
  const did = previous !== null && matches(previous);
  if (type === "DELETED") return did ? { type, object } : null;
  const does = matches(object);
  if (does) return { type: did ? "MODIFIED" : "ADDED", object };
  if (!did || previous === null) return null;
  const { resourceVersion } = object.metadata;
  const metadata = { ...previous.metadata, resourceVersion };
  return { type: "DELETED", object: { ...previous, metadata } };
}

/** Where a watch stands in the log. Takes what comes at once, as etcd's synced watchers do. */
class WatchCursor {
  /** The revision that was current when the watch began. */
  readonly start: bigint;
  /** The revision asked for is compacted. */
  readonly isExpired: boolean;
  #storage: Storage;
  #prefix: string;
  #taken: StoredRevision[] = [];
  /** One more than the last revision delivered: where etcd's client resumes after a restart. */
  #next: bigint;
  #read: bigint;
  #epoch: number;
  #wake: (() => void) | null = null;
  #isClosed = false;
  #unsubscribe: () => void;

  constructor(storage: Storage, prefix: string, after: bigint | null) {
    this.#storage = storage;
    this.#prefix = prefix;
    this.start = storage.revision;
    this.#next = (after ?? this.start) + 1n;
    this.#read = this.#next - 1n;
    this.#epoch = storage.epoch;
    this.isExpired = this.#next < storage.compacted;
    this.#unsubscribe = storage.subscribe(() => this.#pull());
    this.#pull();
  }

  take(): StoredRevision[] {
    return this.#taken.splice(0);
  }

  /** Settles when there is something to take, or the cursor is closed. */
  async changed(): Promise<void> {
    if (this.#taken.length > 0 || this.#isClosed) return;
    await new Promise<void>((resolve) => this.#wake = resolve);
  }

  close(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    this.#wake?.();
  }

  #pull(): void {
    if (this.#epoch !== this.#storage.epoch) {
      this.#epoch = this.#storage.epoch;
      this.#read = this.#next - 1n;
    }
    for (const entry of this.#storage.since(this.#read + 1n)) {
      if (!entry.key.startsWith(this.#prefix)) continue;
      this.#taken.push(entry);
      this.#next = entry.revision + 1n;
    }
    if (this.#storage.revision > this.#read) this.#read = this.#storage.revision;
    if (this.#taken.length > 0) this.#wake?.();
  }
}

/** Sends lines, with the faults that are done to lines. */
class LineSender {
  #answer: Answer;
  #action: FaultAction;
  #index = 0;

  constructor(answer: Answer, action: FaultAction) {
    this.#answer = answer;
    this.#action = action;
  }

  /** What is to stand before the first line. */
  async begin(): Promise<void> {
    await this.#insert();
  }

  async send(type: string, object: string): Promise<void> {
    await this.raw(`{"type":"${type}","object":${object}}\n`, type);
  }

  async raw(text: string, type = "BOOKMARK"): Promise<void> {
    const line = { type, text, index: ++this.#index };
    await this.#answer.line(this.#action.lines?.(line) ?? [text]);
    await this.#insert();
  }

  async #insert(): Promise<void> {
    for (const { after, bytes } of this.#action.insert ?? []) {
      if (after === this.#index) await this.#answer.send(bytes);
    }
  }
}
