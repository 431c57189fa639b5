/**
 * What a LIST and a WATCH of the same events share: the client, the batch, the position, and how
 * failures are told and waited out.
 */

import type { ApiClient } from "./api_client.ts";
import { type ApiFailure, isAboutCredentials } from "./api_failure.ts";
import { Backoff, BACKOFF_TIMES, type BackoffTimes, type Clock, sleep } from "./backoff.ts";
import type { BatchWriter } from "./batch.ts";
import type { EventModule } from "./event_module.ts";
import { EventScan } from "./event_scan.ts";
import {
  CREDENTIALS_HURRY_MS,
  LINE_BYTES_MAX,
  LIST_AGE_MAX_MS,
  LIST_AHEAD_MS,
  LIST_INTERVAL_MS,
  LIST_PAGE_EVENTS,
  LIST_SILENCE_BYTES,
  LIST_SILENCE_MS,
  STALL_MS,
  WATCH_GRACE_MS,
  WATCH_SECONDS_MAX,
  WATCH_SECONDS_MIN,
  WATCH_SHORT_MS,
  WITNESS_MS,
} from "./limits.ts";
import type { Gap } from "./gap.ts";
import type { WatchPosition } from "./position.ts";
import { type FromWatch, type IdentityMode, type LineForm, PLAIN_LINE } from "./protocol.ts";
import type { Verb, WatchPulse } from "./pulse.ts";

/** Levels of the log. */
export type LogLevel = Extract<FromWatch, { type: "log" }>["level"];

/** Every time and size of LIST and WATCH that a test may want otherwise; see lib/limits.ts. */
export interface WatchTimes {
  backoff: BackoffTimes;
  credentialsHurryMs: number;
  lineBytesMax: number;
  listAgeMaxMs: number;
  listIntervalMs: number;
  listAheadMs: number;
  listPageEvents: number;
  listSilenceBytes: number;
  listSilenceMs: number;
  stallMs: number;
  watchGraceMs: number;
  watchSecondsMax: number;
  watchSecondsMin: number;
  watchShortMs: number;
  witnessMs: number;
}

/** The shipped ones. */
export const WATCH_TIMES: Readonly<WatchTimes> = {
  backoff: BACKOFF_TIMES,
  credentialsHurryMs: CREDENTIALS_HURRY_MS,
  lineBytesMax: LINE_BYTES_MAX,
  listAgeMaxMs: LIST_AGE_MAX_MS,
  listIntervalMs: LIST_INTERVAL_MS,
  listAheadMs: LIST_AHEAD_MS,
  listPageEvents: LIST_PAGE_EVENTS,
  listSilenceBytes: LIST_SILENCE_BYTES,
  listSilenceMs: LIST_SILENCE_MS,
  stallMs: STALL_MS,
  watchGraceMs: WATCH_GRACE_MS,
  watchSecondsMax: WATCH_SECONDS_MAX,
  watchSecondsMin: WATCH_SECONDS_MIN,
  watchShortMs: WATCH_SHORT_MS,
  witnessMs: WITNESS_MS,
};

/** What the passes of one watch share. */
export interface WatchContext {
  readonly client: ApiClient;
  readonly writer: BatchWriter;
  /** That of the writer's draft. */
  readonly module: EventModule | null;
  readonly position: WatchPosition;
  readonly pulse: WatchPulse;
  readonly clock: Clock;
  readonly times: WatchTimes;
  /** Path of the collection, e.g. /api/v1/namespaces/a/events. */
  readonly path: string;
  /** null = all namespaces. */
  readonly namespace: string | null;
  readonly fieldSelector: string | null;
  readonly identity: IdentityMode;
  readonly bothIdentities: boolean;
  readonly line: LineForm;
  /** Everything ends. */
  readonly stop: AbortSignal;
  log(level: LogLevel, text: string): void;
  /** Something may have been missed since `fromMs`, for this reason. */
  onGap(gap: Omit<Gap, "path">): void;
  /** The API server let us in. */
  onConnected(): void;
}

/** Everything ends: thrown to leave whatever was going on, and caught by the reflector. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

/** The query that every request of a watch bears. */
export function selectorQuery({ fieldSelector }: WatchContext): URLSearchParams {
  return new URLSearchParams(fieldSelector === null ? {} : { fieldSelector });
}

/**
 * Puts the events of one stream into the batch: their scans, and the time in which it was held back
 * because main took no more.
 */
export class Intake {
  /** In today's mode. */
  readonly scan: EventScan;
  /** In the other one, where that is wanted. */
  readonly other: EventScan | null;
  /** How long the stream waited for room, ms, in all. */
  heldMs = 0;
  readonly #context: WatchContext;

