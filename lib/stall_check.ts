/**
 * Asks, beside a WATCH that has been silent for long, whether it is still alive.
 *
 * An idle stream of events has no heartbeat: a connection that died without a sign, or an etcd that
 * was put back under an open watch, looks like a quiet cluster. By the watch's own end the server
 * may have forgotten what it did not show. So the server is asked two cheap things: which version
 * it is at (a LIST of one event), and what a WATCH from a version that the silent one is past would
 * show now. Where the last event is known and the server still has P, that WATCH begins at P and
 * must show the witness first; else it begins at `WatchPosition.passed` and must be silent.
 *
 * What it shows is never written: it only convicts. A request that fails proves nothing.
 */

import type { Body } from "./answer_body.ts";
import { ApiFailure, failureOfError, isVersionRefused } from "./api_failure.ts";
import { sleep } from "./backoff.ts";
import { EventScan } from "./event_scan.ts";
import type { Timer } from "./io.ts";
import { FormatError } from "./json_bytes.ts";
import { ListItems } from "./list_items.ts";
import { PLAIN_LINE } from "./protocol.ts";
import { compareRv } from "./resource_version.ts";
import { seconds, selectorQuery, Stopped, type WatchContext } from "./watch_context.ts";
import { readWatchLine, WatchLines } from "./watch_lines.ts";

/** What a second WATCH showed within `witnessMs`. */
type Shown =
  /** Nothing that the first one owes. */
  | { what: "nothing new" }
  /** An event behind that version, so one that the first WATCH has not shown. */
  | { what: "more"; resourceVersion: string }
  /** Not the witness. */
  | { what: "another history"; reason: string }
  /** The server forgot the version that it was to begin at. */
  | { what: "refused" };

/** What a check found. */
export interface StallHooks {
  /** The WATCH must be ended, for this reason. */
  onStall(failure: ApiFailure): void;
  /** A LIST must tell. */
  onDoubt(reason: string): void;
}

/** See the head of this file. One for each WATCH. */
export class StallCheck {
  readonly #context: WatchContext;
  readonly #hasShown: () => boolean;
  readonly #hooks: StallHooks;
  readonly #scan: EventScan;
  #timer: Timer | undefined;
  /** Since when the watch waits for bytes; null = it is held back, or at work. */
  #waitsSinceMs: number | null = null;
  /** A version that the watch is past, if it lives; null = that of the position. */
  #mark: string | null = null;
  /** A P that the server was found to have forgotten. */
  #forgotten: string | null = null;
  /** Of the request under way. */
  #controller: AbortController | null = null;
  #isAnswered = false;
  /** It is asked after the shorter silence. */
  #isUrgent = false;
  #isRunning = false;
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();

  /**
   * @param hasShown whether this WATCH showed the last event, so that one from P must show it first
   */
  constructor(context: WatchContext, hasShown: () => boolean, hooks: StallHooks) {
    this.#context = context;
    this.#scan = new EventScan(PLAIN_LINE, context.module);
    this.#hasShown = hasShown;
    this.#hooks = hooks;
  }

  /** The WATCH is open. */
  start(): void {
    this.#arm(this.#context.times.stallMs);
  }

