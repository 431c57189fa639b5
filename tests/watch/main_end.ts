/**
 * Main's end of a watch session, for tests: deals with batches, gives buffers back, and keeps
 * what it was told. In this process, but with messages and buffers moved as between isolates.
 */

import { CLIENT_TIMES, type ClientTimes } from "../../lib/api_client.ts";
import { BatchReader } from "../../lib/batch.ts";
import { BatchPool } from "../../lib/batch_pool.ts";
import type { Gap } from "../../lib/gap.ts";
import { identityHex } from "../../lib/identity.ts";
import {
  type BatchPlace,
  type Credentials,
  type FromWatch,
  KEY_LANES,
  PLAIN_LINE,
  type Position,
  type ToWatch,
  type WatchSpec,
} from "../../lib/protocol.ts";
import type { PulseReport } from "../../lib/pulse.ts";
import { WATCH_TIMES, type WatchTimes } from "../../lib/watch_context.ts";
import { WatchSession } from "../../lib/watch_session.ts";
import { until } from "../fake/testing.ts";

/** Nobody, over plain HTTP. */
export const NO_CREDENTIALS: Credentials = {
  caCerts: [],
  cert: null,
  key: null,
  authorization: null,
};

/** Times of the shipped order of magnitude relative to each other, but a test's length. */
export const SHORT: WatchTimes = {
  ...WATCH_TIMES,
  backoff: { firstMs: 20, maxMs: 160, resetMs: 60_000 },
  listIntervalMs: 0,
  listPageEvents: 3,
  listSilenceBytes: 1,
  listSilenceMs: 500,
  watchGraceMs: 500,
  watchSecondsMax: 60,
  watchSecondsMin: 60,
  watchShortMs: 100,
  witnessMs: 300,
};

/** How a session is to be, where it differs. */
export interface EndOptions {
  watches?: WatchSpec[];
  times?: Partial<WatchTimes>;
  clientTimes?: Partial<ClientTimes>;
  credentials?: Credentials;
  buffers?: number;
  start?: Partial<Pick<Extract<ToWatch, { type: "start" }>, "identity" | "bothIdentities">>;
}

/** A watch of all namespaces that goes on from a position. */
export function watchFrom(position: Position | null): WatchSpec {
  return { namespace: null, fieldSelector: null, position };
}

/** One event as it came in a batch. */
export interface MetEvent {
  line: string;
  /** Hex of all lanes. */
  key: string;
}

/** See the head of this file. */
export class MainEnd {
  readonly events: MetEvent[] = [];
  readonly batches: number[] = [];
  /** After each batch dealt with: the positions that may be remembered then. */
  readonly positions: (Position | null)[][] = [];
  readonly logs: string[] = [];
  readonly listed: number[] = [];
  readonly gaps: Gap[] = [];
  readonly pulses: PulseReport[] = [];
  connected = 0;
  unauthorized = 0;
  /** Credentials to answer an "unauthorized" with; a function makes them anew each time. */
  renewed: Credentials | (() => Credentials) | null = null;
  /** While true, batches are left where they are, as by a full disk. */
  isHolding = false;
  readonly #pool: BatchPool;
  readonly #session: WatchSession;
  readonly #inbox: FromWatch[] = [];
  readonly #done: Promise<void>;
  readonly #channel = new MessageChannel();

