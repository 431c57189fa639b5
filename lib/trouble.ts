/**
 * What to do when a write finds no room: wait and try again, and say so.
 *
 * Only errors that pass by themselves or by an operator's hand without a restart are waited out. A
 * failed sync is not among them: the kernel may have dropped the pages, and a second sync would
 * report success for data that is gone.
 */

import { codeOf, ExitError, IoError, messageOf } from "./errors.ts";
import type { Io } from "./io.ts";
import { TROUBLE_FIRST_MS, TROUBLE_MAX_MS } from "./limits.ts";
import { log } from "./log.ts";

/** A file system that was made read-only (EROFS) is one that an operator makes writable again. */
const PASSING = new Set(["ENOSPC", "EDQUOT", "EROFS", "EAGAIN"]);

/** Whether a failure passes without a restart, so that trying again makes sense. */
export function passes(error: unknown): boolean {
  return PASSING.has(codeOf(error) ?? "");
}

/** The process is stopping; what was waited for is given up. The next start goes on with it. */
export class Abandoned extends Error {}

/** Waits between tries of one thing, longer each time. */
export class Trouble {
  readonly #io: Io;
  readonly #what: string;
  readonly #meanwhile: string;
  #waitMs = TROUBLE_FIRST_MS;
  #tries = 0;

  /**
   * @param what is being tried, with its path, to complete "Cannot ..."
   * @param meanwhile what that means for the events
   */
  constructor(io: Io, what: string, meanwhile = "Events wait") {
    this.#io = io;
    this.#what = what;
    this.#meanwhile = meanwhile;
  }

  /**
   * Waits after a failure.
   *
   * @param abandon ends the wait and the trying; `hurry` only ends the wait
   * @throws IoError where the failure does not pass by itself; Abandoned where `abandon` is raised
   */
  async wait(error: unknown, abandon: AbortSignal, hurry?: AbortSignal): Promise<void> {
    if (error instanceof ExitError) throw error;
    if (!passes(error)) throw new IoError(`Cannot ${this.#what}: ${messageOf(error)}`);
    await this.pause(error, abandon, hurry);
  }

  /**
   * Says what failed and waits, whatever the failure.
   *
   * @throws Abandoned where `abandon` is raised
   */
  async pause(error: unknown, abandon: AbortSignal, hurry?: AbortSignal): Promise<void> {
    if (abandon.aborted) throw new Abandoned();
    this.#tries++;
    const why = messageOf(error).replace(/\.$/, "");
    log.error(
      `Cannot ${this.#what}: ${why}. ${this.#meanwhile}; trying again in ${this.#waitMs} ms.`,
    );
    await this.#io.sleep(this.#waitMs, hurry ? AbortSignal.any([abandon, hurry]) : abandon);
    if (abandon.aborted) throw new Abandoned();
    this.#waitMs = Math.min(2 * this.#waitMs, TROUBLE_MAX_MS);
  }

  /** Says that it went through, if it ever did not. */
  over(): void {
    if (this.#tries > 0) log.info(`It works again: ${this.#what} (after ${this.#tries} tries).`);
    this.#tries = 0;
    this.#waitMs = TROUBLE_FIRST_MS;
  }
}

/** Tries a part of a commit until it goes through; see {@linkcode Trouble.wait} for its errors. */
export async function untilItWorks<T>(
  io: Io,
  what: string,
  signal: AbortSignal,
  action: () => T,
): Promise<Awaited<T>> {
  const trouble = new Trouble(io, what, "No line is committed meanwhile");
  for (;;) {
    try {
      const result = await action();
      trouble.over();
      return result;
    } catch (error) {
      await trouble.wait(error, signal);
    }
  }
}

/** Awaits a sync; its failure is final. */
export async function surely(what: string, sync: Promise<void>): Promise<void> {
  try {
    await sync;
  } catch (error) {
    throw new IoError(
      `Cannot sync ${what}: ${messageOf(error)}. The next start reads back what the disk holds.`,
    );
  }
}
