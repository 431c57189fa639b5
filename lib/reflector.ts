/**
 * Keeps one watch going: a WATCH that resumes where it was, and LISTs beside it where continuity
 * is in doubt or main asks for one. It never gives up, and loses nothing that the server still has.
 *
 * A WATCH resumes from P (`previous`), the version before the last one, so that the server must
 * show the last event again: if it does, nothing was missed and the history is the same. If not, a
 * LIST is owed. Where P itself is refused, the LIST's version tells whether etcd went back; if it
 * did not, the last version is tried and then the LIST's, so that states overwritten meanwhile
 * still come if the server has them.
 */

import { ApiFailure } from "./api_failure.ts";
import { sleep } from "./backoff.ts";
import { VERSION_FAILURES_MAX } from "./limits.ts";
import { ListLoop } from "./list_loop.ts";
import { Outage, seconds, Stopped, type WatchContext } from "./watch_context.ts";
import { isVersionRefused, WatchPass, type WatchReport, type WatchStart } from "./watch_pass.ts";

/** Where the next WATCH begins: at P, at the last version, or at the version of a LIST. */
type Rung = "previous" | "last" | "list";

/** HTTP statuses of a WATCH for which its resourceVersion may be the reason. */
const ABOUT_VERSION: ReadonlySet<number> = new Set([400, 404, 422, 500, 504]);

/** See the head of this file. */
export class Reflector {
  readonly #context: WatchContext;
  readonly #lists: ListLoop;
  readonly #outage: Outage;
  readonly #what: string;
  #rung: Rung = "previous";
  /** Nothing has begun on the rung "last" or "list" since a LIST was made for it. */
  #isFresh = true;
  /** The last demand for a LIST when the WATCH that is in doubt was asked for. */
  #listsBefore = 0;
  /** The history at our position went: no watch runs until a LIST tells where to go on. */
  #isListUrgent = false;
  #failuresAtVersion = 0;
  #withBookmarks = true;
  #hasBegun = false;
  #pass: WatchPass | null = null;

