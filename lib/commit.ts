/**
 * The order of commit, in one place.
 *
 *   append a line -> sync the destination -> its key into the ring -> ring files, synced
 *                 -> checkpoint, synced
 *
 * `pending` are the keys of lines that are appended but not yet synced; an event is known when it
 * is pending or in the ring. The ring never holds a key whose line is not durable: the other way
 * round, a crash in between would lose that line for good. The checkpoint's offset and positions
 * are those of the last event wholly dealt with when the sync before it was called; the
 * destination's tail behind that offset is the journal of what came after.
 *
 * One operation runs at a time: sync, checkpoint, file switch, drop; the first two let lines come.
 * Pipes cannot be read back: there a line is written, then remembered, by Commit.written().
 */

import { type CheckpointFile, watchStates } from "./checkpoint.ts";
import type { CommitOptions } from "./commit_options.ts";
import type { FileDestination } from "./file_destination.ts";
import { carryOver } from "./carry_over.ts";
import { Exclusive } from "./exclusive.ts";
import { Gate } from "./gate.ts";
import type { Generation } from "./generation.ts";
import type { Io } from "./io.ts";
import type { KeySet } from "./key_set.ts";
import { CHECKPOINT_BYTES, CHECKPOINT_MS, PENDING_KEYS_MAX } from "./limits.ts";
import { log } from "./log.ts";
import { PathWatch } from "./path_watch.ts";
import { Pending } from "./pending.ts";
import { type Destination, fileOf, offsetOf, reopenDestination } from "./destination.ts";
import { LANES_OF, type Position } from "./protocol.ts";
import { Rhythm } from "./rhythm.ts";
import type { Ring } from "./ring.ts";
import { Abandoned, surely, untilItWorks } from "./trouble.ts";

/** An offset of the destination and the positions that belong to it. */
type Mark = { offset: number; positions: (Position | null)[] };

/** Owns what is pending, the destination, and the order in which things become durable. */
export class Commit {
  /** Lines wait for the one, positions for the other. */
  readonly rhythms: { sync: Rhythm; checkpoint: Rhythm };
  readonly #io: Io;
  readonly #ring: Ring;
  readonly #checkpoints: CheckpointFile;
  readonly #options: CommitOptions;
  readonly #abandon = new AbortController();
  readonly #pending = new Pending();
  readonly #gate = new Gate();
  readonly #path: PathWatch;
  #destination: Destination;
  #dealt: (Position | null)[];
  #durable: Mark;
  #checkpointedOffset = 0;
  #switching = false;
  readonly #operations = new Exclusive();
  #nextSync: Promise<void> | null = null;
  #reopen = new AbortController();
  #cancelSync: (() => void) | null = null;
  #cancelCheckpoint: (() => void) | null = null;

  private constructor(
    io: Io,
    ring: Ring,
    checkpoints: CheckpointFile,
    destination: Destination,
    options: CommitOptions,
  ) {
    this.rhythms = { sync: new Rhythm(io), checkpoint: new Rhythm(io) };
    this.#io = io;
    this.#ring = ring;
    this.#checkpoints = checkpoints;
    this.#destination = destination;
    this.#options = options;
    this.#dealt = options.positions;
    this.#durable = { offset: offsetOf(destination), positions: options.positions };
    const switchFile = () => this.#soon(() => this.switchFile());
    this.#path = new PathWatch(io, () => this.#gate.hold(), switchFile);
  }

  /**
   * Opens the destination and names it in a checkpoint before its first byte, so that recovery
   * always knows the one file to look at.
   */
  static async start(
    io: Io,
    ring: Ring,
    checkpoints: CheckpointFile,
    options: CommitOptions,
  ): Promise<Commit> {
    const destination = await options.openDestination();
    const commit = new Commit(io, ring, checkpoints, destination, options);
    await commit.#writeCheckpoint(false);
    return commit;
  }

  /** Where lines go now. */
  get destination(): Destination {
    return this.#destination;
  }

  /** Where the watches stand, as far as their events are dealt with. */
  get positions(): readonly (Position | null)[] {
    return this.#dealt;
  }

