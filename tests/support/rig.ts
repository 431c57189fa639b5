/**
 * The shipped ring, commit, recovery and pipeline on a real folder, without a watch: events are fed
 * as if they had come in a batch. A crash is simulated by closing every file and forgetting all.
 */

import { type Checkpoint, readSlots, type WatchState } from "../../lib/checkpoint.ts";
import type { Commit } from "../../lib/commit.ts";
import type { CommitOptions } from "../../lib/commit_options.ts";
import type { Io, IoFile } from "../../lib/io.ts";
import { LineKeys } from "../../lib/line_keys.ts";
import type { EventBatch } from "../../lib/pipeline.ts";
import type { IdentityMode, Position } from "../../lib/protocol.ts";
import { realIo } from "../../lib/real_io.ts";
import { Recorder } from "../../lib/recorder.ts";
import type { RecoveryReport } from "../../lib/recovery.ts";
import type { Ring } from "../../lib/ring.ts";

/** An event like those of the API server; `n` tells it from others. */
export function sampleEvent(n: number, count = 1, namespace = "default"): string {
  return JSON.stringify({
    kind: "Event",
    apiVersion: "v1",
    metadata: { name: `pod-${n}.1`, namespace, uid: `uid-${n}`, resourceVersion: `${1000 + n}` },
    involvedObject: { kind: "Pod", namespace, name: `pod-${n}` },
    reason: "Started",
    message: `Started container ${n}`,
    source: { component: "kubelet" },
    firstTimestamp: "2026-01-01T00:00:00Z",
    lastTimestamp: "2026-01-01T00:00:00Z",
    count,
    type: "Normal",
    eventTime: null,
    reportingComponent: "kubelet",
    reportingInstance: "",
  });
}

/** A batch of these lines. */
export function batchOf(lines: string[]): EventBatch {
  const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
  const keys = new Uint32Array(8 * lines.length);
  const ends: number[] = [];
  const reader = new LineKeys();
  let start = 0;
  for (const [index] of lines.entries()) {
    const end = bytes.indexOf(0x0a, start);
    if (reader.read(bytes, start, end) !== "event") throw new Error(`No event: ${lines[index]}`);
    keys.set(reader.lanes, 8 * index);
    ends.push(end + 1);
    start = end + 1;
  }
  return {
    count: lines.length,
    keys,
    bytes,
    start: (index) => index === 0 ? 0 : ends[index - 1]!,
    end: (index) => ends[index]!,
  };
}

/** An Io whose files can all be closed at once, as a kill does. */
export function killable(io: Io): { io: Io; kill: () => Promise<void> } {
  const open = new Set<IoFile>();
  const syncs = new Set<Promise<void>>();
  return {
    io: {
      ...io,
      open(path, options) {
        const file = io.open(path, options);
        open.add(file);
        const close = file.close.bind(file);
        file.close = () => {
          if (open.delete(file)) close();
        };
        const sync = file.sync.bind(file);
        file.sync = () => {
          const running = sync().finally(() => syncs.delete(running));
          syncs.add(running);
          return running;
        };
        return file;
      },
    },
    async kill() {
      for (const file of [...open]) file.close();
      // A sync that is under way keeps its file open, and with it the lock.
      await Promise.allSettled(syncs);
    },
  };
}

/** Settings of a rig. */
export interface RigOptions {
  io?: Io;
  destination?: string;
  filterCapacity?: number;
  batchCount?: number;
  batchDurationSec?: number;
  syncIntervalMs?: number;
  identity?: IdentityMode;
  atOnce?: CommitOptions["atOnce"];
  /** Names of the watches; one of all namespaces where it is not given. */
  watches?: Omit<WatchState, "position">[];
}

const ALL_NAMESPACES = { server: "https://127.0.0.1:6443", namespace: null, fieldSelector: null };
const FIRST = { rv: "1", witness: null, previous: "1", highest: "1", listOwed: false };

/** A running instance, without its watch. */
export class Rig {
  /** LISTs that were asked for. */
  readonly requests: number[];
  /** What ended the process, had it been one. */
  readonly fatal: unknown[];
  readonly kill: () => Promise<void>;
  readonly #recorder: Recorder;

  private constructor(
    recorder: Recorder,
    parts: { requests: number[]; fatal: unknown[]; kill: () => Promise<void> },
  ) {
    this.#recorder = recorder;
    this.requests = parts.requests;
    this.fatal = parts.fatal;
    this.kill = async () => {
      // Timers die with the process; nothing that they would do may reach the disk.
      recorder.commit.abandonWaits();
      await parts.kill();
    };
  }

  /** Starts as the program does. */
  static async start(folder: string, options: RigOptions = {}): Promise<Rig> {
    const { io, kill } = killable(options.io ?? realIo);
    const requests: number[] = [];
    const fatal: unknown[] = [];
    const recorder = await Recorder.open(io, {
      settings: {
        destination: options.destination ?? `${folder}/events.jsonl`,
        persistencePath: folder,
        filterCapacity: options.filterCapacity ?? 10_000,
        filterErrorRate: 1e-9,
        batchCount: options.batchCount ?? 3,
        batchDurationSec: options.batchDurationSec ?? 3600,
        identity: options.identity ?? "content",
        syncIntervalMs: options.syncIntervalMs ?? 5,
      },
      ...(options.atOnce !== undefined && { atOnce: options.atOnce }),
      watches: options.watches ?? [ALL_NAMESPACES],
      pid: Deno.pid,
      askForList: (request) => requests.push(request),
      onFatal: (error) => fatal.push(error),
    });
    return new Rig(recorder, { requests, fatal, kill });
  }

  get commit(): Commit {
    return this.#recorder.commit;
  }

  get ring(): Ring {
    return this.#recorder.ring;
  }

  get report(): RecoveryReport {
    return this.#recorder.recovered;
  }

  /** Where the watches stood at the start. */
  get positions(): (Position | null)[] {
    return this.#recorder.positions;
  }

  /** Deals with a batch of these lines. @throws what ended the process meanwhile */
  async feed(lines: string[], positions: Position[] = [FIRST]): Promise<void> {
    const events = batchOf(lines);
    await this.#until((done) => this.#recorder.take({ events, positions }, done));
  }

  /** A LIST that was asked for is complete. */
  async listed(request: number): Promise<void> {
    this.#recorder.listed(request);
    await this.#until((done) => this.#recorder.take({ events: null, positions: [null] }, done));
  }

  /** Stops as the program does. */
  async stop(): Promise<void> {
    const error = await this.#recorder.stop();
    if (error !== null) throw error;
  }

  async #until(begin: (done: () => void) => void): Promise<void> {
    let isDone = false;
    const earlier = this.fatal.length;
    begin(() => isDone = true);
    while (!isDone) {
      if (this.fatal.length > earlier) throw this.fatal[earlier];
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/** The newest checkpoint of a state folder. */
export function storedCheckpoint(folder: string): Checkpoint | null {
  const path = `${folder}/checkpoint`;
  const file = realIo.open(path, { mode: "read" });
  try {
    return readSlots(file, path).latest;
  } finally {
    file.close();
  }
}

/** The lines of a file; an unfinished last one is an error. */
export function linesOf(path: string): string[] {
  const text = Deno.readTextFileSync(path);
  if (text !== "" && !text.endsWith("\n")) throw new Error(`${path} ends in an unfinished line`);
  return text.split("\n").slice(0, -1);
}
