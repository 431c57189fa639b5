/**
 * The metrics in the text format of Prometheus: docs/METRICS.md lists them all, and
 * tests/program/metrics_test.ts holds the two to each other.
 *
 * A registry of its own, without the library's default metrics: those read /proc, which is out of
 * reach once privileges were given up. Values are taken when they are asked for; only durations are
 * observed as they happen.
 */

import process from "node:process";
import { log } from "./log.ts";
import type { PipelineCounts } from "./pipeline.ts";
import { Counter, Gauge, Histogram, Registry } from "./prom_client.ts";
import { type PulseReport, VERBS } from "./pulse.ts";
import { VERSION } from "./version.ts";

/** What a scrape shows. Durations are ms. */
export interface Snapshot {
  isHealthy: boolean;
  isReady: boolean;
  counts: Readonly<PipelineCounts>;
  gaps: number;
  pulse: PulseReport;
  listsOwed: number;
  byteAgeMs: number;
  silenceMs: number;
  eventAgeMs: number;
  syncAgeMs: number;
  checkpointAgeMs: number;
  commitLagMs: number;
  blockedMs: number;
  generations: number;
  keys: number;
  /** Of the current generation, 0 to 1. */
  fill: number;
  falsePositiveRate: number;
  filterErrorRate: number;
  damaged: number;
}

const PREFIX = "kube_event_pipe_";

