/**
 * One WATCH, from its request to its end: every event goes into the batch and moves the position.
 *
 * It decides whether the watch goes on in the same history (the first event must be the witness,
 * in time) and how it ended; what follows from either is for lib/reflector.ts.
 *
 * An idle stream of events has no heartbeat, and a connection may be dead without a sign. So while
 * it is idle lib/stall_check.ts asks beside it. Besides, the server is told how long the watch is
 * to last, and a while after that time we end it.
 */

import type { Body } from "./answer_body.ts";
import { ApiFailure, failureOfError, isVersionRefused } from "./api_failure.ts";
import type { Timer } from "./io.ts";
import { FormatError } from "./json_bytes.ts";
import { BOOKMARKS_TOLD_MAX } from "./limits.ts";
import { StallCheck } from "./stall_check.ts";
import { Intake, selectorQuery, Stopped, type WatchContext } from "./watch_context.ts";
import {
  LineTooLong,
  readWatchLine,
  type WatchLine,
  WatchLines,
  type WatchStatus,
} from "./watch_lines.ts";

/** How a WATCH that had begun came to its end. */
export type WatchEnd =
  /** By itself, as was asked for; or we were held back for so long that it could not go on. */
  | { how: "closed" }
  /** The server cannot go on from this resourceVersion: it is compacted, or not yet reached. */
  | { how: "refused"; failure: ApiFailure }
  /** It broke, was overdue or had a line too long: which says nothing of the version. */
  | { how: "cut"; failure: ApiFailure }
  /** Anything else: an ERROR, or a line that is not understood. */
  | { how: "broken"; failure: ApiFailure }
  /** It was silent, and the server has something that it should have shown. */
  | { how: "stalled"; failure: ApiFailure }
  /** discard() was called. */
  | { how: "discarded" };

/** How a WATCH went. */
export interface WatchReport {
  end: WatchEnd;
  /** From the header of the answer on. */
  lastedMs: number;
  /** Whether events moved the position. */
  hasMoved: boolean;
}

/** How to begin. */
export interface WatchStart {
  /** The resourceVersion to begin at. */
  from: string;
  /** Whether the first event must be the witness. */
  isChecked: boolean;
  /** Ask for bookmarks. Some server may refuse the parameter. */
  withBookmarks: boolean;
}

/** What a WATCH tells while it runs. */
export interface WatchHooks {
  /** The server accepted it. */
  onOpen(): void;
  /** It does go on from there: an event is about to be met, or none came for a while. Once. */
  onAccepted(): void;
  /** It shows new events, or has lasted for a while. */
  onHealthy(): void;
  /** Continuity is in doubt, for this reason: a LIST is owed. */
  onDoubt(reason: string): void;
  /** A line is too long: it is left out where this is true, else the watch ends. */
  onTooLong(line: LineTooLong): boolean;
  /** The first event is not the witness: the history before it was not shown. */
  onOtherHistory(reason: string): void;
}

/** See the head of this file. */
export class WatchPass {
  readonly #context: WatchContext;
  readonly #start: WatchStart;
  readonly #hooks: WatchHooks;
  readonly #intake: Intake;
  readonly #controller = new AbortController();
  readonly #lines: WatchLines;
  readonly #seconds: number;
  #bookmarks = 0;
  #witnessTimer: Timer | undefined;
  #isFirst = true;
  /** The first event came, whatever it was. */
  #isAnswered = false;
  #isAccepted = false;
  #isDoubted = false;
  #hasMoved = false;
  #isDiscarded = false;
  readonly #stall: StallCheck;
  #stalled: ApiFailure | null = null;

