/**
 * What makes events durable, from the start to the stop: it owns the state folder and the
 * destination, and takes what the watch isolate sends, in order.
 *
 * Program, tests and simulator run this same class; only {@linkcode Io} and whoever sends the
 * events differ. The order of commit is in lib/commit.ts.
 */

import { CheckpointFile, type WatchState } from "./checkpoint.ts";
import { Commit } from "./commit.ts";
import type { CommitOptions } from "./commit_options.ts";
import { openDestination } from "./destination.ts";
import { type Gap, gapText } from "./gap.ts";
import type { Io, IoFile } from "./io.ts";
import { KEYS_REMEMBERED, SECTORS_WRITTEN, STOP_MS } from "./limits.ts";
import { log } from "./log.ts";
import { type EventBatch, Pipeline, type PipelineCounts } from "./pipeline.ts";
import type { Position } from "./protocol.ts";
import { recover, type RecoveryReport } from "./recovery.ts";
import { setAsideRedo } from "./redo.ts";
import { Refresh } from "./refresh.ts";
import { Ring } from "./ring.ts";
import type { Settings } from "./settings.ts";
import { inStateFolder, lockStateFolder, refuseStateFile } from "./state_folder.ts";
import { Abandoned } from "./trouble.ts";

/** The settings that matter here. */
export type RecorderSettings = Pick<
  Settings,
  | "destination"
  | "persistencePath"
  | "filterCapacity"
  | "filterErrorRate"
  | "batchCount"
  | "batchDurationSec"
  | "identity"
  | "syncIntervalMs"
>;

/** What a recorder needs of the outside. */
export interface RecorderOptions {
  settings: RecorderSettings;
  /** Names of the watches, in the order of their positions. */
  watches: Omit<WatchState, "position">[];
  /** Stands in the lock file, for the message of a second instance. */
  pid: number;
  /** The lock of the state folder, where it was taken before; absent = it is taken here. */
  lock?: IoFile;
  /** What is done at once while events wait, where it is not as lib/limits.ts says. */
  atOnce?: CommitOptions["atOnce"];
  /** Asks for one complete LIST of all watches; {@linkcode Recorder.listed} is its answer. */
  askForList: (request: number) => void;
  /** Called with what ends the process. Nothing is committed after it. */
  onFatal: (error: unknown) => void;
}

const AT_ONCE = { keys: KEYS_REMEMBERED, sectors: SECTORS_WRITTEN };

/** Events, and where the watches stand once they are dealt with. */
export interface Delivery {
  /** null where only the positions moved. */
  events: EventBatch | null;
  positions: (Position | null)[];
}

/** See the head of this file. */
export class Recorder {
  readonly ring: Ring;
  readonly commit: Commit;
  /** What the start found and did. */
  readonly recovered: RecoveryReport;
  /** Where the watches resume; null = nothing is known. */
  readonly positions: (Position | null)[];
  readonly #io: Io;
  readonly #lock: IoFile;
  readonly #checkpoints: CheckpointFile;
  readonly #refresh: Refresh;
  readonly #pipeline: Pipeline;
  readonly #onFatal: (error: unknown) => void;
  #gaps = 0;
  /** When events came last, and when what is under way began, on the clock that never steps. */
  #metMs: number;
  #beganMs: number;
  /** What is to be done, in order; what is under way stays in it until it is done. */
  readonly #inbox: (() => Promise<void>)[] = [];
  #working: Promise<void> = Promise.resolve();
  #isStopping = false;

  private constructor(
    io: Io,
    options: RecorderOptions,
    parts: {
      lock: IoFile;
      checkpoints: CheckpointFile;
      ring: Ring;
      recovered: RecoveryReport;
      positions: (Position | null)[];
      refresh: Refresh;
      commit: Commit;
    },
  ) {
    this.#io = io;
    this.#lock = parts.lock;
    this.#checkpoints = parts.checkpoints;
    this.#refresh = parts.refresh;
    this.#onFatal = options.onFatal;
    this.ring = parts.ring;
    this.commit = parts.commit;
    this.recovered = parts.recovered;
    this.positions = parts.positions;
    const { identity } = options.settings;
    this.#pipeline = new Pipeline(io, parts.ring, parts.commit, parts.refresh, identity);
    this.#metMs = this.#beganMs = io.monotonicMs();
  }

