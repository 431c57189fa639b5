/**
 * Deals with batches of events: known ones are left out, new ones are appended.
 *
 * Data flows one way: the watch isolate's batch, the ring's verdict, the destination. What becomes
 * durable when, is lib/commit.ts.
 */

import type { Commit } from "./commit.ts";
import { IoError } from "./errors.ts";
import type { FileDestination } from "./file_destination.ts";
import type { Io } from "./io.ts";
import { LineKeys } from "./line_keys.ts";
import { log } from "./log.ts";
import { KEYS_EXPECTED } from "./limits.ts";
import { PIPE_BUF, type PipeDestination } from "./pipe_destination.ts";
import { type IdentityMode, KEY_LANES, LANES_OF } from "./protocol.ts";
import type { Refresh } from "./refresh.ts";
import type { Ring } from "./ring.ts";
import { Abandoned, Trouble } from "./trouble.ts";
import { noFailures, type WriteFailure, writeFailureOf } from "./write_failure.ts";

/** Events in the order in which they were met, as lib/batch.ts reads them. */
export interface EventBatch {
  /** Events in the batch. */
  readonly count: number;
  /** Eight lanes an event. */
  readonly keys: Uint32Array;
  /** The lines, packed, each with its newline. */
  readonly bytes: Uint8Array;
  /** Where in `bytes` the line of an event begins. */
  start(index: number): number;
  /** Where it ends, behind the newline. */
  end(index: number): number;
}

/** Counts since the start. */
export interface PipelineCounts {
  /** Events met, in LIST or watch, DELETED not among them. */
  met: number;
  /** Of these, those that were new: lines appended. */
  written: number;
  /** Bytes of those lines. */
  bytes: number;
  /** Tries to write that failed and are made again. */
  failures: Record<WriteFailure, number>;
}

/** A file takes as many lines at once as there are. */
const UNBOUNDED = { bytes: Infinity, lines: Infinity };

/** The way of an event from a batch to the destination. */
export class Pipeline {
  readonly counts: PipelineCounts = { met: 0, written: 0, bytes: 0, failures: noFailures() };
  /** Called once a batch with the last line of it that was written. */
  onWritten: ((line: Uint8Array) => void) | null = null;
  readonly #io: Io;
  readonly #ring: Ring;
  readonly #commit: Commit;
  readonly #refresh: Refresh;
  readonly #lanes: number;
  #progressMs = 0;

  constructor(io: Io, ring: Ring, commit: Commit, refresh: Refresh, identity: IdentityMode) {
    this.#io = io;
    this.#ring = ring;
    this.#commit = commit;
    this.#refresh = refresh;
    this.#lanes = LANES_OF[identity];
  }

  /** When lines went out last, on the clock that never steps, ms. */
  get progressMs(): number {
    return this.#progressMs;
  }

