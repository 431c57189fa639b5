/**
 * Lets generations go without forgetting an event that the API server can still show.
 *
 * Before generations are dropped, one complete LIST runs beside the watch. From the moment it is
 * asked for to the drop, every event met, in LIST or watch, that no *remaining* generation knows is
 * added to the current one. So whatever the events' time to live, a later LIST repeats none of
 * them.
 */

import type { Commit } from "./commit.ts";
import type { Generation } from "./generation.ts";
import { identityLanes } from "./identity.ts";
import type { Io } from "./io.ts";
import { REFRESH_MS } from "./limits.ts";
import { log } from "./log.ts";
import { nameOf } from "./paths.ts";
import { KEY_LANES } from "./protocol.ts";
import type { Ring } from "./ring.ts";

/** Decides when generations are dropped. */
export class Refresh {
  readonly #io: Io;
  readonly #ring: Ring;
  readonly #askForList: (request: number) => void;
  #leaving: ReadonlySet<Generation> | null = null;
  #request = 0;
  #kept = 0;
  #lastMs = -Infinity;
  #cancelLater: (() => void) | null = null;

  constructor(io: Io, ring: Ring, askForList: (request: number) => void) {
    this.#io = io;
    this.#ring = ring;
    this.#askForList = askForList;
  }

  /** A new occurrence closed a generation, so others may be due. At most one LIST each 10 s. */
  consider(): void {
    if (this.#leaving !== null || this.#cancelLater !== null) return;
    const waitMs = this.#lastMs + REFRESH_MS - this.#io.monotonicMs();
    if (waitMs > 0) {
      this.#cancelLater = this.#io.after(waitMs, () => {
        this.#cancelLater = null;
        this.consider();
      });
      return;
    }
    const due = this.#ring.due();
    if (due.length === 0) return;
    this.#leaving = new Set(due);
    this.#kept = 0;
    this.#lastMs = this.#io.monotonicMs();
    log.debug(() => `A LIST is made so that ${due.length} generation(s) can be dropped.`);
    this.#askForList(++this.#request);
  }

  /** Whether a known event that is met must be shown to {@linkcode met}. */
  get isOn(): boolean {
    return this.#leaving !== null;
  }

  /** A known event was met (eight lanes at `keys[at]`): it must outlive the generations that go. */
  async met(commit: Commit, keys: Uint32Array, at: number): Promise<void> {
    if (this.#leaving === null) return;
    // A pending key comes into the current generation by itself, at the next sync; unless it came
    // into one that is leaving, which closed while others of its sync were still remembered.
    if (commit.isPending(keys, at) && !this.#ring.knows(keys, at)) return;
    if (this.#ring.knows(keys, at, this.#leaving)) return;
    await commit.keep(keys, at);
    this.#kept++;
  }

  /**
   * The LIST is complete, every watch is past all events that were met before, and all that was
   * dealt with: so nothing that the ring forgets now can be shown again.
   */
  async listed(commit: Commit, request: number): Promise<void> {
    if (this.#leaving === null || request !== this.#request) return;
    const leaving = this.#leaving;
    await this.#keepWitnesses(commit);
    await commit.drop(leaving);
    this.#leaving = null;
    const names = [...leaving].map(({ path }) => nameOf(path)).join(", ");
    log.info(`Dropped ${names}; ${this.#kept} event(s) still alive are remembered further.`);
  }

  /**
   * A WATCH that resumes begins with the last event that was met, also where it is gone since.
   * Where versions are ordered, a WATCH past the LIST has shown that it is gone; where they are
   * not, each counts as past (WatchPosition.isPast).
   */
  async #keepWitnesses(commit: Commit): Promise<void> {
    for (const position of commit.positions) {
      const lanes = position?.witness ? identityLanes(position.witness) : null;
      if (lanes === null) continue;
      const key = new Uint32Array(KEY_LANES);
      key.set(lanes, commit.lanes);
      await this.met(commit, key, 0);
    }
  }

  /** No more drops; the process stops. */
  stop(): void {
    this.#cancelLater?.();
  }
}
