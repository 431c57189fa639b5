/**
 * Where a watch stands, and the rules by which that moves.
 *
 * Only events of a WATCH move it: they come in the order of their resourceVersions. A LIST comes
 * in the order of keys and sets the position only where nothing is known, or where etcd went back.
 * A BOOKMARK never moves it: the API server sends none for events in between (they have no watch
 * cache, kubernetes/kubernetes#120348), and no event stands behind one that could be a witness.
 *
 * Invariant: a WATCH begun at `previous` showed the witness, bearing `rv`, as its first event
 * (unless the witness is null). So whoever begins there again and is shown something else is
 * no longer on the same history.
 */

import { identityHex, identityLanes } from "./identity.ts";
import type { Position } from "./protocol.ts";
import { compareRv, type ResourceVersion, versionOf } from "./resource_version.ts";

/** The position of one watch, as it moves. Allocates nothing for an event. */
export class WatchPosition {
  #rv: ResourceVersion | null = null;
  #previous: ResourceVersion = "";
  #hasWitness = false;
  readonly #witness = new Uint32Array(4);
  #listOwed = false;
  #passed: ResourceVersion = "";
  #hasSkipped = false;
  #seenMs: number | null = null;
  /** The highest version of any event met. */
  #highest: ResourceVersion = "";
  #historiesLeft = 0;

  /** @param position of the checkpoint; null = nothing is known */
  constructor(position: Position | null) {
    if (position === null) return;
    this.#rv = versionOf(position.rv);
    this.#previous = versionOf(position.previous);
    this.#listOwed = position.listOwed;
    this.#highest = versionOf(position.highest);
    this.#passed = versionOf(position.passed ?? position.rv);
    this.#seenMs = position.seenMs ?? null;
    const witness = position.witness === null ? null : identityLanes(position.witness);
    this.#hasWitness = witness !== null;
    if (witness !== null) this.#witness.set(witness);
  }

  /** The last resourceVersion met, or the LIST's; null = nothing is known. */
  get rv(): string | null {
    return this.#rv === null ? null : `${this.#rv}`;
  }

  /** The same, as versionOf() gives it. */
  get version(): ResourceVersion | null {
    return this.#rv;
  }

  /** How often the history of before was found to be gone. */
  get historiesLeft(): number {
    return this.#historiesLeft;
  }

  /** The highest version of any event met, that of the last one among them; "" where none was. */
  get highest(): string {
    return `${this.#highest}`;
  }

  /** Where a WATCH resumes; "" where nothing is known. */
  get previous(): string {
    return `${this.#previous}`;
  }

  /** A version that the WATCH is past: the last one, or a later one that bore no event. */
  get passed(): string {
    return `${this.#passed}`;
  }

  /** When the WATCH was last known to be alive, ms since 1970; null where nobody knows. */
  get seenMs(): number | null {
    return this.#seenMs;
  }

  /** Whether a resumed watch can be proved to go on in the same history. */
  get hasWitness(): boolean {
    return this.#hasWitness;
  }

  /** Whether a LIST is owed. Only the reflector changes it. */
  get listOwed(): boolean {
    return this.#listOwed;
  }

  set listOwed(owed: boolean) {
    this.#listOwed = owed;
  }

  /** As the checkpoint keeps it. */
  snapshot(): Position | null {
    if (this.#rv === null) return null;
    return {
      rv: `${this.#rv}`,
      witness: this.#hasWitness ? identityHex(this.#witness) : null,
      previous: this.previous,
      highest: this.highest,
      listOwed: this.#listOwed,
      // A start resumes from P: what was skipped is before it again.
      ...(this.#passed !== this.#rv && !this.#hasSkipped && { passed: this.passed }),
      ...(this.#seenMs !== null && { seenMs: this.#seenMs }),
    };
  }

  /** Whether this is the witness: the same resourceVersion and the same identity. */
  isWitness(rv: ResourceVersion, key: Uint32Array): boolean {
    if (!this.#hasWitness || versionOf(rv) !== this.#rv) return false;
    for (let lane = 0; lane < 4; lane++) if (key[lane] !== this.#witness[lane]) return false;
    return true;
  }

  /**
   * The first event of a WATCH that was begun at `from`. If it is the witness, it is met again and
   * nothing changes: `previous` must stay the version before it. Anything else is the truth of
   * whatever history the server is on now.
   *
   * @returns whether the position changed
   */
  meetFirst(rv: ResourceVersion, key: Uint32Array, from: string): boolean {
    if (this.isWitness(rv, key)) {
      if (this.#hasSkipped) this.#passed = versionOf(rv);
      this.#hasSkipped = false;
      return false;
    }
    this.#set(versionOf(rv), key, versionOf(from));
    return true;
  }

  /**
   * Any later event of a WATCH. Of several under one resourceVersion (etcd deletes up to 1000 keys
   * of a lease in one revision) the first stays the witness.
   *
   * @returns false where resourceVersions went back: then nothing is certain, and a LIST is owed
   */
  meetNext(rv: ResourceVersion, key: Uint32Array): boolean {
    const version = versionOf(rv);
    return version === this.#rv || this.#set(version, key, this.#rv!);
  }

  /** An event of a LIST: it does not move the watch, which may show it again. */
  meetListed(rv: ResourceVersion): void {
    if (compareRv(rv, this.#highest) === 1) this.#highest = versionOf(rv);
  }

  /**
   * Whether the WATCH shows nothing any more that was written up to a version or met so far: it was
   * seen to be past both. Where versions know no order that cannot be told, and it counts as past.
   */
  isPast(version: string): boolean {
    return !this.#hasSkipped && compareRv(this.#passed, version) !== -1 &&
      compareRv(this.#passed, this.#highest) !== -1;
  }

  /** The WATCH has nothing to show up to this version. The next event says more. */
  pass(version: string): void {
    this.#passed = versionOf(version);
  }

  /**
   * The WATCH begins at this version although the server may have what lies before it: until the
   * next event moves P, a WATCH that resumes there may show it, so nothing counts as past.
   */
  skip(version: string): void {
    this.#passed = versionOf(version);
    this.#hasSkipped = true;
  }

  /** The WATCH was alive at this time, ms since 1970. */
  seen(nowMs: number): void {
    this.#seenMs = nowMs;
  }

  /** The first LIST, or the first after etcd went back: its version, no witness, the LIST owed. */
  begin(listVersion: string): void {
    const version = versionOf(listVersion);
    this.#rv = version;
    this.#previous = version;
    this.#passed = version;
    this.#hasSkipped = false;
    this.#hasWitness = false;
    this.#listOwed = true;
    this.#leaveHistory(version);
  }

  #set(rv: ResourceVersion, key: Uint32Array, previous: ResourceVersion): boolean {
    const order = compareRv(previous, rv);
    // A WATCH from a version that the server has not reached yet is accepted and stays silent
    // (kubernetes/kubernetes#107457), so `previous` must never be one of a history that is gone.
    const goesBack = order === 0 || order === 1;
    this.#rv = rv;
    this.#passed = rv;
    this.#hasSkipped = false;
    this.#previous = goesBack ? rv : previous;
    this.#hasWitness = !goesBack;
    for (let lane = 0; lane < 4; lane++) this.#witness[lane] = key[lane]!; // Faster than set().
    if (goesBack) this.#leaveHistory(rv);
    else this.meetListed(rv);
    return !goesBack;
  }

  /** Versions met before say nothing any more. */
  #leaveHistory(rv: ResourceVersion): void {
    this.#highest = rv;
    this.#historiesLeft++;
  }
}
