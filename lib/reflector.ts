/**
 * Keeps one watch going: a WATCH that resumes where it was, and LISTs beside it where continuity
 * is in doubt or main asks for one. It never gives up, and loses nothing that the server still has.
 *
 * A WATCH resumes from P (`previous`), the version before the last one, so that the server must
 * show the last event again: if it does, nothing was missed and the history is the same. If not, a
 * LIST is owed. Where P itself is refused, the LIST's version tells whether etcd went back; if it
 * did not, the last version is tried, then the one up to which the watch had nothing to show
 * (lib/stall_check.ts), and then the LIST's, so that states overwritten meanwhile still come if the
 * server has them.
 */

import { ApiFailure, isVersionRefused } from "./api_failure.ts";
import { sleep } from "./backoff.ts";
import { LINES_TOO_LONG_MAX, VERSION_CUTS_MAX, VERSION_FAILURES_MAX } from "./limits.ts";
import { ListLoop } from "./list_loop.ts";
import { compareRv } from "./resource_version.ts";
import { Outage, seconds, Stopped, type WatchContext } from "./watch_context.ts";
import type { LineTooLong } from "./watch_lines.ts";
import { WatchPass, type WatchReport, type WatchStart } from "./watch_pass.ts";

/** Where the next WATCH begins: at P, the last version, `passed`, or the version of a LIST. */
type Rung = "previous" | "last" | "passed" | "list";

/** HTTP statuses of a WATCH for which its resourceVersion may be the reason. */
const ABOUT_VERSION: ReadonlySet<number> = new Set([400, 404, 422, 500, 504]);

/** See the head of this file. */
export class Reflector {
  readonly #context: WatchContext;
  readonly #lists: ListLoop;
  readonly #outage: Outage;
  readonly #what: string;
  #rung: Rung = "previous";
  /** Nothing has begun on a rung other than "previous" since a LIST was made for it. */
  #isFresh = true;
  /** The last demand for a LIST when the WATCH that is in doubt was asked for. */
  #listsBefore = 0;
  /** The history at our position went: no watch runs until a LIST tells where to go on. */
  #isListUrgent = false;
  #failuresAtVersion = 0;
  /** The server has nothing to show from the versions that were left behind. */
  #isForgotten = true;
  /**
   * The version of the LIST where a WATCH is to begin, and when that was read, until one has begun.
   * Where the server cannot be reached meanwhile, a later LIST would be behind what it still has.
   */
  #base: { version: string; readMs: number } | null = null;
  /** A later LIST was made since. */
  #isBaseOld = false;
  /** Why the next WATCH has to begin at the version of a LIST; null = nothing is missed by it. */
  #gapReason: string | null = null;
  /** Lines too long by their beginnings, and whether they were said. */
  readonly #tooLong = new Map<string, boolean>();
  #withBookmarks = true;
  #hasBegun = false;
  #pass: WatchPass | null = null;

