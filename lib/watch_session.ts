/**
 * Everything of the watch isolate but the isolate: all watches with their one batch and one client,
 * driven by the messages of main (lib/protocol.ts).
 */

import { ApiClient, CLIENT_TIMES, type ClientTimes } from "./api_client.ts";
import { type Clock, realClock } from "./backoff.ts";
import { BatchWriter } from "./batch.ts";
import { BatchPool } from "./batch_pool.ts";
import { messageOf } from "./errors.ts";
import { EventModule } from "./event_module.ts";
import { WatchPosition } from "./position.ts";
import { eventsPath, type FromWatch, type ToWatch, type WatchSpec } from "./protocol.ts";
import { Pulse } from "./pulse.ts";
import { Reflector } from "./reflector.ts";
import { Stopped, WATCH_TIMES, type WatchContext, type WatchTimes } from "./watch_context.ts";

/** What a session needs of the outside. */
export interface SessionOptions {
  /** Posts to main; buffers of `transfer` are moved. */
  post: (message: FromWatch, transfer: ArrayBuffer[]) => void;
  clock?: Clock;
  times?: WatchTimes;
  clientTimes?: ClientTimes;
}

/** See the head of this file. */
export class WatchSession {
  readonly #options: SessionOptions;
  readonly #stop = new AbortController();
  readonly #done: Promise<unknown>;
  readonly #client: ApiClient;
  readonly #writer: BatchWriter;
  readonly #module: EventModule | null;
  readonly #positions: WatchPosition[];
  readonly #clock: Clock;
  readonly #pulse: Pulse;
  readonly #reflectors: Reflector[];
  #isConnected = false;

  /** Starts to list and watch. */
  constructor(start: Extract<ToWatch, { type: "start" }>, options: SessionOptions) {
    const { server, credentials, pool, identity, watches } = start;
    this.#options = options;
    this.#client = new ApiClient(
      server,
      credentials,
      (areRefused) => this.#post({ type: "unauthorized", areRefused }),
      options.clientTimes ?? CLIENT_TIMES,
      start.hasProxy ?? false,
    );
    const outlet = {
      post: (message: FromWatch) => this.#post(message),
      positions: () => this.#positions.map((position) => position.snapshot()),
    };
    this.#module = EventModule.make();
    this.#writer = new BatchWriter(outlet, new BatchPool(pool), identity, this.#module?.draft);
    this.#clock = options.clock ?? realClock;
    this.#pulse = new Pulse(this.#clock, (report) => this.#post({ type: "pulse", report }));
    this.#positions = watches.map(({ position }) => new WatchPosition(position));
    this.#reflectors = watches.map((spec, index) =>
      new Reflector(this.#context(start, spec, this.#positions[index]!))
    );
    this.#done = Promise.all(this.#reflectors.map((reflector) => reflector.run()));
  }

  /** Settles after a stop; rejects where an assumption of ours does not hold. */
  async done(): Promise<void> {
    await this.#done;
    this.#client.close();
  }

  /** Takes a message of main other than "start". */
  receive(message: Exclude<ToWatch, { type: "start" }>): void {
    switch (message.type) {
      case "credentials":
        try {
          return this.#client.setCredentials(message.credentials);
        } catch (error) {
          const text = `The new certificates cannot be used; the old ones stay: ${
            messageOf(error)
          }`;
          return this.#post({ type: "log", level: "ERROR", text });
        }
      case "freed":
        return this.#writer.freed();
      case "list":
        return void this.#list(message.request);
      case "stop":
        this.#stop.abort();
        this.#pulse.stop();
        return this.#writer.close();
      default:
        return message satisfies never;
    }
  }

  /** One complete LIST of all watches, each of which is past it then. */
  async #list(request: number): Promise<void> {
    try {
      await Promise.all(this.#reflectors.map((reflector) => reflector.list()));
    } catch (error) {
      if (error instanceof Stopped) return;
      throw error;
    }
    this.#writer.flush();
    this.#post({ type: "listed", request });
  }

  #post(message: FromWatch): void {
    // After a stop main has closed its files; what it has not dealt with comes again next time.
    if (this.#stop.signal.aborted) return;
    const long = message.type === "batch" ? message.place?.long ?? null : null;
    this.#options.post(message, long === null ? [] : [long]);
  }

  #context(
    start: Extract<ToWatch, { type: "start" }>,
    { namespace, fieldSelector }: WatchSpec,
    position: WatchPosition,
  ): WatchContext {
    const path = eventsPath(namespace);
    return {
      client: this.#client,
      writer: this.#writer,
      module: this.#module,
      position,
      pulse: this.#pulse.watch(position),
      clock: this.#clock,
      times: this.#options.times ?? WATCH_TIMES,
      path,
      namespace,
      fieldSelector,
      identity: start.identity,
      bothIdentities: start.bothIdentities,
      line: start.line,
      stop: this.#stop.signal,
      log: (level, text) => this.#post({ type: "log", level, text }),
      onGap: (gap) => this.#post({ type: "gap", gap: { path, ...gap } }),
      onConnected: () => {
        if (this.#isConnected) return;
        this.#isConnected = true;
        this.#post({ type: "connected" });
      },
    };
  }
}