  /** It ended; settles when nothing of the check is left. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#controller?.abort(new Stopped());
    await this.#running;
  }

  /**
   * The next check need not wait for more than a short silence, `witnessMs`. For one under way it
   * is too late: whoever waits says it again.
   */
  hurry(): void {
    if (this.#isUrgent || this.#isRunning) return;
    this.#isUrgent = true;
    this.#due();
  }

  /** The WATCH waits for bytes from now on. */
  waits(): void {
    this.#waitsSinceMs = this.#context.clock.nowMs();
  }

  /** Bytes came: it is alive, whatever they say. */
  heard(): void {
    this.#waitsSinceMs = null;
    this.#mark = null;
    this.#isAnswered = true;
    this.#controller?.abort(new Stopped());
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#due(), ms);
  }

  #due(): void {
    const { clock, times } = this.#context;
    const since = this.#waitsSinceMs;
    const silenceMs = this.#isUrgent ? times.witnessMs : times.stallMs;
    const restMs = since === null ? silenceMs : since + silenceMs - clock.nowMs();
    if (restMs > 0) return this.#arm(restMs);
    this.#isUrgent = false;
    this.#isRunning = true;
    this.#running = this.#ask(seconds(clock.nowMs() - since!)).then(() => {
      this.#isRunning = false;
      this.#arm(times.stallMs);
    });
  }

  /** @param silence for how long the WATCH was silent, for messages */
  async #ask(silence: string): Promise<void> {
    this.#isAnswered = false;
    try {
      const reason = await this.#findFault();
      if (reason !== null) this.#hooks.onStall(new ApiFailure(`silent for ${silence}: ${reason}`));
    } catch (error) {
      if (error instanceof Stopped) return;
      if (!(error instanceof ApiFailure)) throw error;
      const { log, path, times } = this.#context;
      log(
        "WARNING",
        `WATCH ${path} is silent for ${silence}, and the server could not be asked whether it is ` +
          `alive: ${error.message.replace(/\.$/, "")}. Asked again in ${seconds(times.stallMs)}.`,
      );
    }
  }

  /** Why the WATCH must end; null = it need not. @throws ApiFailure; Stopped where it is alive */
  async #findFault(): Promise<string | null> {
    const { position, pulse, writer } = this.#context;
    const mark = this.#mark ?? position.passed;
    const version = await this.#version();
    if (compareRv(version, mark) === -1) {
      // What comes up to the mark is of another history than what was passed.
      position.pass(position.rv!);
      return `the server's data went back from resourceVersion ${mark} to ${version}`;
    }
    if (compareRv(version, position.highest) === -1) {
      // Events that a LIST showed are gone, and the WATCH had not come to them.
      this.#hooks.onDoubt(
        `resourceVersion ${position.highest} was met and the server is at ${version}`,
      );
      return null;
    }
    const shown = await this.#show(mark);
    if (shown.what === "another history") return shown.reason;
    if (shown.what === "more") {
      // It may have come to us first.
      this.#controller = new AbortController();
      await sleep(this.#context.times.witnessMs, this.#controller.signal);
      if (this.#isAnswered || this.#isStopped) throw new Stopped();
      return `the server has the event of resourceVersion ${shown.resourceVersion}, which did ` +
        "not come; the connection may be dead";
    }
    // Where the server forgot what came behind the mark, nothing is proved about that.
    if (shown.what === "nothing new" && mark === position.passed) {
      position.pass(version);
      position.seen(Date.now());
      writer.moved();
      writer.offer();
    }
    this.#mark = version;
    pulse.alive();
    return null;
  }

  /** What the server has to show behind the mark. */
  async #show(mark: string): Promise<Shown> {
    const { position } = this.#context;
    const { previous } = position;
    if (this.#hasShown() && position.hasWitness && previous !== this.#forgotten) {
      const shown = await this.#watch(previous, true);
      if (shown.what !== "refused") return shown;
      this.#forgotten = previous;
    }
    return await this.#watch(mark, false);
  }

  /** The version that the server is at. */
  #version(): Promise<string> {
    const query = selectorQuery(this.#context);
    query.set("limit", "1");
    const { listSilenceMs } = this.#context.times;
    return this.#request(query, async (body, controller) => {
      const timer = setTimeout(() => {
        controller.abort(new ApiFailure(`no whole answer within ${listSilenceMs / 1000} s`));
      }, listSilenceMs);
      try {
        const items = new ListItems();
        for (;;) {
          while (items.next());
          if (items.resourceVersion !== null) return items.resourceVersion;
          const bytes = await body.read(items.room());
          if (bytes === null) return items.finish().resourceVersion;
          items.fill(bytes);
        }
      } finally {
        clearTimeout(timer);
      }
    });
  }

  /** @param isChecked whether the first event must be the witness */
  async #watch(from: string, isChecked: boolean): Promise<Shown> {
    const { witnessMs } = this.#context.times;
    const query = selectorQuery(this.#context);
    query.set("watch", "1");
    query.set("resourceVersion", from);
    query.set("timeoutSeconds", `${Math.ceil(witnessMs / 1000)}`);
    try {
      return await this.#request(query, async (body) => {
        // A server that does not obey timeoutSeconds is heard no longer than others.
        const timer = setTimeout(() => body.cancel(), witnessMs);
        try {
          return await this.#read(body, isChecked);
        } finally {
          clearTimeout(timer);
        }
      });
    } catch (error) {
      if (error instanceof ApiFailure && isVersionRefused(error)) return { what: "refused" };
      throw error;
    }
  }

  async #read(body: Body, isChecked: boolean): Promise<Shown> {
    const { position, identity } = this.#context;
    const scan = this.#scan;
    const lines = new WatchLines(this.#context.times.lineBytesMax);
    let isWitnessDue = isChecked;
    for (;;) {
      // A line that is too long proves nothing.
      while (lines.nextBut(() => true)) {
        const line = readWatchLine(scan, lines.bytes, lines.start, lines.end, identity);
        if (line.type === "BLANK" || line.type === "BOOKMARK") continue;
        if (line.type === "ERROR") throw failureOfError(line.status);
        if (line.type === "INVALID") throw new ApiFailure(`a line is no event (${line.reason})`);
        const { resourceVersion, key } = scan;
        if (isWitnessDue && !position.isWitness(resourceVersion, key)) {
          const reason = `the event of resourceVersion ${position.rv} is another one now`;
          return { what: "another history", reason };
        }
        // Further events may bear the version of the witness.
        if (!isWitnessDue && !(isChecked && resourceVersion === position.rv)) {
          return { what: "more", resourceVersion };
        }
        isWitnessDue = false;
      }
      const bytes = await body.read(lines.room());
      if (bytes === null) break;
      lines.fill(bytes);
    }
    if (!isWitnessDue) return { what: "nothing new" };
    const reason = `the event of resourceVersion ${position.rv} is not to be had any more`;
    return { what: "another history", reason };
  }

  async #request<T>(
    query: URLSearchParams,
    read: (body: Body, controller: AbortController) => Promise<T>,
  ): Promise<T> {
    if (this.#isAnswered || this.#isStopped) throw new Stopped();
    const { client, path } = this.#context;
    const controller = this.#controller = new AbortController();
    try {
      return await read(await client.open(path, query, controller), controller);
    } catch (error) {
      if (error instanceof FormatError) throw new ApiFailure(error.message);
      throw error;
    } finally {
      controller.abort(new Stopped());
    }
  }
}
