/**
 * Which occurrences must be in the files, and why those that are not may be missing.
 *
 * An occurrence is lost if it lives at the end, whatever was restored; if a LIST or a WATCH showed
 * it to a program that then had the time to write it, or that wrote what the same WATCH showed
 * after it; or if a WATCH began behind it though the server would have shown it. It may be missing
 * for one of three reasons:
 *
 * - *taken back by a restore*: a restore of etcd took it away before a watch had come past it;
 * - *hidden by a restore*: it was stored between a restore and the first LIST that told us of it,
 *   under a number that had been shown to us before the restore (so that a watch which went on from
 *   there could not see it), and was overwritten or gone by then;
 * - *not shown by any watch*: those that stood before it were refused (compacted, or a fault of the
 *   server's), and the state was overwritten or gone when a LIST came.
 *
 * A repeated line is never excused: two writes of one content are one occurrence, whichever history
 * they are of. How much all this lets pass is counted, too: of the lines that are there, those
 * whose loss would have been noticed.
 */

import type { StoredRevision } from "../fake/storage.ts";
import { contentHash, type Ledger } from "./ledger.ts";
import type { Asked, ServerRecord, Shown } from "./record.ts";

/** What was shown is written within this, ms, where nothing holds the program up. */
const WRITTEN_MS = 10_000;
/** So long after it was met, ms, a position is in the checkpoint (CHECKPOINT_MS). */
const STORED_MS = 12_000;
/** So many failures at one resourceVersion are as good as a refusal (VERSION_FAILURES_MAX). */
const FAILURES_MAX = 3;

/** A span of time, ms. */
export interface Span {
  fromMs: number;
  toMs: number;
}

/** Why an occurrence may be missing. */
export type Excuse = "taken back by a restore" | "hidden by a restore" | "not shown by any watch";

/** The judgement. */
export interface Verdict {
  /** Distinct occurrences that were stored. */
  occurrences: number;
  lines: number;
  lost: number;
  repeated: number;
  torn: number;
  /** Lines that tell what never was. */
  unexpected: number;
  excused: Map<Excuse, number>;
  /** Of the occurrences that are there, those that would be lost if they were not. */
  noticeable: number;
  /** What is wrong, for people. */
  wrong: string[];
}

/** Lines of {@linkcode Verdict.wrong} about what was lost. */
const SHOWN_MAX = 10;

/** See the head of this file. */
export class Oracle {
  readonly #record: ServerRecord;
  readonly #lives: readonly Span[];
  readonly #stalls: readonly Span[];
  /** Entries (their places in the log) by content. */
  readonly #entries = new Map<string, number[]>();
  readonly #tokens = new Set<string>();
  readonly #shown: Map<StoredRevision, Shown[]>;
  /** Before which of its lines a WATCH was surely read. */
  readonly #readBefore = new Map<Asked, number>();
  /** For each restore, when the position of what came after it was stored. */
  readonly #renewedMs: number[];

  /**
   * @param lives of the program
   * @param stalls in which it could not read or write
   */
  constructor(record: ServerRecord, lives: readonly Span[], stalls: readonly Span[]) {
    this.#record = record;
    this.#lives = lives;
    this.#stalls = stalls;
    record.server.revisions.forEach(({ type, object }, index) => {
      if (type === "DELETED") return;
      const hash = contentHash(object);
      const same = this.#entries.get(hash);
      if (same === undefined) this.#entries.set(hash, [index]);
      else same.push(index);
    });
    for (const { request } of record.asked) this.#tokens.add(request.query.get("continue") ?? "");
    this.#shown = Map.groupBy(record.shown, ({ entry }) => entry);
    this.#renewedMs = record.rewinds.map(({ atMs }) => this.#renewalAfter(atMs));
  }

