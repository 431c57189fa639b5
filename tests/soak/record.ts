/**
 * What the API server did, with times: which events it showed to whom, which watches it refused,
 * when each revision came and which of them a restore of etcd took away.
 */

import type { Answer } from "../fake/answer.ts";
import { objectText } from "../fake/event.ts";
import type { FaultAction, RequestInfo } from "../fake/faults.ts";
import type { RequestLog } from "../fake/request_log.ts";
import type { FakeApiServer } from "../fake/server.ts";
import type { StoredRevision } from "../fake/storage.ts";

/** A WATCH or a page of a LIST. */
export interface Asked {
  request: RequestInfo;
  atMs: number;
  /** WATCH: the resourceVersion that it asked for. */
  from: bigint;
  /** Index of its entry in the server's log. */
  logIndex: number;
  /** Something other than what the store says may have been answered. */
  isFaulty: boolean;
  /** It was answered that this resourceVersion cannot be had, or something was hidden. */
  isRefused: boolean;
  /** When the answer of a WATCH ended; Infinity = it has not. */
  endMs: number;
  /** WATCH: the resourceVersion of its last line. */
  upTo: bigint;
  /** LIST: the token that the page gave. */
  token: string | null;
}

/** An event that was shown: the line of a WATCH, or on a page of a LIST. */
export interface Shown {
  entry: StoredRevision;
  by: Asked;
  /** The line's count in its answer; 0 for a LIST. */
  index: number;
  atMs: number;
  /** A fault changed the text: what the program could make of it, the record does not tell. */
  isAltered: boolean;
}

/** etcd was put back to an earlier copy. */
export interface Rewind {
  atMs: number;
  to: bigint;
  /** The highest resourceVersion that was shown since the restore before: all we could know. */
  met: bigint;
  /** So many entries of the log came before. */
  logLength: number;
}

/** The first in a line is that of its event, in a LIST that of the LIST. */
const VERSION = /"resourceVersion":"(\d+)"/;
const VERSIONS = /"resourceVersion":"(\d+)","creationTimestamp"/g;

/** See the head of this file. */
export class ServerRecord {
  readonly server: FakeApiServer;
  readonly asked: Asked[] = [];
  readonly shown: Shown[] = [];
  readonly rewinds: Rewind[] = [];
  /** When each entry of the log was written. */
  readonly writtenMs: number[] = [];
  /** While it is on, the server may hide from a watch what it should show. */
  mayHide = false;
  /** Entries by their revision, the newest last. */
  readonly #byRevision = new Map<string, StoredRevision[]>();
  #met = 0n;

