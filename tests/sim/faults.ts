/**
 * When the world ends, or fails: at which of the calls that the program makes to its files.
 *
 * Calls are counted over a whole run, those of every life of the process. A crash counts only the
 * calls that change something; a failure counts all.
 */

import { osError } from "./disk.ts";

/** Where in a call a crash comes; "middle" = a part of it was done. */
export type Moment = "before" | "middle" | "after";

/** What is to go wrong. Numbers of calls begin at 1. */
export interface Plan {
  crash?: { call: number; moment: Moment; power: boolean };
  /** A second crash: so many calls after the first. Always a power loss. */
  again?: { calls: number; moment: Moment };
  /** The call fails with this error; `forGood` = so do all that change something, from then on. */
  failure?: { call: number; code: string; forGood: boolean };
}

/** Calls after a failure for good that succeed again once somebody has mended the disk. */
const MENDABLE = new Set(["ENOSPC", "EDQUOT", "EROFS"]);

/** Counts the calls of a run and says what becomes of each. */
export class Faults {
  readonly #plan: Plan;
  /** Calls so far that change something. */
  changes = 0;
  /** All calls so far. */
  calls = 0;
  #crashedAt = 0;
  #hasCrashedAgain = false;
  #isBroken = false;
  #isOver = false;
  /** Whether the planned failure has come. */
  hasFailed = false;

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** Planned crashes that have come. */
  get crashes(): number {
    return (this.#crashedAt > 0 ? 1 : 0) + (this.#hasCrashedAgain ? 1 : 0);
  }

  /** Whether the failure goes on until somebody mends the disk. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Whether a machine whose disk is broken so can go on once it is mended. */
  get isMendable(): boolean {
    return MENDABLE.has(this.#plan.failure?.code ?? "");
  }

  /** What a crash is, when it comes now. */
  get isPowerLoss(): boolean {
    return this.#hasCrashedAgain || this.#plan.crash?.power === true;
  }

  /** Nothing goes wrong from here on, and no call counts. */
  end(): void {
    this.#isOver = true;
    this.#isBroken = false;
  }

  /** The disk works again. */
  mend(): void {
    this.#isBroken = false;
  }

  /** One call: null = it succeeds. */
  next(isChange: boolean): Moment | Error | null {
    if (this.#isOver) return null;
    this.calls++;
    if (isChange) this.changes++;
    const { crash, again, failure } = this.#plan;
    if (failure !== undefined) {
      if (this.calls === failure.call) {
        this.hasFailed = true;
        this.#isBroken = failure.forGood;
        return osError(failure.code);
      }
      if (this.#isBroken && isChange) return osError(failure.code);
    }
    if (!isChange) return null;
    if (crash !== undefined && this.changes === crash.call) {
      this.#crashedAt = this.changes;
      return crash.moment;
    }
    if (again !== undefined && this.#crashedAt > 0 && !this.#hasCrashedAgain) {
      if (this.changes < this.#crashedAt + again.calls) return null;
      this.#hasCrashedAgain = true;
      return again.moment;
    }
    return null;
  }
}