/** Upper bounds of durations on a disk, seconds. */
const DISK_SECONDS = [
  ...[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05],
  ...[0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
];
/** Upper bounds of delays, seconds: most timestamps are whole seconds. */
const DELAY_SECONDS = [0.1, 0.5, 1, 1.5, 2, 5, 10, 30, 60, 300, 1800];

/** One value of a metric, with its labels. */
type Value = [labels: Record<string, string>, value: number];

/** A metric that is read when it is asked for. */
interface Source {
  metric: Counter | Gauge;
  read: (now: Snapshot) => Value[];
}

/** See the head of this file. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #sources: Source[] = [];
  readonly #snapshot: () => Snapshot;
  readonly #delay: Histogram;
  readonly #sync: Histogram;
  readonly #checkpoint: Histogram;

  /** @param snapshot called for each scrape */
  constructor(snapshot: () => Snapshot) {
    this.#snapshot = snapshot;
    this.#addEvents();
    this.#delay = this.#histogram(
      "event_delay_seconds",
      "From an event's own latest timestamp to its line; sampled",
      DELAY_SECONDS,
    );
    this.#addWatches();
    this.#addCommits();
    const duration = (name: string, help: string) => this.#histogram(name, help, DISK_SECONDS);
    this.#sync = duration("sync_duration_seconds", "Of each sync of the destination");
    this.#checkpoint = duration("checkpoint_duration_seconds", "Of each checkpoint");
    this.#addRing();
    this.#addProcess();
  }

  /** What to tell of the answer's type. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics as they are now. */
  text(): Promise<string> {
    const now = this.#snapshot();
    for (const { metric, read } of this.#sources) {
      metric.reset();
      for (const [labels, value] of read(now)) metric.inc(labels, value);
    }
    return this.#registry.metrics();
  }

  /** A line was written this long, ms, after its event. */
  delayed(ms: number): void {
    this.#delay.observe(ms / 1000);
  }

  /** A sync took so many ms. */
  synced(ms: number): void {
    this.#sync.observe(ms / 1000);
  }

  /** A checkpoint took so many ms. */
  checkpointed(ms: number): void {
    this.#checkpoint.observe(ms / 1000);
  }

  #addEvents(): void {
    const count = (name: string, help: string, read: (counts: PipelineCounts) => number) =>
      this.#counter(name, help, ({ counts }) => read(counts));
    count("events_seen_total", "Events met in LIST or WATCH", ({ met }) => met);
    count("events_written_total", "New events: lines appended", ({ written }) => written);
    count("events_known_total", "Known events: left out", ({ met, written }) => met - written);
    count("written_bytes_total", "Bytes of the lines appended", ({ bytes }) => bytes);
    this.#labelled(
      "destination_errors_total",
      "Tries to write that failed",
      ["reason"],
      (now) => labelled("reason", now.counts.failures),
    );
  }

  #addWatches(): void {
    const age = (name: string, help: string, read: (now: Snapshot) => number) =>
      this.#gauge(name, help, (now) => read(now) / 1000);
    this.#labelled(
      "received_bytes_total",
      "Bytes read from the API server",
      ["verb"],
      (now) => labelled("verb", now.pulse.receivedBytes),
    );
    this.#labelled(
      "lists_started_total",
      "LISTs begun",
      ["reason"],
      (now) => labelled("reason", now.pulse.listsStarted),
    );
    this.#counter(
      "lists_completed_total",
      "LISTs that were complete",
      ({ pulse }) => pulse.listsCompleted,
    );
    this.#gauge("watches", "Watches that there should be", ({ pulse }) => pulse.watches.length);
    this.#gauge(
      "watches_open",
      "Watches that are open",
      ({ pulse }) => pulse.watches.filter(({ isOpen }) => isOpen).length,
    );
    this.#counter(
      "watches_started_total",
      "WATCHes that the server accepted",
      ({ pulse }) => pulse.watchesStarted,
    );
    this.#labelled(
      "watches_ended_total",
      "WATCHes that ended",
      ["reason"],
      (now) => labelled("reason", now.pulse.watchesEnded),
    );
    this.#labelled(
      "api_failures_total",
      "Failures waited out",
      ["verb", "reason"],
      (now) =>
        VERBS.flatMap((verb) =>
          labelled("reason", now.pulse.failures[verb]).map((
            [labels, value],
          ): Value => [{ verb, ...labels }, value])
        ),
    );
    this.#gauge("lists_owed", "Watches whose continuity is in doubt", ({ listsOwed }) => listsOwed);
    this.#counter("gaps_total", "Times that the server can no longer show", ({ gaps }) => gaps);
    age("last_byte_age_seconds", "Since any byte of the API server", ({ byteAgeMs }) => byteAgeMs);
    age("last_event_age_seconds", "Since events were met", ({ eventAgeMs }) => eventAgeMs);
    age(
      "watch_silence_seconds",
      "Since a sign of life of the most silent watch",
      (now) => now.silenceMs,
    );
  }

  #addCommits(): void {
    const age = (name: string, help: string, read: (now: Snapshot) => number) =>
      this.#gauge(name, help, (now) => read(now) / 1000);
    age("last_sync_age_seconds", "Since lines last became durable", ({ syncAgeMs }) => syncAgeMs);
    age(
      "checkpoint_age_seconds",
      "Since the last checkpoint",
      ({ checkpointAgeMs }) => checkpointAgeMs,
    );
    age(
      "commit_lag_seconds",
      "For how long something has waited for its commit",
      (now) => now.commitLagMs,
    );
    age(
      "destination_blocked_seconds",
      "For how long events wait and no line goes out",
      (now) => now.blockedMs,
    );
  }

  #addRing(): void {
    this.#gauge("generations", "Generations in the ring", ({ generations }) => generations);
    this.#gauge("ring_keys", "Keys in all generations", ({ keys }) => keys);
    this.#gauge(
      "generation_fill_ratio",
      "Keys of the current generation, of its capacity",
      (now) => now.fill,
    );
    this.#gauge(
      "false_positive_rate",
      "Chance that a new event is taken for a known one",
      (now) => now.falsePositiveRate,
    );
    this.#gauge("filter_error_rate", "The bound that was asked for", (now) => now.filterErrorRate);
    this.#counter(
      "damaged_sectors_total",
      "Places of the ring found damaged",
      (now) => now.damaged,
    );
  }

  #addProcess(): void {
    this.#labelled(
      "log_messages_total",
      "Lines of the log",
      ["level"],
      () => labelled("level", log.counts),
    );
    this.#gauge("healthy", "1 where /healthz says so", ({ isHealthy }) => Number(isHealthy));
    this.#gauge("ready", "1 where /readyz says so", ({ isReady }) => Number(isReady));
    const about = { version: VERSION, deno: Deno.version.deno };
    const labelNames = Object.keys(about);
    const info = { name: `${PREFIX}build_info`, help: "What runs", labelNames };
    this.#add(new Gauge({ ...info, registers: [this.#registry] }), () => [[about, 1]]);
    const own = { registers: [this.#registry] };
    const cpu = { name: "process_cpu_seconds_total", help: "User and system time", ...own };
    this.#add(new Counter(cpu), () => {
      const { user, system } = process.cpuUsage();
      return [[{}, (user + system) / 1e6]];
    });
    const memory = { name: "process_resident_memory_bytes", help: "Resident memory", ...own };
    this.#add(new Gauge(memory), () => [[{}, Deno.memoryUsage().rss]]);
    const start = { name: "process_start_time_seconds", help: "Start, since 1970", ...own };
    this.#add(new Gauge(start), () => [[{}, performance.timeOrigin / 1000]]);
  }

  #counter(name: string, help: string, read: (now: Snapshot) => number): void {
    this.#labelled(name, help, [], (now) => [[{}, read(now)]]);
  }

  #gauge(name: string, help: string, read: (now: Snapshot) => number): void {
    const gauge = new Gauge({ name: PREFIX + name, help, registers: [this.#registry] });
    this.#add(gauge, (now) => [[{}, read(now)]]);
  }

  #labelled(name: string, help: string, labelNames: string[], read: Source["read"]): void {
    const options = { name: PREFIX + name, help, labelNames, registers: [this.#registry] };
    this.#add(new Counter(options), read);
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: PREFIX + name, help, buckets, registers: [this.#registry] });
  }

  #add(metric: Counter | Gauge, read: Source["read"]): void {
    this.#sources.push({ metric, read });
  }
}

/** The counts of a record, each with its name as the label. */
function labelled(label: string, counts: Readonly<Record<string, number>>): Value[] {
  return Object.entries(counts).map(([name, count]) => [{ [label]: name }, count]);
}