  /** Where in a key the four lanes of today's identity begin. */
  get lanes(): number {
    return LANES_OF[this.#options.identity];
  }

  /** Keys of lines appended, in order, since the last sync was called. */
  get appended(): KeySet {
    return this.#pending.appended;
  }

  /** Raised when the process stops: whoever waits for the outside world gives up. */
  get abandon(): AbortSignal {
    return this.#abandon.signal;
  }

  /** Raised when SIGHUP asks for the destination anew, also while a write waits. */
  get reopen(): AbortSignal {
    return this.#reopen.signal;
  }

  /** Whether the event (eight lanes at `keys[at]`) was appended or is in the ring. */
  knows(keys: Uint32Array, at: number): boolean {
    return this.isPending(keys, at) || this.#ring.knows(keys, at);
  }

  /** Whether its line is appended and not yet in the ring. */
  isPending(keys: Uint32Array, at: number): boolean {
    return this.#pending.has(keys, at + this.lanes);
  }

  /** Whether lines may be appended right now; else {@linkcode ready} waits for it. */
  get isReady(): boolean {
    return !this.#gate.isHeld && this.appended.size < PENDING_KEYS_MAX;
  }

  /** Waits until lines may be appended. @throws Abandoned */
  async ready(): Promise<void> {
    while (!this.isReady) {
      if (this.abandon.aborted) throw new Abandoned();
      if (this.#gate.isHeld) await this.#gate.opened(this.abandon);
      else await this.sync();
    }
  }

  /** Lines were appended: their sync is due. */
  touched(): void {
    if (this.appended.size > 0) this.rhythms.sync.due();
    this.#cancelSync ??= this.#after(this.#options.syncIntervalMs, () => {
      this.#cancelSync = null;
      return this.sync();
    });
    const behind = offsetOf(this.#destination) - this.#checkpointedOffset;
    if (behind < CHECKPOINT_BYTES) return;
    this.#checkpointedOffset = offsetOf(this.#destination); // One is enough until then.
    this.#soon(() => this.checkpoint());
  }

  /** All events up to these positions are dealt with: their lines are appended, or were known. */
  dealt(positions: (Position | null)[]): void {
    const known = this.#dealt;
    this.#dealt = positions;
    this.rhythms.checkpoint.due();
    // Without a position a restart can only LIST, and what was overwritten since is gone: so the
    // first one is stored at once.
    const isFirst = positions.some((one, index) => one !== null && (known[index] ?? null) === null);
    if (isFirst) this.#soon(() => this.checkpoint());
    this.#cancelCheckpoint ??= this.#after(CHECKPOINT_MS, () => {
      this.#cancelCheckpoint = null;
      return this.checkpoint();
    });
  }

  /**
   * Most new keys that find a place in the ring without a wait: no more lines may go into a pipe,
   * or a stop meanwhile would write them again. At 0, startGeneration() comes first.
   */
  get room(): number {
    return this.#ring.needsGeneration(true) ? 0 : this.#ring.room;
  }

  /** Makes the next generation. @param byOccurrence a new line needs it @throws Abandoned */
  async startGeneration(byOccurrence: boolean): Promise<void> {
    await untilItWorks(this.#io, "make the next generation of the ring", this.abandon, () => {
      this.#ring.startGeneration();
    });
    if (byOccurrence) this.#options.onGenerationClosed();
  }

  /**
   * The lines of `appended` from `from` on went into a pipe: their keys go into the ring, and its
   * bits to the files at once, so that a kill -9 from here on repeats none of them.
   */
  async written(from: number): Promise<void> {
    const { lanes, size } = this.appended;
    for (let index = from; index < size; index++) this.#ring.add(lanes, 4 * index);
    this.appended.truncate(from);
    await this.rhythms.sync.during(() => this.#flushRing(Infinity));
  }

  /**
   * The first rhythm: what was appended before the call becomes durable, then known by the ring.
   */
  sync(): Promise<void> {
    // One that has not begun serves all who ask: on a slow disk they would pile up.
    return this.#nextSync ??= this.#operations.run(() => {
      this.#nextSync = null;
      return this.#sync();
    });
  }

  /** The second rhythm: a sync, then ring and checkpoint become durable. */
  checkpoint(): Promise<void> {
    return this.#operations.run(() => this.#checkpoint(false));
  }

  /** The destination is not what its offset says: nothing may be committed any more. */
  fail(error: unknown): void {
    this.#operations.fail(error);
  }

  /** Adds a known key to the current generation, so that it outlives an older one. */
  async keep(keys: Uint32Array, at: number): Promise<void> {
    while (this.#ring.needsGeneration(false)) {
      await this.#operations.run(async () => {
        if (this.#ring.needsGeneration(false)) await this.startGeneration(false);
      });
    }
    this.#ring.add(keys, at + this.lanes);
  }

  /**
   * Makes durable what was kept and where the watches stand, then deletes the generations. No event
   * may be met meanwhile. @throws Abandoned
   */
  async drop(leaving: ReadonlySet<Generation>): Promise<void> {
    while (!await this.#operations.run(() => this.#dropNow(leaving))) {
      if (this.abandon.aborted) throw new Abandoned();
      await this.ready();
    }
  }

  /**
   * SIGHUP: turns to the file that the path leads to now. From here on nothing is appended until
   * all of the old file is in a checkpoint and another checkpoint names the new one.
   */
  switchFile(): Promise<void> {
    this.#gate.hold();
    this.#reopen.abort("SIGHUP");
    return this.#operations.run(async () => {
      this.#gate.hold(); // A switch before this one has let it go.
      this.#reopen.abort("SIGHUP");
      this.#path.cancel();
      this.#switching = true; // What a sync finds of the path meanwhile is no news.
      await this.#switch().finally(() => this.#switching = false);
      this.#reopen = new AbortController();
      this.#gate.release();
    });
  }

  /** The last checkpoint, marked as a clean stop where all that was appended is in it. */
  async stop(): Promise<void> {
    this.abandonWaits();
    await this.#operations.run(() => this.#checkpoint(true));
    this.#destination.release();
  }

  /** Ends all timers, and every wait for the outside world: see {@linkcode abandon}. */
  abandonWaits(): void {
    this.#abandon.abort("the process stops");
    this.#cancelSync?.();
    this.#cancelCheckpoint?.();
    this.#path.cancel();
  }

  async #sync(): Promise<void> {
    const file = fileOf(this.#destination);
    const mark: Mark = { offset: offsetOf(this.#destination), positions: this.#dealt };
    this.rhythms.sync.begin();
    if (file !== null) {
      const collected = this.#pending.collect();
      if (mark.offset !== this.#durable.offset) {
        await surely(`the destination ${JSON.stringify(file.path)}`, file.sync());
      }
      // From here the lines survive a power loss, unless no name leads to their file any more:
      // then they stay pending, until they are written to the file that takes its place.
      if (file.unlinked()) return this.#lookAtPath(file);
      await this.#remember(collected.lanes, collected.size);
      this.#pending.settle();
      const deed = file.others();
      // What was durable before still ends with a line, unless the file was cut.
      if (deed === "added") mark.offset = this.#durable.offset;
      if (deed === "cut") {
        mark.offset = 0;
        // The last checkpoint's offset is of no use any more: recovery would not find the file.
        if (!this.abandon.aborted) this.#soon(() => this.checkpoint());
      }
      this.#lookAtPath(file);
    }
    this.rhythms.sync.done();
    this.#durable = mark;
  }

  async #remember(lanes: Uint32Array, count: number): Promise<void> {
    for (let index = 0; index < count;) {
      if (this.room === 0) await this.startGeneration(true);
      const end = Math.min(count, index + this.#options.atOnce.keys, index + this.room);
      while (index < end) this.#ring.add(lanes, 4 * index++);
      if (index < count) await this.#io.sleep(0);
    }
  }

  #checkpoint(clean: boolean): Promise<void> {
    return this.rhythms.checkpoint.during(async () => {
      await this.#sync();
      await this.#writeCheckpoint(clean);
    });
  }

  async #writeCheckpoint(clean: boolean): Promise<void> {
    const { offset, positions } = this.#durable;
    await this.#flushRing();
    await surely("the ring", this.#ring.sync());
    await untilItWorks(this.#io, "write the checkpoint", this.abandon, () => {
      this.#checkpoints.write({
        watches: watchStates(this.#options.watches, positions),
        file: fileOf(this.#destination)?.mark(offset) ?? null,
        clean: clean && this.#pending.isEmpty && fileOf(this.#destination)?.isTorn !== true,
        timeMs: this.#io.nowMs(),
      });
    });
    await surely("the checkpoint", this.#checkpoints.seal());
    this.#checkpointedOffset = offset;
  }

  #flushRing(most = this.#options.atOnce.sectors): Promise<void> {
    return untilItWorks(this.#io, "write the ring", this.abandon, () => this.#ring.writeOut(most));
  }

  /**
   * False while the destination's file has no name: its checkpoint keeps to older positions, and a
   * WATCH that resumed there after a kill would show again what only these generations know.
   */
  async #dropNow(leaving: ReadonlySet<Generation>): Promise<boolean> {
    const positions = this.#dealt;
    await this.#checkpoint(false);
    const isWhole = this.#durable.positions === positions;
    if (isWhole) this.#ring.drop(leaving);
    return isWhole;
  }

  /** After a sync: is the file still what the path leads to? */
  #lookAtPath(file: FileDestination): void {
    if (!this.#switching && !this.abandon.aborted) this.#path.look(file);
  }

  async #switch(): Promise<void> {
    const old = this.#destination;
    const oldFile = fileOf(old);
    await this.#checkpoint(false);
    if (oldFile !== null && !oldFile.unlinked() && oldFile.pathState() === "same") {
      return log.info(`${old.path} is still the same file.`);
    }
    const from = this.#durable.offset;
    if (oldFile === null) old.release();
    else oldFile.mend(); // Once a checkpoint names another file, no recovery looks at this one.
    const open = this.#options.openDestination;
    const next = await reopenDestination(this.#io, old, open, this.abandon);
    if (next === old) return log.info(`${old.path} is the same file again.`);
    const isOrphan = oldFile?.unlinked() === true;
    try {
      this.#destination = next;
      this.#durable = { offset: offsetOf(next), positions: this.#durable.positions };
      await this.#writeCheckpoint(false);
      if (isOrphan) await carryOver(this.#io, oldFile, from, next, this.abandon);
      this.touched();
    } catch (error) {
      // What is pending stands in no file that has a name: it must never count as durable.
      if (isOrphan) this.fail(error);
      throw error;
    }
    oldFile?.release();
    log.info(`Reopened ${next.path}.`);
  }

  #after(ms: number, operation: () => Promise<void>): () => void {
    return this.#io.after(ms, () => this.#soon(operation));
  }

  #soon(operation: () => Promise<void>): void {
    operation().catch((error) => {
      if (!(error instanceof Abandoned)) this.#options.onFatal(error);
    });
  }
}