  /**
   * Deals with all events of a batch, in order.
   *
   * @returns when all new lines are appended
   * @throws Abandoned where the process stops while the destination is blocked; IoError
   */
  async deal(batch: EventBatch): Promise<void> {
    const trouble = new Trouble(this.#io, `append to ${this.#commit.destination.path}`);
    let last = -1;
    for (let index = 0; index < batch.count;) {
      while (!this.#commit.isReady) await this.#commit.ready();
      const at = index * KEY_LANES;
      if (this.#knows(batch, index)) {
        if (this.#refresh.isOn) await this.#refresh.met(this.#commit, batch.keys, at);
        this.#say("Known", batch, index);
        this.counts.met++;
        index++;
        continue;
      }
      const { destination } = this.#commit;
      if (destination.kind !== "file" && this.#commit.room === 0) {
        await this.#commit.startGeneration(true);
        continue; // Meanwhile there may be another destination.
      }
      const lines = destination.kind === "file"
        ? await this.#appendRun(destination, batch, index, trouble)
        : await this.#writeRun(destination, batch, index);
      for (let line = index; line < index + lines; line++) this.#say("Written", batch, line);
      this.counts.met += lines;
      this.counts.written += lines;
      if (lines === 0) continue;
      this.counts.bytes += batch.end(index + lines - 1) - batch.start(index);
      index += lines;
      last = index - 1;
      this.#progressMs = this.#io.monotonicMs();
    }
    if (last >= 0) this.onWritten?.(batch.bytes.subarray(batch.start(last), batch.end(last)));
  }

  /** Appends the new lines that stand together from `first` on; returns how many went. */
  async #appendRun(
    file: FileDestination,
    batch: EventBatch,
    first: number,
    trouble: Trouble,
  ): Promise<number> {
    const { appended } = this.#commit;
    const before = appended.size;
    const end = this.#collectRun(batch, first);
    const start = batch.start(first);
    const { kept, error } = file.append(batch.bytes.subarray(start, batch.end(end - 1)));
    let whole = first;
    while (whole < end && batch.end(whole) <= start + kept) whole++;
    // What did not go is not pending: a sync that comes while we wait must not take it for durable.
    appended.truncate(before + whole - first);
    this.#commit.touched();
    // The end of the file is torn; the next start mends it behind the last checkpoint.
    if (error instanceof IoError) this.#commit.fail(error);
    if (error === null) trouble.over();
    else {
      this.#failed(error);
      await trouble.wait(error, this.#commit.abandon, this.#commit.reopen);
    }
    return whole - first;
  }

  /**
   * Writes new lines from `first` on, at most PIPE_BUF bytes or one line; returns how many went.
   */
  async #writeRun(pipe: PipeDestination, batch: EventBatch, first: number): Promise<number> {
    const { appended, abandon, reopen } = this.#commit;
    const before = appended.size;
    const end = this.#collectRun(batch, first, { bytes: PIPE_BUF, lines: this.#commit.room });
    const bytes = batch.bytes.subarray(batch.start(first), batch.end(end - 1));
    const signal = AbortSignal.any([abandon, reopen]);
    if (await pipe.write(bytes, signal, (error) => this.#failed(error))) {
      await this.#commit.written(before);
      return end - first;
    }
    appended.truncate(before);
    if (abandon.aborted) throw new Abandoned();
    return 0; // SIGHUP: once the destination is reopened, they go there.
  }

  /**
   * Makes pending the lines from `first` on, as long as they are new and fit, and at least one.
   *
   * @returns the index behind the last of them
   */
  #collectRun(batch: EventBatch, first: number, most = UNBOUNDED): number {
    const { appended } = this.#commit;
    const start = batch.start(first);
    let index = first;
    do {
      appended.add(batch.keys, index * KEY_LANES + this.#lanes);
      index++;
    } while (
      index < batch.count && index - first < most.lines &&
      batch.end(index) - start <= most.bytes &&
      !this.#knows(batch, index)
    );
    return index;
  }

  /** Whether an event is known; those behind it will be looked up soon. */
  #knows({ count, keys }: EventBatch, index: number): boolean {
    if (index % KEYS_EXPECTED === 0) {
      this.#ring.expect(keys, index * KEY_LANES, Math.min(KEYS_EXPECTED, count - index));
    }
    return this.#commit.knows(keys, index * KEY_LANES);
  }

  #failed(error: unknown): void {
    this.counts.failures[writeFailureOf(error)]++;
  }

  #say(verdict: "Known" | "Written", batch: EventBatch, index: number): void {
    if (!log.enabled("DEBUG")) return;
    log.debug(() =>
      `${verdict}: ${describe(batch.bytes.subarray(batch.start(index), batch.end(index)))}`
    );
  }
}

const reader = new LineKeys();

/** Namespace, name, count and message of a line, for the log. */
function describe(line: Uint8Array): string {
  reader.read(line, 0, line.length - 1);
  const { start, end } = reader.event;
  const event = JSON.parse(new TextDecoder().decode(line.subarray(start, end))) as {
    metadata?: { namespace?: string; name?: string; resourceVersion?: string };
    count?: number;
    series?: { count?: number } | null;
    message?: string;
  };
  const { namespace, name, resourceVersion } = event.metadata ?? {};
  const count = event.series?.count ?? event.count ?? 1;
  return `${namespace}/${name} at ${resourceVersion}, count ${count}: ${event.message ?? ""}`;
}
