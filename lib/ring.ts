/**
 * The ring: which events were written, remembered in a bounded number of bloom filters.
 *
 * It owns the `.bloom` files of the state folder: makes them, closes them, adds keys to the newest,
 * tests all of them, and deletes the oldest when told. It holds only keys whose lines are durable;
 * that order is kept by lib/commit.ts. When a generation may be dropped without repeating an
 * event is decided in lib/refresh.ts.
 *
 * A key of an event is eight lanes: four of its content and four of its `name-count`, because each
 * generation is tested with the identity mode of its own header.
 */

import { expectedFalsePositives, shapeFor } from "./bloom.ts";
import { messageOf } from "./errors.ts";
import { Generation } from "./generation.ts";
import { IDENTITY_VERSION } from "./identity.ts";
import type { Io } from "./io.ts";
import { log } from "./log.ts";
import { pathIn } from "./paths.ts";
import { type IdentityMode, KEY_LANES, LANES_OF } from "./protocol.ts";

/** Settings of the ring; units in the names. */
export interface RingOptions {
  folder: string;
  identity: IdentityMode;
  filterCapacity: number;
  /** Of the whole ring. */
  filterErrorRate: number;
  batchCount: number;
  batchDurationSec: number;
}

/**
 * Generations over which the error rate is budgeted: the kept ones and as many again, at least 8.
 * More of them at once (a very busy cluster) exceed the rate; the ring says so when it happens.
 */
export function generationsBudgeted(batchCount: number): number {
  return Math.max(8, 2 * batchCount);
}

/** The generations, oldest first. */
export class Ring {
  readonly #io: Io;
  readonly #options: RingOptions;
  readonly #unsynced = new Set<Generation>();
  #generations: Generation[] = [];
  #lastName = 0;
  #damaged = 0;

  private constructor(io: Io, options: RingOptions) {
    this.#io = io;
    this.#options = options;
  }

  /**
   * Opens all generations of the folder. Foreign `.bloom` files stay where they are, with one
   * warning; a damaged one is renamed to `.damaged`, with a warning: its events may come again.
   *
   * @throws StateError where a newer release wrote one; the operating system's errors
   */
  static open(io: Io, options: RingOptions): Ring {
    const ring = new Ring(io, options);
    const foreign: string[] = [];
    for (const name of io.list(options.folder)) {
      const path = pathIn(options.folder, name);
      if (name.endsWith(".bloom.new")) io.remove(path); // A crash while a generation was made.
      if (!name.endsWith(".bloom")) continue;
      const seconds = /^(\d{1,15})\.bloom$/.exec(name)?.[1];
      if (seconds !== undefined) ring.#lastName = Math.max(ring.#lastName, Number(seconds));
      const generation = Generation.open(io, path);
      if (generation === "foreign") foreign.push(name);
      else if (generation === "damaged") ring.#setAside(path);
      else ring.#take(generation);
    }
    if (foreign.length > 0) {
      log.warning(
        `Left alone: ${foreign.length} .bloom file(s) in ${options.folder} that this program did ` +
          `not write (${foreign.slice(0, 3).join(", ")}). The Python tool's can be deleted.`,
      );
    }
    ring.#generations.sort((a, b) => a.header.sequence - b.header.sequence);
    ring.#closeOutdated();
    return ring;
  }

  /** Oldest first. */
  get generations(): readonly Generation[] {
    return this.#generations;
  }

  /** Sectors, header slots and files that were found damaged since the start. */
  get damaged(): number {
    return this.#damaged;
  }

  /** Keys in all generations. */
  get keys(): number {
    return this.#generations.reduce((sum, generation) => sum + generation.keys, 0);
  }