  constructor(context: WatchContext) {
    this.#context = context;
    this.#what = `WATCH ${context.path}`;
    this.#outage = new Outage(context);
    this.#lists = new ListLoop(context, () => {
      this.#rung = "list";
      this.#isFresh = true;
      this.#pass?.discard();
    });
  }

  /** Runs until the context's stop signal. Whatever it throws is our bug. */
  async run(): Promise<void> {
    const untilStopped = async (loop: Promise<void>) => {
      try {
        await loop;
      } catch (error) {
        if (!(error instanceof Stopped)) throw error;
      }
    };
    await Promise.all([untilStopped(this.#lists.run()), untilStopped(this.#watchAlways())]);
  }

  /**
   * Settles when a LIST that began after the call is complete and its events are in the batch.
   *
   * @throws Stopped
   */
  list(): Promise<void> {
    return this.#lists.ask();
  }

  async #watchAlways(): Promise<void> {
    const { position, clock } = this.#context;
    if (position.rv === null) this.#rung = "list";
    for (;;) {
      const from = await this.#startingPoint();
      const isAfterList = this.#rung === "previous" || this.#rung === "list";
      if (isAfterList) this.#listsBefore = this.#lists.demanded;
      const isChecked = this.#rung === "previous";
      const beganMs = clock.nowMs();
      let report: WatchReport;
      try {
        report = await this.#watch({ from, isChecked, withBookmarks: this.#withBookmarks });
      } catch (error) {
        if (!(error instanceof ApiFailure)) throw error;
        await this.#notBegun(from, error);
        continue;
      }
      await this.#ended(from, report, clock.nowMs() - beganMs);
    }
  }

  /** The version to begin at; waits for a LIST where that is needed. */
  async #startingPoint(): Promise<string> {
    const { position } = this.#context;
    if (this.#rung === "previous") return position.previous;
    const listVersion = await this.#lists.version(this.#listsBefore, this.#isListUrgent);
    // The rung is looked at again: the LIST may have found that etcd went back.
    return this.#rung === "last" ? position.rv! : listVersion;
  }

  async #watch(start: WatchStart): Promise<WatchReport> {
    const pass = new WatchPass(this.#context, start, {
      onOpen: () => this.#opened(start),
      onHealthy: () => this.#outage.worked(this.#what),
      onDoubt: (reason) => this.#lists.owe(reason),
    });
    this.#pass = pass;
    try {
      return await pass.run();
    } finally {
      this.#pass = null;
    }
  }

  #opened({ from, isChecked }: WatchStart): void {
    const { position, log } = this.#context;
    // Resuming after a clean end is routine.
    const isRoutine = this.#hasBegun && isChecked && !this.#outage.isOn;
    log(isRoutine ? "DEBUG" : "INFO", `${this.#what} from resourceVersion ${from}.`);
    if (!isChecked && !this.#isFresh) {
      this.#lists.owe("the watch before this one broke off without an event");
    } else if (position.listOwed && this.#lists.isIdle && !(isChecked && !position.hasWitness)) {
      this.#lists.owe("the last one was not completed");
    }
    this.#hasBegun = true;
    this.#isFresh = false;
  }

  /** The server did not accept it, or could not be reached. */
  async #notBegun(from: string, failure: ApiFailure): Promise<void> {
    const { status } = failure;
    if (isVersionRefused(failure)) return await this.#refused(from, failure);
    if ((status === 400 || status === 422) && this.#withBookmarks) {
      // The one parameter that is not needed: whoever does not know it may refuse it.
      this.#withBookmarks = false;
      const text = `${this.#what}: tried again without allowWatchBookmarks, as ${failure.message}`;
      return this.#context.log("INFO", text);
    }
    if (ABOUT_VERSION.has(status)) return await this.#failed(failure, false);
    // Much may have happened meanwhile: only a resumption from P proves that it is the same
    // history.
    this.#rung = "previous";
    await this.#outage.failed(this.#what, failure);
  }

  /** It had begun, and ended. */
  async #ended(from: string, report: WatchReport, sinceRequestMs: number): Promise<void> {
    const { log, times, stop } = this.#context;
    const { end, hasMoved, lastedMs } = report;
    if (end.how === "discarded") return;
    const isShort = lastedMs < times.watchShortMs;
    if (hasMoved || (end.how === "closed" && !isShort)) {
      this.#rung = "previous";
      this.#failuresAtVersion = 0;
    }
    if (end.how === "refused") return await this.#refused(from, end.failure);
    if (end.how === "broken") return await this.#failed(end.failure, hasMoved);
    log("DEBUG", `${this.#what} ended after ${seconds(lastedMs)}.`);
    if (!isShort) return this.#outage.worked(this.#what);
    if (!hasMoved) {
      const text = `it ended after ${seconds(lastedMs)} without a new event`;
      return await this.#failed(new ApiFailure(text), hasMoved);
    }
    // A server that ends a watch with each event is obeyed, but not as fast as it can.
    await sleep(times.watchShortMs - sinceRequestMs, stop);
    if (stop.aborted) throw new Stopped();
  }

  /** The history at this version is gone: normal where nothing happened for some minutes. */
  async #refused(from: string, failure: ApiFailure): Promise<void> {
    this.#context.log("INFO", `${this.#what} from ${from} was refused: ${failure.message}`);
    const wasListVersion = this.#rung === "list";
    this.#isListUrgent = !wasListVersion;
    this.#climb(`resourceVersion ${from} is not to be had`);
    // Even the version of a LIST just made: the server forgets faster than we can ask.
    if (wasListVersion) await this.#outage.failed(this.#what, failure);
  }

  /** A failure of which the version may be the cause, unless the watch got on from there. */
  async #failed(failure: ApiFailure, hasMoved: boolean): Promise<void> {
    this.#isListUrgent = false;
    if (!hasMoved && ++this.#failuresAtVersion >= VERSION_FAILURES_MAX) {
      this.#climb(`${VERSION_FAILURES_MAX} watches in a row failed: ${failure.message}`);
    }
    await this.#outage.failed(this.#what, failure);
  }

  /** This version does not do: the next WATCH begins at the next one. */
  #climb(reason: string): void {
    const { position } = this.#context;
    this.#failuresAtVersion = 0;
    // On the rung "last" a LIST is owed already, and has told its version.
    if (this.#rung !== "last") this.#lists.owe(reason);
    const canTryLast = this.#rung === "previous" && position.previous !== position.rv;
    this.#rung = canTryLast ? "last" : "list";
    this.#isFresh = true;
  }
}