  constructor(server: string, options: EndOptions = {}) {
    this.#pool = BatchPool.make(options.buffers ?? 4);
    // A message takes its way through the event loop, as between isolates.
    this.#channel.port1.onmessage = ({ data }: MessageEvent<FromWatch>) => this.#receive(data);
    this.#session = new WatchSession({
      type: "start",
      server,
      identity: "content",
      bothIdentities: false,
      line: PLAIN_LINE,
      credentials: options.credentials ?? NO_CREDENTIALS,
      watches: options.watches ?? [watchFrom(null)],
      pool: this.#pool.memory,
      ...options.start,
    }, {
      post: (message, transfer) => this.#channel.port2.postMessage(message, transfer),
      times: { ...SHORT, ...options.times },
      clientTimes: { ...CLIENT_TIMES, ...options.clientTimes },
    });
    this.#done = this.#session.done();
  }

  /** Messages that wait while batches are held. */
  get waiting(): number {
    return this.#inbox.length;
  }

  /** Names of the events met, in order. */
  get names(): string[] {
    return this.events.map(({ line }) => JSON.parse(line).metadata.name);
  }

  /** The resourceVersions of the events met, in order. */
  get versions(): string[] {
    return this.events.map(({ line }) => JSON.parse(line).metadata.resourceVersion);
  }

  /** Where the first watch stands, as far as main may know. */
  get position(): Position | null {
    return this.positions.at(-1)?.[0] ?? null;
  }

  /** Whether a LIST is complete and nothing is owed. */
  get isSettled(): boolean {
    return this.position !== null && !this.position.listOwed;
  }

  /** Log lines that contain a text. */
  logged(text: string): string[] {
    return this.logs.filter((line) => line.includes(text));
  }

  /** Deals with what was left. */
  release(): void {
    this.isHolding = false;
    this.#work();
  }

  /** Posts to the session. */
  send(message: Exclude<ToWatch, { type: "start" }>): void {
    this.#session.receive(message);
  }

  /** Ends the session; settles when nothing of it is left. */
  async stop(): Promise<void> {
    this.#session.receive({ type: "stop" });
    await this.#done;
    // Deno 2.8.3 leaves a read under way until the server's FIN has come; a test must not leave it.
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.#channel.port1.close();
    this.#channel.port2.close();
  }

  #receive(message: FromWatch): void {
    switch (message.type) {
      case "log":
        this.logs.push(`${message.level} ${message.text}`);
        return;
      case "gap":
        this.gaps.push(message.gap);
        return;
      case "pulse":
        this.pulses.push(message.report);
        return;
      case "connected":
        this.connected++;
        return;
      case "unauthorized":
        this.unauthorized++;
        if (this.renewed !== null) {
          const credentials = typeof this.renewed === "function" ? this.renewed() : this.renewed;
          this.send({ type: "credentials", credentials });
        }
        return;
      default:
        this.#inbox.push(message);
        if (!this.isHolding) this.#work();
    }
  }

  #work(): void {
    for (let message = this.#inbox.shift(); message; message = this.#inbox.shift()) {
      if (message.type === "listed") this.listed.push(message.request);
      if (message.type !== "batch") continue;
      if (message.place !== null) this.#deal(message.place);
      this.positions.push(message.positions);
    }
  }

  #deal(place: BatchPlace): void {
    const batch = new BatchReader(this.#pool, place);
    const decoder = new TextDecoder("utf-8", { fatal: true });
    for (let index = 0; index < batch.count; index++) {
      const line = decoder.decode(batch.bytes.subarray(batch.start(index), batch.end(index)));
      const key = identityHex(batch.keys.subarray(KEY_LANES * index, KEY_LANES * (index + 1)));
      this.events.push({ line, key });
    }
    this.batches.push(batch.count);
    if (this.#pool.free(place.buffer)) this.#session.receive({ type: "freed" });
  }
}

/** Runs a test with a session that is ended whatever happens. */
export async function withEnd(
  server: string,
  options: EndOptions,
  test: (end: MainEnd) => Promise<void>,
): Promise<void> {
  const end = new MainEnd(server, options);
  try {
    await test(end);
  } catch (error) {
    // What it said tells more than a deadline that passed.
    console.log(error, end.logs.join("\n"));
    throw error;
  } finally {
    await end.stop();
  }
}

/** Settles when that many events have been met. */
export async function untilMet(end: MainEnd, count: number): Promise<void> {
  await until(() => end.events.length >= count);
}