  constructor(context: WatchContext, start: WatchStart, hooks: WatchHooks) {
    this.#context = context;
    this.#start = start;
    this.#hooks = hooks;
    this.#intake = new Intake(context);
    const { scan } = this.#intake;
    this.#lines = new WatchLines(
      context.times.lineBytesMax,
      (bytes, start) => scan.scanFirst(bytes, start, context.identity),
    );
    const { watchSecondsMin, watchSecondsMax } = context.times;
    const span = watchSecondsMax - watchSecondsMin + 1;
    this.#seconds = watchSecondsMin + Math.floor(context.clock.random() * span);
    this.#stall = new StallCheck(context, () => !this.#isFirst, {
      onStall: (failure) => {
        this.#stalled = failure;
        this.#controller.abort(failure);
      },
      onDoubt: (reason) => hooks.onDoubt(reason),
    });
  }

  /** Ends it at once: etcd went back, and what it still delivers is of a history that is gone. */
  discard(): void {
    this.#isDiscarded = true;
    this.#controller.abort(new Stopped());
  }

  /** Somebody waits to know up to which version it has nothing to show. */
  hurry(): void {
    this.#stall.hurry();
  }

  /** Runs until it ends. @throws ApiFailure where it did not begin; Stopped */
  async run(): Promise<WatchReport> {
    const { client, clock, path, stop, times } = this.#context;
    const end = () => this.#controller.abort(new Stopped());
    stop.addEventListener("abort", end);
    let deadline: Timer | undefined;
    try {
      const body = await client.open(path, this.#query(), this.#controller);
      if (this.#isDiscarded) throw new Stopped();
      const openedMs = clock.nowMs();
      this.#opened();
      const deadlineMs = 1000 * this.#seconds + times.watchGraceMs;
      deadline = setTimeout(() => this.#controller.abort(overdue(this.#seconds)), deadlineMs);
      this.#stall.start();
      const ending = await this.#read(body);
      this.#closeQuestion(ending);
      const lastedMs = clock.nowMs() - openedMs;
      return { end: ending, lastedMs, hasMoved: this.#hasMoved };
    } catch (error) {
      if (stop.aborted) throw new Stopped();
      if (!this.#isDiscarded) throw error;
      return { end: { how: "discarded" }, lastedMs: 0, hasMoved: false };
    } finally {
      clearTimeout(deadline);
      clearTimeout(this.#witnessTimer);
      stop.removeEventListener("abort", end);
      this.#controller.abort(new Stopped());
      await this.#stall.stop();
    }
  }

  #query(): URLSearchParams {
    const query = selectorQuery(this.#context);
    query.set("watch", "1");
    query.set("resourceVersion", this.#start.from);
    if (this.#start.withBookmarks) query.set("allowWatchBookmarks", "true");
    query.set("timeoutSeconds", `${this.#seconds}`);
    return query;
  }

  #opened(): void {
    const { position, times, onConnected } = this.#context;
    onConnected();
    this.#hooks.onOpen();
    if (this.#start.isChecked && !position.hasWitness) {
      this.#doubt(`no event is known that bore resourceVersion ${position.rv}`);
    }
    this.#witnessTimer = setTimeout(() => {
      this.#accepted();
      this.#hooks.onHealthy();
      if (!this.#isAnswered) this.#missed(`within ${times.witnessMs / 1000} s`);
    }, times.witnessMs);
  }

  /** A watch that ended properly without an event has not shown its witness either. */
  #closeQuestion(ending: WatchEnd): void {
    if (ending.how === "closed" && !this.#isAnswered) this.#missed("before the watch ended");
  }

  /** An ERROR that refuses the version would have come first. */
  #accepted(): void {
    if (!this.#isAccepted) this.#hooks.onAccepted();
    this.#isAccepted = true;
  }

  #missed(when: string): void {
    if (!this.#start.isChecked) return;
    const { rv } = this.#context.position;
    this.#doubt(`the event of resourceVersion ${rv} did not come again ${when}`);
  }

  /** A LIST that begins after this watch did answers all doubts about what came before it. */
  #doubt(reason: string): void {
    if (!this.#isDoubted) this.#hooks.onDoubt(reason);
    this.#isDoubted = true;
  }

  async #read(body: Body): Promise<WatchEnd> {
    const { writer, stop, pulse } = this.#context;
    let readMs: number | null = null;
    try {
      for (;;) {
        const ending = await this.#takeLines();
        if (readMs !== null && this.#isAccepted) this.#seen(readMs);
        if (ending !== null) return ending;
        writer.offer();
        this.#stall.waits();
        const bytes = await body.read(this.#lines.room());
        this.#stall.heard();
        readMs = Date.now();
        if (bytes === null) {
          this.#accepted();
          this.#seen(readMs);
          return this.#closed();
        }
        pulse.watchRead(bytes.length);
        this.#lines.fill(bytes);
      }
    } catch (error) {
      if (stop.aborted) throw new Stopped();
      if (this.#isDiscarded) return { how: "discarded" };
      if (this.#stalled !== null) return { how: "stalled", failure: this.#stalled };
      // Another version would not make it shorter.
      if (error instanceof LineTooLong) return this.#cutOff(new ApiFailure(error.message));
      if (error instanceof FormatError) return broken(error.message);
      if (error instanceof ApiFailure) return this.#cutOff(error);
      throw error;
    }
  }

  /** It was alive at this time, ms since 1970. */
  #seen(atMs: number): void {
    this.#context.position.seen(atMs);
    this.#context.pulse.alive();
  }

  /** Deals with all whole lines of the window; waits only where main takes no more. */
  async #takeLines(): Promise<WatchEnd | null> {
    const { writer, identity } = this.#context;
    const lines = this.#lines;
    const { scan, other, otherIdentity } = this.#intake;
    while (this.#nextLine()) {
      const { bytes, start, end } = lines;
      const line = lines.scanned ?? readWatchLine(scan, bytes, start, end, identity);
      switch (line.type) {
        case "ADDED":
        case "MODIFIED":
          if (other !== null) readWatchLine(other, bytes, start, end, otherIdentity);
          this.#checkWitness();
          // Another reader that waited may have been faster: until it is true without a wait.
          while (!writer.isReady(scan.lineLength)) {
            await this.#intake.room();
            if (this.#isDiscarded) return { how: "discarded" };
          }
          this.#intake.put();
          this.#move();
          break;
        case "DELETED":
          // It is no occurrence (mostly the TTL's doing), but it has its place in the history.
          this.#checkWitness();
          this.#move();
          break;
        default:
          if (!this.#isPassedOver(line)) return this.#endBy(line);
      }
    }
    return null;
  }

  /** Finds the next whole line that is not too long; false where more bytes are needed. */
  #nextLine(): boolean {
    return this.#lines.nextBut((line) => {
      this.#accepted();
      return this.#hooks.onTooLong(line);
    });
  }

  /** The first event answers the question whether this is still the same history. */
  #checkWitness(): void {
    if (!this.#isFirst) return;
    this.#isAnswered = true;
    this.#accepted();
    const { position } = this.#context;
    const { key, version, resourceVersion } = this.#intake.scan;
    if (!this.#start.isChecked || position.isWitness(version, key)) return;
    const reason = `the first event bears resourceVersion ${resourceVersion} and is not the one ` +
      `of ${position.rv} that was to come again`;
    this.#doubt(reason);
    if (position.hasWitness) this.#hooks.onOtherHistory(reason);
  }

  /** The event just scanned is in the batch, or is none for it. */
  #move(): void {
    const { position, writer } = this.#context;
    const { key, version } = this.#intake.scan;
    const before = position.version;
    if (this.#isFirst) {
      this.#isFirst = false;
      if (!position.meetFirst(version, key, this.#start.from)) return;
    } else {
      if (!position.meetNext(version, key)) {
        this.#hooks.onDoubt(`resourceVersions went back from ${before} to ${version}`);
      }
      if (version === before) return;
    }
    if (!this.#hasMoved) this.#hooks.onHealthy();
    this.#hasMoved = true;
    writer.moved();
  }

  /** Lines that are no event and change nothing. */
  #isPassedOver(line: WatchLine): boolean {
    if (line.type === "BLANK") return true;
    if (line.type !== "BOOKMARK") return false;
    // Nothing holds messages back, so they must not be as many as a server likes.
    if (++this.#bookmarks > BOOKMARKS_TOLD_MAX) return true;
    const { log, path } = this.#context;
    log("DEBUG", `WATCH ${path}: a bookmark at resourceVersion ${line.resourceVersion}.`);
    return true;
  }

  #endBy(line: WatchLine): WatchEnd {
    if (line.type === "ERROR") return endByError(line.status);
    if (line.type !== "INVALID") return broken("a line of no known kind came");
    return broken(`a line is no watch event (${line.reason}): ${line.excerpt}`);
  }

  #closed(): WatchEnd {
    const { rest } = this.#lines;
    if (rest === 0) return { how: "closed" };
    const text = `it ended in the middle of a line; its ${rest} byte(s) are forgotten`;
    return { how: "cut", failure: new ApiFailure(text) };
  }

  /**
   * The connection broke, or was overdue. Where we did not read for long, because main took no
   * more, that is no failure: whoever sends has a right to give up.
   */
  #cutOff(failure: ApiFailure): WatchEnd {
    const isOurs = this.#intake.heldMs >= this.#context.times.watchGraceMs;
    return isOurs ? { how: "closed" } : { how: "cut", failure };
  }
}

function overdue(seconds: number): ApiFailure {
  return new ApiFailure(`it outlived its ${seconds} s without an end; the connection may be dead`);
}

function broken(message: string): WatchEnd {
  return { how: "broken", failure: new ApiFailure(message) };
}

function endByError(status: WatchStatus): WatchEnd {
  const failure = failureOfError(status);
  return { how: isVersionRefused(failure) ? "refused" : "broken", failure };
}
