/**
 * What components write all day: new events, counts, series, changed messages, metadata alone,
 * deletions, the same name again; busy and quiet by turns. All of it is drawn from the seed.
 */

import type { JsonObject } from "../fake/event.ts";
import type { EventStore } from "../fake/events.ts";
import { sampleEvent, sampleSeriesEvent } from "../fake/sample.ts";
import { ApiError } from "../fake/status.ts";
import type { Random } from "../sim/random.ts";

const NAMESPACES = ["default", "shop", "kube-system", "ünïcode"];
/** Writes a second in a phase; 0 is as quiet as a night. */
const RATES = [0, 2, 30, 60, 100, 200];
/** A phase lasts so long, ms. */
const PHASE_MS = { min: 2_000, max: 12_000 };
/** Between two looks at the clock, ms. */
const TICK_MS = 20;
/** More events than this do not live at once: the TTL takes the oldest. */
const ALIVE_MAX = 1_200;

/** What JSON, UTF-8 and naive readers of lines stumble over. */
const ODD_TEXTS = [
  'tab\tquote"backslash\\slash/ <a&b>',
  "line\nfeed\r\ncarriage",
  "separators \u2028 and \u2029, next line \u0085",
  "NUL \u0000 bell \u0007 delete \u007f",
  "emoji 🚀🧑‍🚀, combining e\u0301, right to left \u200fשלום",
  "lone surrogate \ud800 and BOM \ufeff",
  '{"metadata":{"resourceVersion":"1"}}\\n',
];

interface Name {
  namespace: string;
  name: string;
}

/** See the head of this file. */
export class Load {
  /** Writes that went through. */
  writes = 0;
  readonly #store: EventStore;
  readonly #random: Random;
  readonly #alive: Name[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #serial = 0;
  #rate = 0;
  #phaseEndMs = 0;
  #due = 0;
  #lastMs = 0;
  /** Nothing is written for now, but bursts. */
  isHeld = false;

  constructor(store: EventStore, random: Random) {
    this.#store = store;
    this.#random = random;
  }

  /** Writes from now on, until {@linkcode Load.stop}. */
  start(): void {
    this.#lastMs = performance.now();
    this.#phaseEndMs = this.#lastMs;
    this.#tick();
  }

  /** Ends it. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Makes so many events. */
  fill(events: number): void {
    for (let left = events; left > 0; left--) this.#create();
  }

  /** Writes so many at once. */
  burst(writes: number): void {
    for (let left = writes; left > 0; left--) this.#write();
  }

  #tick(): void {
    const nowMs = performance.now();
    if (nowMs >= this.#phaseEndMs) {
      this.#rate = this.#random.pick(RATES);
      this.#phaseEndMs = nowMs + this.#random.integer(PHASE_MS.min, PHASE_MS.max);
    }
    if (!this.isHeld) this.#due += this.#rate * (nowMs - this.#lastMs) / 1000;
    this.#lastMs = nowMs;
    for (; this.#due >= 1; this.#due--) this.#write();
    this.#timer = setTimeout(() => this.#tick(), TICK_MS);
  }

  #write(): void {
    try {
      this.#draw();
      this.writes++;
    } catch (error) {
      // It expired meanwhile, or etcd was put back to a time before it (or after its deletion).
      if (!(error instanceof ApiError) || (error.code !== 404 && error.code !== 409)) throw error;
    }
    if (this.#store.size > ALIVE_MAX) this.#store.expire(this.#store.size - ALIVE_MAX);
  }

  #draw(): void {
    const dice = this.#alive.length < 20 ? 0 : this.#random.next();
    if (dice < 0.4) return this.#create();
    const at = this.#random.integer(0, this.#alive.length - 1);
    const { namespace, name } = this.#alive[at]!;
    if (this.#store.storage.get(`${namespace}/${name}`) === undefined) {
      this.#alive.splice(at, 1);
      return this.#create();
    }
    const store = this.#store;
    if (dice < 0.62) store.repeat(namespace, name, this.#random.integer(1, 3));
    else if (dice < 0.72) store.series(namespace, name, ++this.#serial);
    else if (dice < 0.82) store.patch(namespace, name, { message: this.#message() });
    else if (dice < 0.9) store.annotate(namespace, name, { note: `${++this.#serial}` });
    else if (dice < 0.95) this.#again(namespace, name);
    else {
      store.delete(namespace, name);
      this.#alive.splice(at, 1);
    }
  }

  /** A new name, at times the same in several namespaces. */
  #create(): void {
    const name = `pod-${this.#random.integer(0, 40)}.${++this.#serial}`;
    const first = this.#random.integer(0, NAMESPACES.length - 1);
    const count = this.#random.chance(0.15) ? NAMESPACES.length : 1;
    const fields = { message: this.#message() };
    const make = this.#random.chance(0.3) ? sampleSeriesEvent : sampleEvent;
    for (let i = 0; i < count; i++) {
      const namespace = NAMESPACES[(first + i) % NAMESPACES.length]!;
      this.#store.create(make(namespace, name, fields));
      this.#alive.push({ namespace, name });
    }
  }

  /** Deleted, and made again at once: at times with the very same content, which is no news. */
  #again(namespace: string, name: string): void {
    const { metadata: _, ...body } = this.#store.get(namespace, name);
    this.#store.delete(namespace, name);
    const changed: JsonObject = this.#random.chance(0.5) ? {} : { count: 1, reason: "Again" };
    this.#store.create({ ...body, ...changed, metadata: { name, namespace } });
  }

  #message(): string {
    const serial = ++this.#serial;
    const dice = this.#random.next();
    if (dice < 0.15) return `${serial} ${this.#random.pick(ODD_TEXTS)}`;
    if (dice < 0.155) return `${serial} ${'big ü " '.repeat(this.#random.integer(1_000, 20_000))}`;
    if (dice < 0.3) return `${serial} ${"word ".repeat(this.#random.integer(10, 300))}`;
    return `message ${serial}`;
  }
}
