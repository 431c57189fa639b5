/**
 * The shipped ring, commit, recovery and pipeline on a real folder, without a watch: events are fed
 * as if they had come in a batch. A crash is simulated by closing every file and forgetting all.
 */

import { CheckpointFile } from "../../lib/checkpoint.ts";
import { Commit } from "../../lib/commit.ts";
import { openDestination } from "../../lib/destination.ts";
import type { Io, IoFile } from "../../lib/io.ts";
import { LineKeys } from "../../lib/line_keys.ts";
import { type EventBatch, Pipeline } from "../../lib/pipeline.ts";
import type { IdentityMode } from "../../lib/protocol.ts";
import { realIo } from "../../lib/real_io.ts";
import { recover, type RecoveryReport } from "../../lib/recovery.ts";
import { Refresh } from "../../lib/refresh.ts";
import { Ring } from "../../lib/ring.ts";

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
}

/** A running instance, without its watch. */
export class Rig {
  readonly commit: Commit;
  readonly ring: Ring;
  readonly pipeline: Pipeline;
  readonly refresh: Refresh;
  readonly report: RecoveryReport;
  /** LISTs that the refresh asked for. */
  readonly requests: number[];
  /** What ended the process, had it been one. */
  readonly fatal: unknown[];
  readonly kill: () => Promise<void>;
  readonly #checkpoints: CheckpointFile;

  private constructor(parts: {
    commit: Commit;
    ring: Ring;
    pipeline: Pipeline;
    refresh: Refresh;
    report: RecoveryReport;
    requests: number[];
    fatal: unknown[];
    kill: () => Promise<void>;
    checkpoints: CheckpointFile;
  }) {
    this.commit = parts.commit;
    this.ring = parts.ring;
    this.pipeline = parts.pipeline;
    this.refresh = parts.refresh;
    this.report = parts.report;
    this.requests = parts.requests;
    this.fatal = parts.fatal;
    this.#checkpoints = parts.checkpoints;
    this.kill = async () => {
      // Timers die with the process; nothing that they would do may reach the disk.
      parts.refresh.stop();
      parts.commit.abandonWaits();
      await parts.kill();
    };
  }

  /** Starts as the program does: ring, recovery, destination, checkpoint. */
  static async start(folder: string, options: RigOptions = {}): Promise<Rig> {
    const { io, kill } = killable(options.io ?? realIo);
    const identity = options.identity ?? "content";
    const checkpoints = CheckpointFile.open(io, folder);
    const ring = Ring.open(io, {
      folder,
      identity,
      filterCapacity: options.filterCapacity ?? 10_000,
      filterErrorRate: 1e-9,
      batchCount: options.batchCount ?? 3,
      batchDurationSec: options.batchDurationSec ?? 3600,
    });
    const requests: number[] = [];
    const fatal: unknown[] = [];
    const report = await recover(io, ring, checkpoints, { folder, identity });
    const refresh = new Refresh(io, ring, (request) => requests.push(request));
    const commit = await Commit.start(io, ring, checkpoints, {
      identity,
      syncIntervalMs: options.syncIntervalMs ?? 5,
      watches: [{ server: "https://127.0.0.1:6443", namespace: null, fieldSelector: null }],
      positions: [null],
      openDestination: () => openDestination(io, options.destination ?? `${folder}/events.jsonl`),
      onFatal: (error) => fatal.push(error),
      onGenerationClosed: () => refresh.consider(),
    });
    const pipeline = new Pipeline(io, commit, refresh, identity);
    return new Rig({ commit, ring, pipeline, refresh, report, requests, fatal, kill, checkpoints });
  }

  /** Deals with a batch of these lines. */
  async feed(lines: string[]): Promise<void> {
    await this.pipeline.deal(batchOf(lines));
    this.commit.dealt([{ rv: "1", witness: null, previous: "1", listOwed: false }]);
  }

  /** Stops as the program does. */
  async stop(): Promise<void> {
    this.refresh.stop();
    await this.commit.stop();
    this.ring.release();
    this.#checkpoints.release();
  }
}

/** The lines of a file; an unfinished last one is an error. */
export function linesOf(path: string): string[] {
  const text = Deno.readTextFileSync(path);
  if (text !== "" && !text.endsWith("\n")) throw new Error(`${path} ends in an unfinished line`);
  return text.split("\n").slice(0, -1);
}
