/**
 * The LISTs of one watch: when one is demanded, what it pays for, and what its version proves.
 *
 * Demands are numbered. A LIST pays all demands that were made before it began, and no other: what
 * gave rise to a later one may be missing in it.
 */

import { sleep } from "./backoff.ts";
import { ListPass } from "./list_pass.ts";
import type { ListReason } from "./pulse.ts";
import { compareRv } from "./resource_version.ts";
import { Outage, seconds, Stopped, type WatchContext } from "./watch_context.ts";

/** See the head of this file. */
export class ListLoop {
  readonly #context: WatchContext;
  readonly #onWentBack: () => void;
  readonly #outage: Outage;
  /** The last demand. */
  #demanded = 0;
  /** The last demand that the LIST begun last pays. */
  #serving = 0;
  /** The last demand that a complete LIST has paid. */
  #paid = 0;
  /** The demand that pays what the position owes. */
  #owed = 0;
  /** The last demand that does not wait for the interval. */
  #urgent = 0;
  #reason = "";
  #kind: ListReason = "start";
  /** The version of the LIST begun last, and the last demand that it pays. */
  #version = "";
  #versionServes = -1;
  #versionReadMs = 0;
  #beganMs = -Infinity;
  /** When run() was called. */
  #startedMs = 0;
  /** The highest version met when the LIST was asked for: it cannot be of an older state. */
  #versionBefore = "";
  #changed = Promise.withResolvers<void>();

  /** @param onWentBack called when etcd went back: the position was begun anew, a WATCH is void */
  constructor(context: WatchContext, onWentBack: () => void) {
    this.#context = context;
    this.#onWentBack = onWentBack;
    this.#outage = new Outage(context, "list");
  }

  /** Whether no LIST is under way or to come. */
  get isIdle(): boolean {
    return this.#paid === this.#demanded;
  }

  /** Makes LISTs as they are demanded. @throws Stopped */
  async run(): Promise<void> {
    const { stop, position, clock } = this.#context;
    this.#startedMs = clock.nowMs();
    const wake = () => this.#change();
    stop.addEventListener("abort", wake);
    if (position.rv === null) this.#demand("start", "nothing is known yet");
    try {
      for (;;) {
        while (this.isIdle) await this.#nextOrOld();
        await this.#keepInterval();
        await this.#list();
      }
    } finally {
      stop.removeEventListener("abort", wake);
    }
  }