  constructor(context: WatchContext) {
    this.#context = context;
    this.scan = new EventScan(context.line, context.module);
    this.other = context.bothIdentities ? new EventScan(PLAIN_LINE, context.module) : null;
  }

  /** The mode of `other`. */
  get otherIdentity(): IdentityMode {
    return this.#context.identity === "content" ? "name-count" : "content";
  }

  /** Waits until the line of the event just scanned can be put. @throws Stopped */
  async room(): Promise<void> {
    const { writer, clock, pulse, stop } = this.#context;
    const since = clock.nowMs();
    pulse.held();
    while (!writer.isReady(this.scan.lineLength)) {
      await writer.changed(this.scan.lineLength);
      if (stop.aborted) throw new Stopped();
    }
    pulse.released();
    this.heldMs += clock.nowMs() - since;
  }

  /** Puts the event just scanned; there is room. */
  put(): void {
    this.#context.writer.put(this.scan, this.other);
  }
}

/** Failures of one kind of request in a row: tells of each, waits, and tells when it is over. */
export class Outage {
  readonly #context: WatchContext;
  readonly #verb: Verb;
  readonly #backoff: Backoff;
  #failures = 0;
  #sinceMs = 0;
  #hurriedMs = -Infinity;

  constructor(context: WatchContext, verb: Verb) {
    this.#context = context;
    this.#verb = verb;
    this.#backoff = new Backoff(context.clock, context.times.backoff);
  }

  /** Whether the last attempt failed. */
  get isOn(): boolean {
    return this.#failures > 0;
  }

  /**
   * An attempt failed: says so, and waits as the backoff and the server want it.
   *
   * @param what was tried: verb and path
   * @throws Stopped
   */
  async failed(what: string, failure: ApiFailure): Promise<void> {
    const { log, clock, pulse, stop } = this.#context;
    pulse.failed(this.#verb, failure);
    if (this.#failures++ === 0) this.#sinceMs = clock.nowMs();
    const delayMs = this.#backoff.fail(failure.retryAfterMs);
    const next = `Next attempt in ${seconds(delayMs)}.`;
    const text = `${what} failed: ${failure.message.replace(/\.$/, "")}.`;
    const remedy = remedyFor(failure, this.#context);
    if (remedy === null) log("WARNING", `${text} ${next}`);
    else log("ERROR", `${text} ${remedy} ${next}`);
    if (!isAboutCredentials(failure)) await sleep(delayMs, stop);
    else if (await this.#sleepUnlessChanged(delayMs)) {
      log("INFO", `${what} is tried again at once, as there are other credentials.`);
    }
    if (stop.aborted) throw new Stopped();
  }

  /** Waits so long, or, within bounds, until there are other credentials: then true. */
  async #sleepUnlessChanged(delayMs: number): Promise<boolean> {
    const { client, clock, stop, times } = this.#context;
    const endMs = clock.nowMs() + delayMs;
    const waiting = new AbortController();
    const end = () => waiting.abort();
    stop.addEventListener("abort", end);
    if (stop.aborted) end();
    const hasChanged = await Promise.race([
      sleep(delayMs, waiting.signal).then(() => false),
      client.changed(waiting.signal).then(() => true),
    ]);
    end();
    stop.removeEventListener("abort", end);
    if (!hasChanged || stop.aborted) return false;
    const earliestMs = Math.min(this.#hurriedMs + times.credentialsHurryMs, endMs);
    await sleep(Math.max(earliestMs - clock.nowMs(), 0), stop);
    this.#hurriedMs = clock.nowMs();
    return !stop.aborted;
  }

  /** An attempt succeeded. */
  worked(what: string): void {
    if (this.#failures === 0) return;
    const { log, clock } = this.#context;
    const ms = clock.nowMs() - this.#sinceMs;
    log("INFO", `${what} works again, after ${this.#failures} failure(s) in ${seconds(ms)}.`);
    this.#failures = 0;
  }
}

/** A duration for the log. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** What somebody must change before it can go on; null for what passes by itself. */
function remedyFor({ status }: ApiFailure, context: WatchContext): string | null {
  const { namespace, fieldSelector } = context;
  if (status === 403) return rightsNeeded(namespace);
  if (status !== 400 || fieldSelector === null) return null;
  return `The field selector (--field-selector) is ${JSON.stringify(fieldSelector)}.`;
}

function rightsNeeded(namespace: string | null): string {
  const scope = namespace === null
    ? "a ClusterRole, bound by a ClusterRoleBinding"
    : `a Role in the namespace "${namespace}", bound by a RoleBinding there`;
  return `It needs this rule in ${scope}: ` +
    'apiGroups: [""], resources: ["events"], verbs: ["list", "watch"].';
}