  /** From now on all is recorded. */
  constructor(server: FakeApiServer) {
    this.server = server;
    const { faults, store } = server;
    const take = faults.take.bind(faults);
    faults.take = (request) => this.#meet(request, take(request));
    const rewindTo = store.rewindTo.bind(store);
    store.rewindTo = (to) => {
      const atMs = performance.now();
      const logLength = store.revisions.length;
      this.rewinds.push({ atMs, to: BigInt(to), met: this.#met, logLength });
      this.#met = 0n;
      rewindTo(to);
    };
    store.storage.subscribe(() => this.#noteWrites());
  }

  /** The log's entry of a request. */
  logOf(asked: Asked): RequestLog {
    return this.server.log[asked.logIndex]!;
  }

  /** Whether an open watch has shown all there is. */
  get isMet(): boolean {
    const newest = this.server.revisions.at(-1)?.revision ?? 0n;
    return this.asked.some(({ request, endMs, upTo }) =>
      request.verb === "watch" && endMs === Infinity && upTo >= newest
    );
  }

  /** Whether a LIST was answered since then: it tells of a restore. */
  hasListed(sinceMs: number): boolean {
    return this.asked.some((one) => {
      const isList = one.request.verb === "list" && one.request.query.get("limit") !== "1";
      return isList && one.atMs > sinceMs && this.logOf(one).ended === "complete";
    });
  }

  /** The revision that was the newest so many ms ago, as far as it can still be read. */
  revisionBefore(ms: number): bigint {
    const { storage } = this.server.store;
    const since = performance.now() - ms;
    let found = storage.compacted > 0n ? storage.compacted : storage.revision;
    for (const entry of storage.since(storage.compacted)) {
      const index = this.#indexOf(entry);
      if (index !== null && this.writtenMs[index]! > since) break;
      found = entry.revision;
    }
    return found > storage.revision ? storage.revision : found;
  }

  #indices = new Map<StoredRevision, number>();

  #indexOf(entry: StoredRevision): number | null {
    return this.#indices.get(entry) ?? null;
  }

  #noteWrites(): void {
    const { revisions } = this.server.store;
    for (let i = this.writtenMs.length; i < revisions.length; i++) {
      this.writtenMs.push(performance.now());
      const entry = revisions[i]!;
      this.#indices.set(entry, i);
      const key = `${entry.revision}`;
      const same = this.#byRevision.get(key);
      if (same === undefined) this.#byRevision.set(key, [entry]);
      else same.push(entry);
    }
  }

  #meet(request: RequestInfo, action: FaultAction): FaultAction {
    if (request.verb !== "watch" && request.verb !== "list") return action;
    const { respond, insert } = action;
    const version = request.query.get("resourceVersion") ?? "";
    const text = insert?.map(({ bytes }) => typeof bytes === "string" ? bytes : "").join("") ?? "";
    const asked: Asked = {
      request,
      atMs: performance.now(),
      from: /^\d+$/.test(version) ? BigInt(version) : 0n,
      logIndex: this.server.log.length,
      isFaulty: Object.keys(action).length > 0,
      isRefused: this.mayHide || respond?.status === 410 || respond?.status === 504 ||
        text.includes('"ERROR"'),
      endMs: Infinity,
      upTo: 0n,
      token: null,
    };
    this.asked.push(asked);
    return request.verb === "list" ? this.#list(asked, action) : this.#watch(asked, action);
  }

  #list(asked: Asked, action: FaultAction): FaultAction {
    const body = (text: string) => {
      const result = action.body?.(text) ?? text;
      const isAltered = result !== text;
      const atMs = performance.now();
      this.#meetVersion(text);
      asked.token = /^[^[]*"continue":"([^"]+)"/.exec(text)?.[1] ?? null;
      for (const [, version = ""] of text.matchAll(VERSIONS)) {
        const entry = this.#byRevision.get(version)?.findLast(({ type }) => type !== "DELETED");
        if (entry !== undefined) this.shown.push({ entry, by: asked, index: 0, atMs, isAltered });
      }
      return result;
    };
    return { ...action, body };
  }

  #watch(asked: Asked, action: FaultAction): FaultAction {
    let answer: Answer | undefined;
    const lines: FaultAction["lines"] = (line) => {
      answer ??= this.#answerOf(asked);
      const result = action.lines?.(line) ?? [line.text];
      if (line.type === "ERROR") asked.isRefused = true;
      else {
        asked.upTo = this.#meetVersion(line.text);
        const entry = this.#entryOf(line.text);
        const { index } = line;
        const [atMs, isAltered] = [performance.now(), !result.includes(line.text)];
        if (entry !== null) this.shown.push({ entry, by: asked, index, atMs, isAltered });
      }
      return result;
    };
    return { ...action, lines };
  }

  /** Notes its end, too. */
  #answerOf(asked: Asked): Answer | undefined {
    const answer = this.server.watches.find(({ request }) => request === asked.request)?.answer;
    void answer?.done.then(() => asked.endMs = performance.now());
    return answer;
  }

  #meetVersion(text: string): bigint {
    const version = BigInt(VERSION.exec(text)?.[1] ?? 0);
    if (version > this.#met) this.#met = version;
    return version;
  }

  /** The entry that a line of a WATCH shows; null for a DELETED. */
  #entryOf(text: string): StoredRevision | null {
    const version = VERSION.exec(text)?.[1] ?? "";
    const entries = this.#byRevision.get(version) ?? [];
    const shows = (entry: StoredRevision) =>
      text === `{"type":"${entry.type}","object":${objectText(entry.object)}}\n`;
    return entries.findLast((entry) => entry.type !== "DELETED" && shows(entry)) ?? null;
  }
}