  /** The chance that a new event is taken for a known one, as things stand. */
  get falsePositiveRate(): number {
    return this.#generations.reduce(
      (sum, { header, keys }) => sum + expectedFalsePositives(header.shape, keys),
      0,
    );
  }

  /**
   * Whether any generation knows the key (eight lanes at `keys[at]`), those in `leaving` not asked.
   */
  knows(keys: Uint32Array, at: number, leaving?: ReadonlySet<Generation>): boolean {
    for (let index = this.#generations.length - 1; index >= 0; index--) {
      const generation = this.#generations[index]!;
      if (leaving !== undefined && leaving.has(generation)) continue;
      if (generation.mayContain(keys, at + LANES_OF[generation.header.identityMode])) return true;
    }
    return false;
  }

  /** `count` keys, eight lanes each from `keys[at]` on, are about to be looked up. */
  expect(keys: Uint32Array, at: number, count: number): void {
    for (const generation of this.#generations) {
      const { identityMode } = generation.header;
      generation.expect(keys, at + LANES_OF[identityMode], KEY_LANES, count);
    }
  }

  /**
   * Whether {@linkcode startGeneration} must come before the next key is added.
   *
   * @param byAge a new event is added, so age counts; a known one that is added again to outlive
   * its generation closes nothing by age, or a quiet cluster would forget
   */
  needsGeneration(byAge: boolean): boolean {
    const current = this.#current();
    if (current === undefined || current.keys >= current.header.capacity) return true;
    // An empty one holds nothing that could be old. On a very slow disk it is old when it is made,
    // and one would follow the other for ever.
    if (!byAge || current.keys === 0) return false;
    const durationMs = this.#options.batchDurationSec * 1000;
    const ageMs = this.#io.nowMs() - current.header.createdMs;
    // A clock that was far ahead when the generation was made must not keep it open for years.
    return ageMs >= durationMs || ageMs < -durationMs;
  }

  /** Keys that the current generation can still take. */
  get room(): number {
    const current = this.#current();
    return current === undefined ? 0 : Math.max(0, current.header.capacity - current.keys);
  }

  /**
   * Makes the next generation, then closes the current one. After a crash in between, the newest
   * is the current one and those before it count as closed.
   *
   * @throws the operating system's error (ENOSPC and others); nothing changed then
   */
  startGeneration(): void {
    const { folder, identity, filterCapacity, filterErrorRate, batchCount } = this.#options;
    const nowMs = this.#io.nowMs();
    const name = Math.max(Math.floor(nowMs / 1000), this.#lastName + 1);
    const errorRate = filterErrorRate / generationsBudgeted(batchCount);
    const previous = this.#current();
    const generation = Generation.create(this.#io, folder, pathIn(folder, `${name}.bloom`), {
      sequence: (this.#generations.at(-1)?.header.sequence ?? 0) + 1,
      identityVersion: IDENTITY_VERSION,
      identityMode: identity,
      shape: shapeFor(filterCapacity, errorRate),
      capacity: filterCapacity,
      errorRate,
      createdMs: nowMs,
      closedMs: 0,
      seed: this.#io.randomBytes(16),
    });
    this.#lastName = name;
    this.#generations.push(generation);
    if (previous !== undefined) this.#close(previous, nowMs);
    log.info(
      `Generation ${name}.bloom started, ${this.#generations.length} in the ring` +
        (previous === undefined ? "" : `; the one before it closed with ${previous.keys} keys`),
    );
    this.#warnOfRate();
  }

  /**
   * Adds a key (four lanes of the current identity mode at `lanes[at]`) to the current generation.
   */
  add(lanes: Uint32Array, at: number): void {
    this.#generations.at(-1)!.add(lanes, at);
  }

  /** Writes what changed into the files; durable after {@linkcode sync}. */
  writeDirty(): void {
    for (const generation of this.#generations) {
      if (generation.dirtySectors === 0) continue;
      this.#unsynced.add(generation);
      generation.writeDirty();
    }
  }

  /**
   * As {@linkcode writeDirty}, in pieces, between which events are dealt with: a generation of a
   * million keys takes some 20 ms.
   */
  async writeOut(sectorsAtOnce: number): Promise<void> {
    for (const generation of this.#generations) {
      while (generation.dirtySectors > 0) {
        this.#unsynced.add(generation);
        generation.writeDirty(sectorsAtOnce);
        if (generation.dirtySectors > 0) await this.#io.sleep(0);
      }
    }
  }

  /** After this, all that was written before the call survives a power loss. */
  async sync(): Promise<void> {
    const written = [...this.#unsynced];
    this.#unsynced.clear();
    await Promise.all(written.map((generation) => generation.sync()));
  }

  /** After an unclean stop: writes everything that was read in place again, and syncs it. */
  rewriteAll(): void {
    for (const generation of this.#generations) generation.rewriteAll();
    this.#io.syncFolder(this.#options.folder);
  }

  /**
   * The generations that time and number allow to drop, oldest first: all but the newest
   * `batchCount`, of those the ones that closed `(batchCount - 1) * batchDurationSec` ago.
   */
  due(): Generation[] {
    const { batchCount, batchDurationSec } = this.#options;
    const keepMs = (batchCount - 1) * batchDurationSec * 1000;
    const nowMs = this.#io.nowMs();
    return this.#generations.slice(0, -batchCount).filter(({ header }) =>
      nowMs - header.closedMs >= keepMs || header.closedMs - nowMs > keepMs
    );
  }

  /** Deletes generations. The caller has made sure that nothing alive is forgotten by it. */
  drop(leaving: ReadonlySet<Generation>): void {
    for (const generation of leaving) {
      // Somebody may have deleted it already; that it is gone is what was wanted.
      if (this.#io.stat(generation.path) !== null) this.#io.remove(generation.path);
      generation.release();
      this.#unsynced.delete(generation);
      this.#generations = this.#generations.filter((one) => one !== generation);
    }
    this.#io.syncFolder(this.#options.folder);
  }

  /** Closes the files. */
  release(): void {
    for (const generation of this.#generations) generation.release();
  }

  #warnOfRate(): void {
    const { filterErrorRate, filterCapacity } = this.#options;
    const most = this.#generations.reduce((sum, { header }) => sum + header.errorRate, 0);
    if (most <= filterErrorRate) return; // Even if all of them were full.
    const rate = this.falsePositiveRate;
    if (rate <= filterErrorRate) return;
    log.warning(
      `The ring holds ${this.#generations.length} generations and may take a new event for a ` +
        `known one at a rate of ${rate.toExponential(1)}, above the ${filterErrorRate} asked ` +
        `for. Raise --filter-capacity (${filterCapacity}).`,
    );
  }

  #current(): Generation | undefined {
    const newest = this.#generations.at(-1);
    return newest === undefined || newest.closed ? undefined : newest;
  }

  #take(generation: Generation): void {
    this.#generations.push(generation);
    if (generation.damaged === 0) return;
    this.#damaged += generation.damaged;
    log.warning(
      `${generation.damaged} damaged place(s) in ${generation.path}: emptied. Events they ` +
        "remembered may be written again; none is lost.",
    );
    generation.rewriteAll(); // Or the next damage may find no header slot left.
  }

  #setAside(path: string): void {
    this.#damaged++;
    const aside = `${path}.damaged`;
    this.#io.rename(path, aside);
    log.warning(
      `No valid header in ${path}: renamed to ${aside}. Events it remembered may be written again.`,
    );
  }

  /** Only the newest can be open, and only while it is what today's settings would make. */
  #closeOutdated(): void {
    const { identity, filterCapacity, filterErrorRate, batchCount } = this.#options;
    const errorRate = filterErrorRate / generationsBudgeted(batchCount);
    const nowMs = this.#io.nowMs();
    for (const [index, generation] of this.#generations.entries()) {
      const { header } = generation;
      const newest = index === this.#generations.length - 1;
      const same = header.identityMode === identity &&
        header.identityVersion === IDENTITY_VERSION &&
        header.capacity === filterCapacity && header.errorRate === errorRate;
      if (!generation.closed && !(newest && same)) this.#close(generation, nowMs);
    }
  }

  #close(generation: Generation, nowMs: number): void {
    try {
      generation.close(nowMs);
      this.#unsynced.add(generation);
    } catch (error) {
      // It stays closed in memory, and the next start closes it again since it is not the newest.
      log.warning(`Cannot mark ${generation.path} as closed: ${messageOf(error)}`);
    }
  }
}