  /** Judges what the files hold. */
  judge(ledger: Ledger): Verdict {
    const missing = [...this.#entries.keys()].filter((hash) => !ledger.has(hash));
    this.#findRead(ledger);
    const excused = new Map<Excuse, number>();
    const wrong = [...ledger.wrong];
    let lost = 0;
    for (const hash of missing) {
      const { excuse, reason, index } = this.#whyMissing(this.#entries.get(hash)!);
      if (excuse !== null) excused.set(excuse, (excused.get(excuse) ?? 0) + 1);
      else if (lost++ < SHOWN_MAX) wrong.push(`lost, ${reason}: ${this.#text(index)}`);
    }
    let unexpected = 0;
    for (const hash of ledger.hashes()) {
      if (this.#entries.has(hash)) continue;
      if (unexpected++ < SHOWN_MAX) wrong.push(`never was: ${ledger.placeOf(hash)}`);
    }
    let noticeable = 0;
    for (const [hash, indices] of this.#entries) {
      if (ledger.has(hash) && this.#whyMissing(indices).excuse === null) noticeable++;
    }
    const { lines, repeated, torn } = ledger;
    const occurrences = this.#entries.size;
    return { occurrences, lines, lost, repeated, torn, unexpected, excused, noticeable, wrong };
  }

  /**
   * A WATCH is read in order, and its lines are written in that order: what it showed before a line
   * that is there, and that nothing else showed, was read. Two such lines of two events are asked
   * for, since a fault may send the versions of one event past the record.
   */
  #findRead(ledger: Ledger): void {
    const last = new Map<Asked, { key: string; index: number }[]>();
    for (const [hash, indices] of this.#entries) {
      if (!ledger.has(hash)) continue;
      const all = indices.flatMap((at) => this.#shown.get(this.#entry(at)) ?? []);
      const [first] = all;
      if (first === undefined || all.some(({ by }) => by !== first.by)) continue;
      const { by, index, entry: { key } } = first;
      const rest = (last.get(by) ?? []).filter((one) => one.key !== key || one.index > index);
      const isNewest = rest.every((one) => one.key !== key);
      const two = isNewest ? [...rest, { key, index }] : rest;
      last.set(by, two.sort((a, b) => b.index - a.index).slice(0, 2));
    }
    for (const [asked, [, second]] of last) {
      if (second !== undefined) this.#readBefore.set(asked, second.index);
    }
  }

  #entry(index: number): StoredRevision {
    return this.#record.server.revisions[index]!;
  }

  /**
   * When a LIST began that told the program where it is in the new history, in a life long enough
   * to store that. What is written later is behind that LIST, or behind the position.
   */
  #renewalAfter(rewindMs: number): number {
    const { asked } = this.#record;
    const renewal = asked.find((one) => {
      const { verb, page, query } = one.request;
      if (one.atMs < rewindMs || verb !== "list" || page !== 1) return false;
      if (query.get("limit") === "1") return false; // A stall check's: it moves no position.
      const { status, ended } = this.#record.logOf(one);
      const life = this.#lifeAt(one.atMs);
      return status === 200 && ended === "complete" && !one.isFaulty && life !== undefined &&
        this.#free(one.atMs, life.toMs) > STORED_MS;
    });
    return renewal?.atMs ?? Infinity;
  }

  #lifeAt(atMs: number): Span | undefined {
    return this.#lives.find(({ fromMs, toMs }) => fromMs <= atMs && atMs <= toMs);
  }