  /**
   * Locks the state folder, makes state and destination agree, and opens the destination.
   *
   * @throws UsageError, StateError, IoError; the operating system's errors
   */
  static async open(io: Io, options: RecorderOptions): Promise<Recorder> {
    const { settings, watches, atOnce = AT_ONCE } = options;
    const { persistencePath: folder, identity } = settings;
    refuseStateFile(io, folder, settings.destination);
    const lock = options.lock ?? await lockStateFolder(io, folder, options.pid);
    const checkpoints = inStateFolder(folder, () => CheckpointFile.open(io, folder));
    if (checkpoints.damaged > 0) {
      log.warning(
        `${checkpoints.damaged} damaged slot(s) in ${folder}/checkpoint. ` +
          (checkpoints.latest === null
            ? "No checkpoint is left: lines written after the last one may be written again."
            : "The other one is used."),
      );
    }
    const ring = inStateFolder(folder, () => Ring.open(io, { ...settings, folder }));
    if (checkpoints.latest === null && checkpoints.damaged === 0 && ring.generations.length > 0) {
      log.warning(
        `No checkpoint beside ${ring.generations.length} generation(s) in ${folder}: lines written ` +
          "after the last one may be written again.",
      );
    }
    const recovered = await recover(io, ring, checkpoints, { folder, identity });
    inStateFolder(folder, () => setAsideRedo(io, folder, "is of no use: its destination is gone"));
    log.info(
      `State in ${folder}: ${ring.generations.length} generation(s) with ${ring.keys} key(s).`,
    );
    const known = checkpoints.latest?.watches ?? [];
    const positions = watches.map((watch) => positionOf(watch, known));
    const refresh = new Refresh(io, ring, options.askForList);
    const commit = await Commit.start(io, ring, checkpoints, {
      identity,
      syncIntervalMs: settings.syncIntervalMs,
      atOnce,
      watches,
      positions,
      openDestination: () => openDestination(io, settings.destination),
      onFatal: options.onFatal,
      onGenerationClosed: () => refresh.consider(),
    });
    log.info(`Lines go to ${commit.destination.path}.`);
    return new Recorder(io, options, {
      ...{ lock, checkpoints, ring, recovered, positions, refresh, commit },
    });
  }

  /** Counts since the start. */
  get counts(): Readonly<PipelineCounts> {
    return this.#pipeline.counts;
  }

  /** Gaps since the start. */
  get gaps(): number {
    return this.#gaps;
  }

  /** Since events were met last, or since the start, ms. */
  get eventAgeMs(): number {
    return this.#io.monotonicMs() - this.#metMs;
  }

  /** For how long events have been waiting without a line going out, ms; 0 = none waits. */
  get blockedMs(): number {
    if (this.#inbox.length === 0) return 0;
    return this.#io.monotonicMs() - Math.max(this.#beganMs, this.#pipeline.progressMs);
  }

  /** Calls `action` with the last line written of each batch that had one. */
  onWritten(action: (line: Uint8Array) => void): void {
    this.#pipeline.onWritten = action;
  }

  /** From here on LISTs can be asked for. */
  begin(): void {
    this.#refresh.consider();
  }

  /** Takes a batch. `done` is called when it is dealt with and its memory is free again. */
  take({ events, positions }: Delivery, done: () => void): void {
    if (events !== null) this.#metMs = this.#io.monotonicMs();
    this.#enqueue(async () => {
      if (events !== null) await this.#pipeline.deal(events);
      done();
      this.commit.dealt(positions);
    });
  }

  /** All events of the LIST asked for by `request` were taken before. */
  listed(request: number): void {
    this.#enqueue(() => this.#refresh.listed(this.commit, request));
  }

  /** The watch isolate may have missed something: said, and counted. */
  missed(gap: Gap): void {
    this.#gaps++;
    log.warning(gapText(gap));
  }

  /**
   * SIGHUP: turns to the file that the destination's path leads to now. Resolves when that is done,
   * or has failed, which `onFatal` was told.
   */
  reopen(): Promise<void> {
    return this.commit.switchFile().catch((error) => this.#failed(error));
  }

  /**
   * Ends: what is under way is finished, unless it is blocked; what is durable stands in a
   * checkpoint. Takes little more than STOP_MS.
   *
   * @returns what the last commit failed with, or null
   */
  async stop(): Promise<unknown> {
    this.#isStopping = true;
    this.#refresh.stop();
    this.commit.abandonWaits();
    const late = new AbortController();
    const isIdle = await Promise.race([
      this.#working.then(() => true),
      this.#io.sleep(STOP_MS, late.signal).then(() => false),
    ]);
    late.abort("in time");
    try {
      await this.commit.stop();
    } catch (error) {
      if (!(error instanceof Abandoned)) return error;
      log.warning("Stopped before all was written; the next start goes on from there.");
    }
    if (!isIdle) return null; // Whoever is still at work needs the files until the process ends.
    this.#checkpoints.release();
    this.ring.release();
    this.#lock.close();
    return null;
  }

  /** For the log: what was done since the start. */
  summary(): string {
    const { met, written, bytes } = this.counts;
    const known = met - written;
    return `Since the start: ${met} event(s) met, ${written} line(s) written (${bytes} bytes), ` +
      `${known} known, ${this.#gaps} gap(s). Ring: ${this.ring.generations.length} generation(s), ` +
      `${this.ring.keys} key(s).`;
  }

  #enqueue(work: () => Promise<void>): void {
    this.#inbox.push(work);
    if (this.#inbox.length === 1) this.#working = this.#work();
  }

  async #work(): Promise<void> {
    try {
      for (; this.#inbox.length > 0 && !this.#isStopping; this.#inbox.shift()) {
        this.#beganMs = this.#io.monotonicMs();
        await this.#inbox[0]!();
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof Abandoned)) this.#onFatal(error);
  }
}

/** Where the watch stood; null where nothing is known of it. */
function positionOf(
  { server, namespace, fieldSelector }: Omit<WatchState, "position">,
  known: WatchState[],
): Position | null {
  const state = known.find((one) =>
    one.server === server && one.namespace === namespace && one.fieldSelector === fieldSelector
  );
  return state?.position ?? null;
}
