/**
 * Which occurrences must be in the files, and why those that are not may be missing.
 *
 * An occurrence must be there if it lives at the end, or if the server showed it to a program that
 * then had the time to write it, or if the server would have shown it to whoever asks where it left
 * off. It may be missing only where the server could not show it any more: its revision was taken
 * away by a restore of etcd before that; its number is one that the history before the restore had
 * given to something else, so that a watch which stood behind it could not see it; or a watch that
 * stood before it was refused, and the state was gone when the program came back.
 */

import type { StoredRevision } from "../fake/storage.ts";
import { contentHash, type Ledger } from "./ledger.ts";
import type { Asked, ServerRecord, Shown } from "./record.ts";

/** What was shown is written within this, ms, where nothing holds the program up. */
const WRITTEN_MS = 10_000;
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
  #shown = new Map<StoredRevision, Shown[]>();

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
  }

  /** Judges what the files hold. */
  judge(ledger: Ledger): Verdict {
    const missing = [...this.#entries.keys()].filter((hash) => !ledger.has(hash));
    const wanted = new Set(missing.flatMap((hash) => this.#entriesOf(hash)));
    const shown = this.#record.shown.filter(({ entry }) => wanted.has(entry));
    this.#shown = Map.groupBy(shown, ({ entry }) => entry);
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
    const { lines, repeated, torn } = ledger;
    const occurrences = this.#entries.size;
    return { occurrences, lines, lost, repeated, torn, unexpected, excused, wrong };
  }

  #entriesOf(hash: string): StoredRevision[] {
    return this.#entries.get(hash)!.map((index) => this.#record.server.revisions[index]!);
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
    const entry = server.revisions[index]!;
    const { revision, key } = entry;
    if (server.store.storage.get(key) === entry.object) return "it lives at the end";
    for (const shown of this.#shown.get(entry) ?? []) {
      if (this.#hadTime(shown)) return `shown by ${shown.by.request.verb} ${ago(shown.atMs)}`;
    }
    const isTaken = rewinds.some(({ logLength, to }) => logLength > index && revision > to);
    if (isTaken) return { excuse: "taken back by a restore" };
    const isHidden = rewinds.some(({ logLength, peak }) => logLength <= index && revision <= peak);
    if (isHidden) return { excuse: "hidden by a restore" };
    const since = writtenMs[index]!;
    const behind = asked.findIndex((one) =>
      one.request.verb === "watch" && one.atMs > since && one.from >= revision &&
      this.#record.logOf(one).status === 200
    );
    if (behind < 0) return "no watch began behind it";
    return this.#wasRefused(behind, revision)
      ? { excuse: "not shown by any watch" }
      : `a watch began behind it without a refusal, at ${ago(asked[behind]!.atMs)}`;
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

  #hadTime({ by, index, atMs }: Shown): boolean {
    const log = this.#record.logOf(by);
    const life = this.#lives.find(({ fromMs, toMs }) => fromMs <= atMs && atMs <= toMs);
    if (life === undefined) return false;
    if (by.request.verb === "list") {
      // The page was read to its end, as what comes behind it was asked for.
      const isRead = by.token === null || this.#tokens.has(by.token);
      return isRead && !by.isFaulty && log.status === 200 && log.ended === "complete" &&
        this.#free(atMs, life.toMs) > WRITTEN_MS;
    }
    return log.events >= index && this.#free(atMs, Math.min(by.endMs, life.toMs)) > WRITTEN_MS;
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
