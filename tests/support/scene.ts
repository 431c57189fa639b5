/**
 * The whole program but its isolates and its command line: the shipped watch session and the
 * shipped recorder on a real folder, in this process and with a test's short times. What it leaves
 * in its file is counted against everything that the fake API server ever stored.
 */

import { assert, assertEquals } from "@std/assert";
import { CLIENT_TIMES, type ClientTimes } from "../../lib/api_client.ts";
import { BatchReader } from "../../lib/batch.ts";
import { BatchPool } from "../../lib/batch_pool.ts";
import type { Gap } from "../../lib/gap.ts";
import type { Io } from "../../lib/io.ts";
import { type FromWatch, PLAIN_LINE, type ToWatch } from "../../lib/protocol.ts";
import { realIo } from "../../lib/real_io.ts";
import { Recorder } from "../../lib/recorder.ts";
import { WATCH_TIMES, type WatchTimes } from "../../lib/watch_context.ts";
import { WatchSession } from "../../lib/watch_session.ts";
import type { FakeApiServer, FakeApiServerOptions } from "../fake/server.ts";
import { linesOf, type Tally, tally, tallyText } from "../fake/tally.ts";
import { withServer } from "../fake/testing.ts";
import { until, withTempFolder } from "./temp.ts";

/**
 * Every wait of the program a fortieth as long, the lengths of watches much shorter: so one second
 * here is most of a minute there.
 */
export const SCENE_TIMES: WatchTimes = {
  ...WATCH_TIMES,
  backoff: { firstMs: 20, maxMs: 750, resetMs: 3000 },
  listAgeMaxMs: 45_000,
  listIntervalMs: 250,
  listPageEvents: 5,
  listSilenceMs: 400,
  watchGraceMs: 200,
  watchSecondsMax: 2,
  watchSecondsMin: 1,
  watchShortMs: 25,
  witnessMs: 125,
};

/** See SCENE_TIMES. */
export const SCENE_CLIENT_TIMES: ClientTimes = { ...CLIENT_TIMES, headerMs: 400 };

/**
 * Most requests in any second of a scene. At the shipped times that is one a second; a loop without
 * a pause makes thousands.
 */
export const REQUESTS_A_SECOND_MAX = 40;

/** How a scene is to be, where it differs. */
export interface SceneOptions {
  server?: FakeApiServerOptions;
  times?: Partial<WatchTimes>;
  clientTimes?: Partial<ClientTimes>;
  /** What the recorder's files and wall clock are. */
  io?: Io;
}

/** See the head of this file. */
export class Scene {
  readonly server: FakeApiServer;
  /** What the watch isolate said: level and text. */
  readonly logs: string[] = [];
  readonly gaps: Gap[] = [];
  readonly #path: string;
  readonly #folder: string;
  readonly #options: SceneOptions;
  readonly #fatal: unknown[] = [];
  #counted: { stamp: string; result: Tally } | null = null;
  #recorder: Recorder | null = null;
  #session: WatchSession | null = null;
  #done: Promise<void> = Promise.resolve();

  constructor(server: FakeApiServer, folder: string, options: SceneOptions) {
    this.server = server;
    this.#folder = folder;
    this.#path = `${folder}/events.jsonl`;
    this.#options = options;
  }

  /** Starts as the program does; again after a stop, with the state that was left. */
  async start(): Promise<void> {
    const watches = [{ server: this.server.url, namespace: null, fieldSelector: null }];
    const recorder = await Recorder.open(this.#options.io ?? realIo, {
      settings: {
        destination: this.#path,
        persistencePath: this.#folder,
        filterCapacity: 10_000,
        filterErrorRate: 1e-9,
        batchCount: 3,
        batchDurationSec: 3600,
        identity: "content",
        syncIntervalMs: 5,
      },
      watches,
      pid: Deno.pid,
      askForList: (request) => this.#session?.receive({ type: "list", request }),
      onFatal: (error) => this.#fatal.push(error),
    });
    this.#recorder = recorder;
    const pool = BatchPool.make();
    const start: Extract<ToWatch, { type: "start" }> = {
      type: "start",
      server: this.server.url,
      identity: "content",
      bothIdentities: false,
      line: PLAIN_LINE,
      credentials: { caCerts: [], cert: null, key: null, authorization: null },
      watches: watches.map(({ namespace, fieldSelector }, index) => ({
        namespace,
        fieldSelector,
        position: recorder.positions[index] ?? null,
      })),
      pool: pool.memory,
    };
    this.#session = new WatchSession(start, {
      post: (message, transfer) => {
        const moved = structuredClone(message, { transfer });
        // As between isolates, main does not work within the sender's call.
        setTimeout(() => this.#receive(moved, recorder, pool), 0);
      },
      times: { ...SCENE_TIMES, ...this.#options.times },
      clientTimes: { ...SCENE_CLIENT_TIMES, ...this.#options.clientTimes },
    });
    this.#done = this.#session.done();
    recorder.begin();
  }