  constructor(context: WatchContext) {
    this.#context = context;
    this.#what = `WATCH ${context.path}`;
    this.#outage = new Outage(context, "watch");
    this.#lists = new ListLoop(context, () => {
      this.#rung = "list";
      this.#isFresh = true;
      this.#base = null;
      this.#missed(this.#lists.versionReadMs, "the server's data went back (etcd restored?)");
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
   * Settles when a LIST that began after the call is complete, its events are in the batch, and the
   * WATCH is past all that it could show: also a write of known content that came before the LIST
   * and is gone in it.
   *
   * @throws Stopped
   */
  async list(): Promise<void> {
    const { position, times, stop } = this.#context;
    for (;;) {
      const version = await this.#lists.ask();
      const { historiesLeft } = position;
      // Where etcd went back meanwhile, the LIST says nothing of what can be shown now.
      while (position.historiesLeft === historiesLeft) {
        if (position.isPast(version)) return;
        this.#pass?.hurry();
        await sleep(times.witnessMs / 10, stop);
        if (stop.aborted) throw new Stopped();
      }
    }
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
    if (this.#rung === "last") return position.rv!;
    // A version that the server has not reached would be silent.
    const isReached = compareRv(listVersion, position.passed) !== -1;
    if (this.#rung === "passed" && isReached) return position.passed;
    this.#rung = "list";
    this.#isBaseOld = this.#base !== null && compareRv(listVersion, this.#base.version) === 1;
    if (!this.#isBaseOld) {
      this.#base = { version: listVersion, readMs: this.#lists.versionReadMs };
    }
    return this.#base!.version;
  }

  async #watch(start: WatchStart): Promise<WatchReport> {
    const pass = new WatchPass(this.#context, start, {
      onOpen: () => this.#opened(start),
      onAccepted: () => this.#accepted(start),
      onHealthy: () => this.#outage.worked(this.#what),
      onDoubt: (reason) => this.#lists.owe(reason),
      onTooLong: (line) => this.#isLeftOut(line),
      onOtherHistory: (reason) => this.#missed(Date.now(), `${reason} (etcd restored?)`),
    });
    this.#pass = pass;
    try {
      return await pass.run();
    } finally {
      this.#pass = null;
    }
  }

  #opened({ from, isChecked }: WatchStart): void {
    const { position, log, pulse } = this.#context;
    pulse.watchOpened();
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

  #accepted({ from, isChecked }: WatchStart): void {
    this.#context.pulse.watchAccepted();
    if (!isChecked && this.#rung === "list") {
      const { position } = this.#context;
      if (this.#isForgotten) position.pass(from);
      else position.skip(from);
      if (this.#gapReason !== null) this.#missed(this.#base!.readMs, this.#gapReason);
    }
    this.#base = null;
    this.#gapReason = null;
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
    const { log, pulse, times, stop } = this.#context;
    pulse.watchEnded(report.end.how);
    const { end, hasMoved, lastedMs } = report;
    if (end.how === "discarded") return;
    const isShort = lastedMs < times.watchShortMs;
    if (hasMoved || (end.how === "closed" && !isShort)) {
      this.#rung = "previous";
      this.#failuresAtVersion = 0;
    }
    if (end.how === "refused") return await this.#refused(from, end.failure);
    if (end.how === "stalled") {
      // From P it shows what it did not, or that the history is another one.
      this.#rung = "previous";
      return await this.#outage.failed(this.#what, end.failure);
    }
    if (end.how === "broken") return await this.#failed(end.failure, hasMoved);
    if (end.how === "cut") return await this.#failed(end.failure, hasMoved, VERSION_CUTS_MAX);
    log("DEBUG", `${this.#what} ended after ${seconds(lastedMs)}.`);
    if (!isShort) return this.#outage.worked(this.#what);
    if (!hasMoved) {
      const text = `it ended after ${seconds(lastedMs)} without a new event`;
      return await this.#failed(new ApiFailure(text), hasMoved, VERSION_CUTS_MAX);
    }
    // A server that ends a watch with each event is obeyed, but not as fast as it can.
    await sleep(times.watchShortMs - sinceRequestMs, stop);
    if (stop.aborted) throw new Stopped();
  }

  /** The history at this version is gone: normal where nothing happened for some minutes. */
  async #refused(from: string, failure: ApiFailure): Promise<void> {
    this.#context.log("INFO", `${this.#what} from ${from} was refused: ${failure.message}`);
    const wasListVersion = this.#rung === "list" && !this.#isBaseOld;
    this.#isListUrgent = !wasListVersion;
    this.#climb(`the server has no history from resourceVersion ${from} on (compacted?)`, true);
    // Even the version of a LIST just made: the server forgets faster than we can ask.
    if (wasListVersion) await this.#outage.failed(this.#what, failure);
  }

  /**
   * A failure of which the version may be the cause, unless the watch got on from there. To leave
   * a version behind may cost states that were overwritten since, so it is not done in haste; but
   * what lives need not wait for it.
   */
  async #failed(
    failure: ApiFailure,
    hasMoved: boolean,
    failuresMax = VERSION_FAILURES_MAX,
  ): Promise<void> {
    this.#isListUrgent = false;
    if (!hasMoved) {
      const failures = ++this.#failuresAtVersion;
      const reason = `${failures} watches in a row failed: ${failure.message}`;
      if (failures >= failuresMax) this.#climb(reason, false);
      else if (failures === VERSION_FAILURES_MAX) this.#lists.owe(reason);
    }
    await this.#outage.failed(this.#what, failure);
  }

  /**
   * This version does not do: the next WATCH begins at the next one.
   *
   * @param isForgotten the server does not have the history from it on
   */
  #climb(reason: string, isForgotten: boolean): void {
    this.#failuresAtVersion = 0;
    this.#isForgotten = isForgotten;
    // On the rungs between a LIST is owed already, and has told its version.
    if (this.#rung === "previous" || this.#rung === "list") this.#lists.owe(reason);
    if (this.#rung === "list") this.#base = null;
    this.#rung = this.#nextRung();
    this.#isFresh = true;
    this.#gapReason = reason;
  }

  /**
   * A line too long may be a fault of the connection (line ends that were lost), and is right when
   * it comes again. If not, it is said once, and left out wherever it comes.
   */
  #isLeftOut({ message, beginning }: LineTooLong): boolean {
    const isSaid = this.#tooLong.get(beginning);
    if (isSaid === undefined) {
      const [oldest] = this.#tooLong.keys();
      if (this.#tooLong.size === LINES_TOO_LONG_MAX) this.#tooLong.delete(oldest!);
      this.#tooLong.set(beginning, false);
      return false;
    }
    if (!isSaid) {
      this.#tooLong.set(beginning, true);
      const reason = message.replace(
        /^A line of the watch is/,
        "a line of the watch is left out, as it is",
      );
      this.#missed(Date.now(), reason);
      // As it may be shorter by now, or several events.
      this.#lists.owe(reason);
    }
    return true;
  }

  /** Nobody can tell what happened between the last sign of life and `toMs`. */
  #missed(toMs: number, why: string): void {
    const { position, onGap, writer } = this.#context;
    onGap({ fromMs: position.seenMs, toMs, why });
    position.seen(toMs);
    writer.moved();
    this.#gapReason = null;
  }

  #nextRung(): Rung {
    const { previous, rv, passed } = this.#context.position;
    if (this.#rung === "previous" && previous !== rv) return "last";
    const canTryPassed = this.#rung === "previous" || this.#rung === "last";
    return canTryPassed && passed !== rv ? "passed" : "list";
  }
}
