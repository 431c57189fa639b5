/** The load under which the program is killed: every kind of write that components make. */

import { contentOf } from "../fake/content.ts";
import type { EventFields, EventWriter, KubeEvent } from "./event_writer.ts";

const WRITERS = 8;
/** So many events of a writer live on before the older ones are deleted. */
const ALIVE = 30;
/** The span of {@linkcode Load.slowestPerSecond}. */
const SPAN_SECONDS = 10;

/** Writes from the first moment on, until it is stopped. */
export class Load {
  /** Content of all that the API server acknowledged, and when it first did, ms since 1970. */
  readonly expected = new Map<string, number>();
  readonly #writer: EventWriter;
  readonly #namespace: string;
  readonly #startMs = performance.now();
  readonly #working: Promise<unknown>;
  /** Writes in each second. */
  readonly #seconds: number[] = [];
  #isStopped = false;

  constructor(writer: EventWriter, namespace: string) {
    this.#writer = writer;
    this.#namespace = namespace;
    this.#working = Promise.all(Array.from({ length: WRITERS }, (_, id) => this.#write(id)));
    this.#working.catch(() => this.#isStopped = true); // Told by stop().
  }

  /** Ends it. @throws what one of the writers failed with */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#working;
  }

  /** Whether it was stopped, or a writer failed: {@linkcode Load.stop} says how. */
  get isOver(): boolean {
    return this.#isStopped;
  }

  /** Writes that the API server acknowledged: creates, updates and deletes. */
  get writes(): number {
    return this.#seconds.reduce(sum, 0);
  }

  /** Of all its time. */
  get writesPerSecond(): number {
    return this.writes / this.#seconds.length;
  }

  /** In its worst 10 s, the last second left out because it is none. */
  get slowestPerSecond(): number {
    const seconds = this.#seconds.slice(0, -1);
    const span = Math.min(SPAN_SECONDS, seconds.length);
    const spans = seconds.map((_, first) => seconds.slice(first, first + span))
      .filter(({ length }) => length === span);
    return Math.min(...spans.map((span) => span.reduce(sum, 0) / span.length));
  }

  async #write(id: number): Promise<void> {
    const alive: string[] = [];
    for (let n = 0; !this.#isStopped; n++) {
      const name = `writer-${id}-${n}.1`;
      await (n % 4 === 1 ? this.#series(name, 1 + n % 3) : this.#counted(name, 1 + n % 4, n));
      if (n % 10 !== 0) alive.push(name); // The others stay to the end, as what LISTs show.
      if (alive.length > ALIVE) await this.#delete(alive.shift()!);
    }
  }

  /** An event of core/v1 whose count goes up. */
  async #counted(name: string, counts: number, n: number): Promise<void> {
    const second = (n: number) => `2026-01-01T00:00:0${n}Z`;
    const event = { name, firstTimestamp: second(1), lastTimestamp: second(1) };
    await this.#create(event);
    for (let count = 2; count <= counts; count++) {
      await this.#patch(name, { count, lastTimestamp: second(count) });
    }
    // What follows is no news.
    if (n % 6 === 0) await this.#patch(name, { metadata: { annotations: { note: `${n}` } } });
    if (n % 9 === 0) {
      await this.#delete(name);
      await this.#create(event);
    }
  }

  /** An event of events.k8s.io/v1 whose series goes up. */
  async #series(name: string, counts: number): Promise<void> {
    this.#note(coreForm(await this.#writer.createSeriesEvent(this.#namespace, { name })));
    for (let count = 2; count <= counts; count++) {
      this.#note(coreForm(await this.#writer.patchSeries(this.#namespace, name, count)));
    }
  }

  async #create(event: EventFields): Promise<void> {
    this.#note(await this.#writer.createEvent(this.#namespace, event));
  }

  async #patch(name: string, patch: EventFields): Promise<void> {
    this.#note(await this.#writer.patchEvent(this.#namespace, name, patch));
  }

  async #delete(name: string): Promise<void> {
    await this.#writer.deleteEvent(this.#namespace, name);
    this.#written();
  }

  #written(): void {
    const second = Math.floor((performance.now() - this.#startMs) / 1000);
    while (this.#seconds.length <= second) this.#seconds.push(0);
    this.#seconds[second]!++;
  }

  #note(event: KubeEvent): void {
    this.#written();
    const content = contentOf(event);
    if (!this.expected.has(content)) this.expected.set(content, Date.now());
  }
}

const sum = (a: number, b: number) => a + b;

/** Names of an event's fields in events.k8s.io/v1, and in core/v1. */
const CORE_NAMES: Readonly<Record<string, string>> = {
  regarding: "involvedObject",
  note: "message",
  reportingController: "reportingComponent",
  deprecatedSource: "source",
  deprecatedFirstTimestamp: "firstTimestamp",
  deprecatedLastTimestamp: "lastTimestamp",
  deprecatedCount: "count",
};

/** An event that was answered as events.k8s.io/v1 shows it, as core/v1 does. */
function coreForm(event: KubeEvent): KubeEvent {
  const entries = Object.entries(event).map(([name, value]) => [CORE_NAMES[name] ?? name, value]);
  return Object.fromEntries(entries);
}
