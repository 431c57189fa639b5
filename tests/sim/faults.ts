/**
 * When the world ends, or fails: at which of the calls that the program makes to its files.
 *
 * Calls are counted over a whole run, those of every life of the process. A crash counts only the
 * calls that change something; a failure counts all. The first crash is made in tests/sim/world.ts,
 * from what was kept of a run that went on.
 */

import { osError } from "./disk.ts";

/** Where in a call a crash comes; "middle" = a part of it was done. */
export type Moment = "before" | "middle" | "after";

/** What is to go wrong. Numbers of calls begin at 1. */
export interface Plan {
  /** `goesOn`: so does the whole script after it, not a few writes of events alone. */
  crash?: { call: number; moment: Moment; power: boolean; goesOn: boolean };
  /** A second crash: so many calls after the first. Always a power loss. */
  again?: { calls: number; moment: Moment };
  failure?: Failure;
}

/** A call that fails; `forGood` = so do all that change something, from then on. */
export interface Failure {
  call: number;
  code: string;
  forGood: boolean;
}

/** Calls after a failure for good that succeed again once somebody has mended the disk. */
const MENDABLE = new Set(["ENOSPC", "EDQUOT", "EROFS"]);

/** How far a run has come. */
export interface Counts {
  /** Calls so far that change something. */
  changes: number;
  /** All calls so far. */
  calls: number;
  /** Whether the planned failure has come. */
  hasFailed: boolean;
}

/** Counts the calls of a run and says what becomes of each. */
export class Faults {
  readonly #plan: Plan;
  readonly counts: Counts;
  /** Changes before the first crash; null = none has come. */
  readonly #crashedAt: number | null;
  #hasCrashedAgain = false;
  #isBroken = false;
  /** Nothing goes wrong any more. */
  isOver = false;

  /** @param crashed how far the run had come when the first crash came */
  constructor(plan: Plan, crashed: Counts | null = null) {
    this.#plan = plan;
    this.counts = crashed === null ? { changes: 0, calls: 0, hasFailed: false } : { ...crashed };
    this.#crashedAt = crashed?.changes ?? null;
  }

  /** Planned crashes that have come. */
  get crashes(): number {
    return (this.#crashedAt === null ? 0 : 1) + (this.#hasCrashedAgain ? 1 : 0);
  }

  /** Whether the failure goes on until somebody mends the disk. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Whether a machine whose disk is broken so can go on once it is mended. */
  get isMendable(): boolean {
    return MENDABLE.has(this.#plan.failure?.code ?? "");
  }

  /** Nothing goes wrong from here on, and no call counts. */
  end(): void {
    this.isOver = true;
    this.#isBroken = false;
  }

  /** The disk works again. */
  mend(): void {
    this.#isBroken = false;
  }

  /** One call: null = it succeeds. */
  next(isChange: boolean): Moment | Error | null {
    if (this.isOver) return null;
    this.counts.calls++;
    if (isChange) this.counts.changes++;
    const { again, failure } = this.#plan;
    if (failure !== undefined) {
      if (this.counts.calls === failure.call) {
        this.counts.hasFailed = true;
        this.#isBroken = failure.forGood;
        return osError(failure.code);
      }
      if (this.#isBroken && isChange) return osError(failure.code);
    }
    if (!isChange) return null;
    if (again !== undefined && this.#crashedAt !== null && !this.#hasCrashedAgain) {
      if (this.counts.changes < this.#crashedAt + again.calls) return null;
      this.#hasCrashedAgain = true;
      return again.moment;
    }
    return null;
  }
}
