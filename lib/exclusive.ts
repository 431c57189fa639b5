/**
 * Runs operations one at a time, and none after one has failed.
 *
 * After a failed commit nothing may be committed any more: a second sync would report success for
 * pages that the kernel dropped at the first, and the ring would remember lines that are gone.
 */

import { Abandoned } from "./trouble.ts";

/** See the head of this file. */
export class Exclusive {
  #last: Promise<unknown> = Promise.resolve();
  #failure: { error: unknown } | null = null;

  /**
   * Runs an operation after those that wait already.
   *
   * @throws what it throws, or what an earlier one threw; only Abandoned leaves the way open
   */
  run<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      if (this.#failure !== null) throw this.#failure.error;
      return operation();
    });
    this.#last = result.catch((error) => {
      if (!(error instanceof Abandoned)) this.fail(error);
    });
    return result;
  }

  /** No operation runs from here on. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }
}