  /** An occurrence is excused only if each of its entries is. */
  #whyMissing(indices: number[]): { excuse: Excuse | null; reason: string; index: number } {
    let excuse: Excuse | null = null;
    for (const index of indices) {
      const found = this.#excuseOf(index);
      if (typeof found !== "object") return { excuse: null, reason: found, index };
      ({ excuse } = found);
    }
    return { excuse, reason: "", index: indices[0]! };
  }

  /** An excuse, or in words why there is none. */
  #excuseOf(index: number): { excuse: Excuse } | string {
    const { server, rewinds, writtenMs, asked } = this.#record;
    const entry = this.#entry(index);
    const { revision, key } = entry;
    if (server.store.storage.get(key) === entry.object) return "it lives at the end";
    for (const shown of this.#shown.get(entry) ?? []) {
      if (this.#wasRead(shown)) return `shown by ${shown.by.request.verb} ${ago(shown.atMs)}`;
    }
    const since = writtenMs[index]!;
    const isHidden = rewinds.some(({ logLength, met }, number) =>
      logLength <= index && revision <= met && since < this.#renewedMs[number]!
    );
    if (isHidden) return { excuse: "hidden by a restore" };
    const taken = rewinds.find(({ logLength, to }) => logLength > index && revision > to);
    const untilMs = taken?.atMs ?? Infinity;
    const concerns = ({ request, atMs }: Asked) =>
      request.verb === "watch" && atMs > since && atMs < untilMs;
    const isBehind = (one: Asked) =>
      concerns(one) && one.from >= revision && this.#record.logOf(one).status === 200;
    const first = asked.findIndex(isBehind);
    const anew = first < 0 ? -1 : this.#beganAnew(entry, asked[first]!, concerns);
    const behind = anew < 0 ? first : asked.findIndex((one, at) => at > anew && isBehind(one));
    if (behind < 0) {
      return taken === undefined
        ? "no watch began behind it"
        : { excuse: "taken back by a restore" };
    }
    return this.#wasRefused(behind, revision)
      ? { excuse: "not shown by any watch" }
      : `a watch began behind it without a refusal, at ${ago(asked[behind]!.atMs)}`;
  }

  /**
   * A program that had been shown an entry, and come past it, was killed before it was written: it
   * goes on where its checkpoint says, before the entry. The last time that it did so, as an index;
   * -1 = never.
   */
  #beganAnew(
    entry: StoredRevision,
    past: Asked,
    concerns: (asked: Asked) => boolean,
  ): number {
    const life = this.#lifeAt(past.atMs);
    const hadIt = this.#shown.get(entry)?.some(({ atMs }) =>
      atMs < past.atMs && this.#lifeAt(atMs) === life
    );
    if (hadIt !== true) return -1;
    return this.#record.asked.findLastIndex((one) =>
      concerns(one) && one.from < entry.revision && this.#lifeAt(one.atMs) !== life
    );
  }

  /** Whether the watches before this one, back to one that got on, had a reason to skip. */
  #wasRefused(behind: number, revision: bigint): boolean {
    const { asked } = this.#record;
    let failures = 0;
    for (let index = behind - 1; index >= 0; index--) {
      const before = asked[index]!;
      if (before.request.verb !== "watch") continue;
      const log = this.#record.logOf(before);
      if (before.from < revision) {
        if (before.isRefused || log.status === 410) return true;
        if (++failures >= FAILURES_MAX) return true;
      }
      if (log.status === 200 && log.events > 1) return false;
    }
    return false;
  }

  /** Whether the program surely had it, and the time to write it. */
  #wasRead({ by, index, atMs, isAltered }: Shown): boolean {
    const log = this.#record.logOf(by);
    const life = this.#lifeAt(atMs);
    if (life === undefined || isAltered) return false;
    if (by.request.verb === "watch" && index < (this.#readBefore.get(by) ?? 0)) return true;
    if (by.request.verb === "list") {
      return this.#isWholeList(by) && this.#free(atMs, life.toMs) > WRITTEN_MS;
    }
    return log.events >= index && this.#free(atMs, Math.min(by.endMs, life.toMs)) > WRITTEN_MS;
  }

  /** Whether a page of a LIST was read to its end, and those before it, whose tokens led there. */
  #isWholeList(page: Asked): boolean {
    const { asked } = this.#record;
    for (let one: Asked | undefined = page;;) {
      const { status, ended } = this.#record.logOf(one);
      if (one.isFaulty || status !== 200 || ended !== "complete") return false;
      // What comes behind it was asked for, at least when its beginning was read.
      if (one.token !== null && !this.#tokens.has(one.token)) return false;
      const token: string = one.request.query.get("continue") ?? "";
      if (token === "") return true;
      const { atMs }: Asked = one;
      one = asked.findLast((before) => before.token === token && before.atMs < atMs);
      if (one === undefined) return false;
    }
  }

  /** Time without what held the program up, ms. */
  #free(fromMs: number, toMs: number): number {
    let ms = toMs - fromMs;
    for (const stall of this.#stalls) {
      ms -= Math.max(0, Math.min(toMs, stall.toMs) - Math.max(fromMs, stall.fromMs));
    }
    return ms;
  }

  #text(index: number): string {
    const { revision, epoch, type, object } = this.#record.server.revisions[index]!;
    const at = ago(this.#record.writtenMs[index]!);
    return `${type} ${revision} (restore ${epoch}) at ${at}: ${
      JSON.stringify(object).slice(0, 120)
    }`;
  }
}

/** A time of performance.now() as in the log of the program. */
function ago(ms: number): string {
  return new Date(performance.timeOrigin + ms).toISOString().slice(11, 23);
}

/** The requests of the worst so many ms. */
export function worstRate(asked: readonly Asked[], spanMs: number): number {
  let worst = 0;
  let first = 0;
  asked.forEach(({ atMs }, last) => {
    while (asked[first]!.atMs < atMs - spanMs) first++;
    worst = Math.max(worst, last - first + 1);
  });
  return worst;
}
