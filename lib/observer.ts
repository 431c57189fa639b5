/**
 * What the process knows of itself: joins what the watch isolate tells with what the recorder
 * knows, into the facts of a verdict (lib/health.ts) and the numbers of a scrape (lib/metrics.ts).
 *
 * It is always there, since it costs nothing until it is asked.
 */

import { DelaySampler } from "./event_delay.ts";
import { type HealthFacts, unhealthyReason, unreadyReason } from "./health.ts";
import type { Io } from "./io.ts";
import { CHECKPOINT_MS } from "./limits.ts";
import type { Snapshot } from "./metrics.ts";
import type { ObserveServer } from "./observe_server.ts";
import { eventsPath } from "./protocol.ts";
import { emptyReport, type PulseReport } from "./pulse.ts";
import type { Recorder } from "./recorder.ts";
import type { Settings } from "./settings.ts";

/** See the head of this file. */
export class Observer {
  readonly #io: Io;
  readonly #recorder: Recorder;
  readonly #settings: Settings;
  /** Paths of the collections that are watched. */
  readonly #paths: string[];
  /** Which of them had nothing owed once, as far as main has dealt with their events. */
  readonly #complete: boolean[];
  #report: PulseReport;
  #reportedMs: number;

  constructor(
    io: Io,
    recorder: Recorder,
    settings: Settings,
    watches: readonly { namespace: string | null }[],
  ) {
    this.#io = io;
    this.#recorder = recorder;
    this.#settings = settings;
    this.#paths = watches.map(({ namespace }) => eventsPath(namespace));
    this.#complete = watches.map(() => false);
    this.#report = emptyReport(watches.length);
    this.#reportedMs = io.monotonicMs();
  }

  /** From here on the server shows all that is known here. */
  async serve(server: ObserveServer): Promise<void> {
    // Whoever does not want metrics does not pay for the library.
    const { Metrics } = await import("./metrics.ts");
    const { commit } = this.#recorder;
    const metrics = new Metrics(() => this.snapshot());
    const delays = new DelaySampler(this.#io, (ms) => metrics.delayed(ms));
    commit.rhythms.sync.onDone = (ms) => metrics.synced(ms);
    commit.rhythms.checkpoint.onDone = (ms) => metrics.checkpointed(ms);
    this.#recorder.onWritten((line) => {
      // What the first LIST shows happened up to an hour ago, and says nothing of us.
      if (!this.#complete.includes(false)) delays.written(line);
    });
    server.show({
      unhealthy: () => this.unhealthy(),
      unready: () => this.unready(),
      metrics: async () => ({ text: await metrics.text(), contentType: metrics.contentType }),
    });
  }

  /** Takes what the watch isolate tells. */
  take(report: PulseReport): void {
    this.#report = report;
    this.#reportedMs = this.#io.monotonicMs();
    this.#noteComplete();
  }

  /** Why the program is not healthy, in one sentence; null = it is. */
  unhealthy(): string | null {
    return unhealthyReason(this.#facts(), this.#afterMs);
  }

  /** Why it is not ready, or not healthy, in one sentence; null = it is both. */
  unready(): string | null {
    return unreadyReason(this.#facts(), this.#afterMs);
  }

  /** The numbers of a scrape, as of now. */
  snapshot(): Snapshot {
    const { commit, ring, counts, gaps, eventAgeMs, blockedMs } = this.#recorder;
    const facts = this.#facts();
    const newest = ring.generations.at(-1);
    return {
      isHealthy: unhealthyReason(facts, this.#afterMs) === null,
      isReady: unreadyReason(facts, this.#afterMs) === null,
      counts,
      gaps,
      pulse: this.#report,
      listsOwed: commit.positions.filter((position) => position?.listOwed !== false).length,
      byteAgeMs: this.#report.byteAgeMs + this.#sinceReportMs,
      silenceMs: Math.max(...facts.watches.map(({ silentMs }) => silentMs)),
      eventAgeMs,
      syncAgeMs: commit.rhythms.sync.ageMs,
      checkpointAgeMs: commit.rhythms.checkpoint.ageMs,
      commitLagMs: Math.max(commit.rhythms.sync.waitedMs, commit.rhythms.checkpoint.waitedMs),
      blockedMs,
      generations: ring.generations.length,
      keys: ring.keys,
      fill: newest === undefined || newest.closed ? 0 : newest.keys / newest.header.capacity,
      falsePositiveRate: ring.falsePositiveRate,
      filterErrorRate: this.#settings.filterErrorRate,
      damaged: ring.damaged,
    };
  }

  get #afterMs(): number {
    return 1000 * this.#settings.unhealthyAfterSec;
  }

  get #sinceReportMs(): number {
    return this.#io.monotonicMs() - this.#reportedMs;
  }

  #facts(): HealthFacts {
    this.#noteComplete();
    const { commit, blockedMs } = this.#recorder;
    const { syncIntervalMs, destination } = this.#settings;
    const sinceReportMs = this.#sinceReportMs;
    return {
      syncLateMs: commit.rhythms.sync.waitedMs - syncIntervalMs,
      checkpointLateMs: commit.rhythms.checkpoint.waitedMs - CHECKPOINT_MS,
      blockedMs,
      destination,
      watches: this.#report.watches.map(({ isOpen, isHeld, silentMs }, index) => ({
        path: this.#paths[index]!,
        isOpen,
        silentMs: isHeld ? 0 : silentMs + sinceReportMs,
        isComplete: this.#complete[index]!,
      })),
    };
  }

  /** The watch isolate may be ahead: what it met is complete once main has dealt with it, too. */
  #noteComplete(): void {
    for (const [index, { isComplete }] of this.#report.watches.entries()) {
      const owesNothing = this.#recorder.commit.positions[index]?.listOwed === false;
      if (isComplete && owesNothing) this.#complete[index] = true;
    }
  }
}
