/**
 * What a service manager is told, and when: systemd of a unit with `Type=notify`, and others.
 * Where none listens (no NOTIFY_SOCKET), nothing here does anything.
 *
 *   EXTEND_TIMEOUT_USEC  before the recovery
 *   READY                state and destination agree; an API server that is down is no failed start
 *   RELOADING, READY     around SIGHUP: when the second comes, lines go to the new file
 *   STATUS               a sentence, when it changes
 *   WATCHDOG             while the program is healthy
 *   STOPPING             a signal, or what ends the process
 */

import { messageOf } from "./errors.ts";
import type { Io } from "./io.ts";
import { RECOVERY_MS, SERVICE_LOOK_MS, STATUS_MAX } from "./limits.ts";
import { escapeControls } from "./log.ts";
import type { Notifier } from "./sd_notify.ts";

/** As much of a {@linkcode Notifier} as is used. */
export type Sender = Pick<Notifier, "send" | "offer" | "retry" | "monotonicUsec">;

/** What the manager is told of a program that is up. Both are asked often, so both are quick. */
export interface ServiceReport {
  /** How it is, in a sentence. */
  describe: () => string;
  /** What is wrong; null = it is healthy. */
  health: () => string | null;
}

/** See the head of this file. Its methods neither throw nor wait. */
export class Service {
  readonly #io: Io;
  readonly #notifier: Sender | null;
  /** Between two WATCHDOG=1, ms; null = nobody waits for one. */
  readonly #watchdogMs: number | null;
  #report: ServiceReport | null = null;
  #said = "";
  #watchdogAtMs = -Infinity;
  #reloads = 0;
  #isStopping = false;
  #cancelLook: (() => void) | null = null;

  /**
   * @param notifier null = there is no manager
   * @param watchdogMs the manager ends a process that says nothing for so long; null = it does not
   */
  constructor(io: Io, notifier: Sender | null, watchdogMs: number | null) {
    this.#io = io;
    this.#notifier = notifier;
    this.#watchdogMs = watchdogMs === null ? null : watchdogMs / 2;
  }

  /** The recovery comes. Cut off by a start timeout it would only be started over. */
  starting(): void {
    this.#send(`EXTEND_TIMEOUT_USEC=${1000 * RECOVERY_MS}`, "Making state and destination agree.");
  }

  /** The program is up. From here on the manager is told how it is; by the latest report. */
  ready(report: ServiceReport): void {
    if (this.#notifier === null || this.#isStopping) return;
    this.#cancelLook?.();
    this.#report = report;
    this.#sendWithStatus("READY=1");
    this.#look();
  }

  /** SIGHUP: `work` reopens the destination, and never rejects. */
  async reload(work: () => Promise<void>): Promise<void> {
    this.#reloads++;
    this.#sendWithStatus(`RELOADING=1\nMONOTONIC_USEC=${this.#notifier?.monotonicUsec()}`);
    await work();
    // Two that overlap are one for the manager.
    if (--this.#reloads === 0) this.#sendWithStatus("READY=1");
  }

  /** The end is near. @param error what ends the process; null = it was asked to stop */
  stopping(error: unknown): void {
    this.#send("STOPPING=1", error === null ? "Stopping." : `Stopping: ${messageOf(error)}`);
    this.#isStopping = true;
    this.#cancelLook?.();
  }

  /** Says what has changed, and where it is due that all is well; again after a while. */
  #look(): void {
    const intervalMs = Math.min(SERVICE_LOOK_MS, this.#watchdogMs ?? SERVICE_LOOK_MS);
    const nowMs = this.#io.monotonicMs();
    this.#notifier?.retry();
    const sentence = this.#sentence();
    const isNews = sentence !== this.#said;
    // One that would be due before the next look is sent now.
    const isDue = this.#watchdogMs !== null && this.#report?.health() === null &&
      nowMs + intervalMs > this.#watchdogAtMs + this.#watchdogMs;
    const lines = [...(isDue ? ["WATCHDOG=1"] : []), ...(isNews ? [statusLine(sentence)] : [])];
    if (lines.length > 0 && this.#notifier?.offer(lines.join("\n"))) {
      if (isDue) this.#watchdogAtMs = nowMs;
      if (isNews) this.#said = sentence;
    }
    this.#cancelLook = this.#io.after(intervalMs, () => this.#look());
  }

  #sendWithStatus(state: string): void {
    this.#said = this.#sentence();
    this.#send(state, this.#said);
  }

  #send(state: string, sentence: string): void {
    if (!this.#isStopping) this.#notifier?.send(`${state}\n${statusLine(sentence)}`);
  }

  #sentence(): string {
    if (this.#report === null) return "";
    const ill = this.#report.health();
    if (ill !== null) return `Not healthy: ${ill}`;
    return this.#reloads > 0 ? "Reopening the destination." : this.#report.describe();
  }
}

function statusLine(sentence: string): string {
  return `STATUS=${escapeControls(sentence).slice(0, STATUS_MAX)}`;
}