  /** Stops as the program does. */
  async stop(): Promise<void> {
    this.#session?.receive({ type: "stop" });
    await this.#done;
    const error = await this.#recorder?.stop();
    this.#session = this.#recorder = null;
    if (error) throw error;
  }

  /** Lines of the log that contain a text. */
  logged(text: string): string[] {
    return this.logs.filter((line) => line.includes(text));
  }

  /** The lines of the file. */
  lines(): string[] {
    return [...linesOf(Deno.readTextFileSync(this.#path))];
  }

  /**
   * Waits until nothing is owed and every occurrence that was ever stored has its line; fails where
   * any line is torn, twice there or of nothing that was stored.
   *
   * @param missable contents that need not come
   */
  async complete(
    missable: () => ReadonlySet<string> = () => new Set(),
    timeoutMs = 15_000,
  ): Promise<void> {
    const lost = () => {
      const optional = missable();
      return this.#tally().lost.filter((content) => !optional.has(content));
    };
    try {
      await until("every occurrence has its line", () => {
        if (this.#fatal.length > 0) throw this.#fatal[0];
        return !this.#owesList && lost().length === 0;
      }, timeoutMs);
    } catch (error) {
      console.log(tallyText(this.#tally()), lost().slice(0, 3), this.logs.slice(-30).join("\n"));
      throw error;
    }
    const { repeated, unexpected, torn } = this.#tally();
    assertEquals({ repeated, unexpected, torn }, { repeated: [], unexpected: [], torn: 0 });
  }

  /** Fails where the requests since the start were ever made without a pause. */
  assertUnhurried(): void {
    const times = this.server.log.map(({ at }) => at);
    for (const [index, at] of times.entries()) {
      const within = (times[index + REQUESTS_A_SECOND_MAX] ?? Infinity) - at;
      assert(within > 1000, `${REQUESTS_A_SECOND_MAX + 1} requests within ${within} ms`);
    }
  }

  /** Counts anew only where lines or writes came: it is asked often, and lines may be giants. */
  #tally(): Tally {
    const stamp = `${Deno.statSync(this.#path).size} ${this.server.revisions.length}`;
    if (this.#counted?.stamp !== stamp) {
      const result = tally(this.lines(), this.server.oracle().keys());
      this.#counted = { stamp, result };
    }
    return this.#counted.result;
  }

  get #owesList(): boolean {
    const position = this.#recorder?.commit.positions[0] ?? null;
    return position === null || position.listOwed;
  }

  #receive(message: FromWatch, recorder: Recorder, pool: BatchPool): void {
    switch (message.type) {
      case "log":
        return void this.logs.push(`${message.level} ${message.text}`);
      case "gap":
        return void this.gaps.push(message.gap);
      case "listed":
        return recorder.listed(message.request);
      case "batch": {
        const { place, positions } = message;
        const events = place === null ? null : new BatchReader(pool, place);
        return recorder.take({ events, positions }, () => {
          if (place !== null && pool.free(place.buffer)) this.#session?.receive({ type: "freed" });
        });
      }
    }
  }
}

/** Runs a test with a server and a scene on it, which have begun; ends both whatever happens. */
export async function withScene(
  options: SceneOptions,
  test: (scene: Scene, server: FakeApiServer) => Promise<void>,
): Promise<void> {
  await withServer(options.server ?? {}, async (server) => {
    await withTempFolder(async (folder) => {
      const scene = new Scene(server, folder, options);
      await scene.start();
      try {
        await test(scene, server);
      } finally {
        await scene.stop();
      }
    });
  });
}