  /**
   * Settles when a LIST that began after the call is complete and its events are in the batch.
   *
   * @returns its version, or that of a later one. @throws Stopped
   */
  async ask(): Promise<string> {
    const demand = this.#demand("drop", "main asked for it");
    this.#hurry(demand);
    while (this.#paid < demand) await this.#next();
    return this.#version;
  }

  /**
   * Continuity is in doubt: the position owes a LIST until one that begins after now is complete.
   */
  owe(reason: string): void {
    const { position, writer, log, path } = this.#context;
    // One that begins after now is to come already.
    if (position.listOwed && this.#owed > this.#serving) return;
    log("INFO", `${path}: a LIST is owed, because ${reason}.`);
    position.listOwed = true;
    this.#owed = this.#demand("doubt", reason);
    writer.moved();
    writer.offer();
  }

  /** The last demand so far: a LIST that pays a later one begins after now. */
  get demanded(): number {
    return this.#demanded;
  }

  /**
   * The version of a LIST that began after the last doubt: the position's one can be trusted not to
   * be of a history that is gone. One that pays a demand later than `since` will do too, and the
   * one still owed proves it later: while it is waited for, no watch runs, and what is overwritten
   * is lost. Settles with its first page.
   *
   * @param isUrgent the interval of LISTs is not waited for either
   * @throws Stopped
   */
  async version(since: number, isUrgent: boolean): Promise<string> {
    while (this.#versionServes < this.#owed && this.#versionServes <= since) {
      if (isUrgent) this.#hurry(this.#owed);
      await this.#next();
    }
    return this.#version;
  }

  /** When the LIST that told {@linkcode version} was read, ms since 1970. */
  get versionReadMs(): number {
    return this.#versionReadMs;
  }

  async #list(): Promise<void> {
    const { clock, log, path, position, pulse, writer } = this.#context;
    const reason = this.#reason;
    pulse.listStarted(this.#kind);
    this.#beganMs = clock.nowMs();
    const hooks = {
      onBegin: () => {
        this.#serving = this.#demanded;
        this.#versionBefore = position.highest;
      },
      onVersion: (version: string) => this.#meet(version),
    };
    const pass = new ListPass(this.#context, hooks, this.#outage);
    const { items, pages, durationMs } = await pass.run();
    this.#paid = this.#serving;
    if (position.listOwed && this.#owed <= this.#paid) {
      position.listOwed = false;
      writer.moved();
    }
    writer.offer();
    pulse.listCompleted();
    const size = `${items} event(s) on ${pages} page(s) in ${seconds(durationMs)}`;
    log("INFO", `LIST ${path}: ${size}, because ${reason}.`);
    this.#change();
  }

  /** The first page of a LIST tells its version: the beginning, or the proof of a step back. */
  #meet(version: string): void {
    const { position, log, path, writer } = this.#context;
    const before = this.#versionBefore;
    const wentBack = compareRv(version, before) === -1;
    if (wentBack) {
      // Events are read with a quorum, so this LIST cannot be older than what we had seen before.
      log(
        "WARNING",
        `${path}: the API server's data went back from resourceVersion ${before} to ${version} ` +
          "(etcd restored?). All of it is read again; nothing known is written twice.",
      );
      this.#versionBefore = version;
    }
    this.#versionReadMs = Date.now();
    if (position.rv === null) position.seen(this.#versionReadMs);
    if (wentBack || position.rv === null) {
      position.begin(version);
      this.#owed = Math.max(this.#owed, this.#serving);
      writer.moved();
    }
    this.#version = version;
    this.#versionServes = this.#serving;
    if (wentBack) this.#onWentBack();
    this.#change();
  }

  /** Waits until the next LIST may begin, or until one is urgent. @throws Stopped */
  async #keepInterval(): Promise<void> {
    const { clock, times } = this.#context;
    while (this.#urgent <= this.#paid) {
      const waitMs = this.#beganMs + times.listIntervalMs - clock.nowMs();
      if (waitMs <= 0) return;
      await this.#nextWithin(waitMs);
    }
  }

  /** Settles at the next change, or demands a LIST because the last one is old. @throws Stopped */
  async #nextOrOld(): Promise<void> {
    const { clock, times } = this.#context;
    const since = Math.max(this.#beganMs, this.#startedMs);
    const waitMs = since + times.listAgeMaxMs - clock.nowMs();
    if (waitMs > 0) return await this.#nextWithin(waitMs);
    this.#demand("age", `none was made for ${seconds(times.listAgeMaxMs)}`);
  }

  /** Settles at the next change of anything here, or after so long. @throws Stopped */
  async #nextWithin(waitMs: number): Promise<void> {
    const { stop } = this.#context;
    const timer = new AbortController();
    // A stop that came before is no change any more.
    if (!stop.aborted) {
      await Promise.race([sleep(waitMs, timer.signal), this.#changed.promise]);
      timer.abort();
    }
    if (stop.aborted) throw new Stopped();
  }

  #demand(kind: ListReason, reason: string): number {
    this.#kind = kind;
    this.#reason = reason;
    this.#demanded++;
    this.#change();
    return this.#demanded;
  }

  #hurry(demand: number): void {
    if (demand <= this.#urgent) return;
    this.#urgent = demand;
    this.#change();
  }

  /** Settles at the next change of anything here. @throws Stopped */
  async #next(): Promise<void> {
    if (!this.#context.stop.aborted) await this.#changed.promise;
    if (this.#context.stop.aborted) throw new Stopped();
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
