/**
 * One test of what an API server does: the real program, a namespace of its own, and all lines held
 * against all that the server acknowledged. Either on the shared server, or on one of its own that
 * the test may stop, restart and put back.
 */

import { assertEquals } from "@std/assert";
import { contentOf } from "../fake/content.ts";
import type { Tally } from "../fake/tally.ts";
import { Program, type ProgramOptions } from "../support/program.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";
import {
  type ApiServer,
  type ApiServerAccess,
  realApiServer,
  sharedApiServer,
} from "./api_server.ts";
import { API_SERVER_HOW } from "./assets.ts";
import { Etcd } from "./etcd.ts";
import type { EventFields, KubeEvent } from "./event_writer.ts";
import { Load } from "./kill_load.ts";
import { PatientWriter } from "./patient_writer.ts";
import { Scene } from "./trouble_scene.ts";

/** A line is there this long after its event, ms, if it ever comes; outages take some of it. */
const LINES_MS = 60_000;

/** Whether the long forms of these tests run. */
export const IS_LONG = Deno.env.get("KEP_LONG") === "1";

/** See the head of this file. */
export class ApiScene extends Scene {
  readonly output = `${this.folder}/events.jsonl`;
  readonly etcd: Etcd;
  /** Content of what may have a line and need not: nobody could see it for certain. */
  readonly excused = new Set<string>();
  #load: Load | null = null;

  constructor(
    server: ApiServerAccess,
    override readonly writer: PatientWriter,
    namespace: string,
    folder: string,
  ) {
    super(server, writer, namespace, folder);
    this.etcd = new Etcd(server);
  }

  /** Starts the program and waits until it watches. */
  run(options: ProgramOptions = {}): Promise<Program> {
    return this.start(this.output, options);
  }

  /** Makes an event that must have a line. */
  async write(name: string, fields: EventFields = {}): Promise<KubeEvent> {
    return this.note(await this.writer.createEvent(this.namespace, { name, ...fields }));
  }

  /** Changes an event; the state that this makes must have a line. */
  async change(name: string, fields: EventFields): Promise<KubeEvent> {
    return this.note(await this.writer.patchEvent(this.namespace, name, fields));
  }

  /** An event that was acknowledged must have a line. */
  note(event: KubeEvent): KubeEvent {
    this.expected.add(contentOf(event));
    return event;
  }

  /** An event that was acknowledged may have a line, unless a later one of equal content must. */
  excuse(event: KubeEvent): KubeEvent {
    this.excused.add(contentOf(event));
    return event;
  }

  /** Writes of every kind from now on, until {@linkcode unload}. */
  override load(): void {
    this.#load = new Load(this.writer, this.namespace);
  }

  override async unload(): Promise<void> {
    const load = this.#load;
    this.#load = null;
    await load?.stop();
    for (const content of load?.expected.keys() ?? []) this.expected.add(content);
  }

  /** The load's writes that were acknowledged so far. */
  get writes(): number {
    return this.#load?.writes ?? 0;
  }

  /** Waits until so many more writes of the load are acknowledged. */
  async loaded(writes: number): Promise<void> {
    const goal = this.writes + writes;
    await until(`${writes} writes`, () => this.writes >= goal, LINES_MS);
  }

  /** The newest resourceVersion of its events. */
  async newestVersion(): Promise<number> {
    const events = await this.writer.listEvents(this.namespace);
    return Math.max(...events.map(({ metadata }) => Number(metadata.resourceVersion)));
  }

  /** Forgets all history, also the version of the last event: the server is past it. */
  async forget(): Promise<void> {
    for (const metadata of [{ labels: { forgotten: "1" } }, { labels: { forgotten: "2" } }]) {
      await this.writer.request("PATCH", `/api/v1/namespaces/${this.namespace}`, { metadata });
    }
    await this.etcd.compact(await this.etcd.revision());
  }

  /** The texts of the destination. */
  read = (): string[] => {
    try {
      return [Deno.readTextFileSync(this.output)];
    } catch {
      return [""]; // Not made yet.
    }
  };

  /** Waits until nothing is missing; the last event written shows that nothing is too much. */
  async settled(): Promise<void> {
    await this.unload();
    await this.create(1);
    await until("all lines are there", () => this.tallyOf(this.read()).lost.length === 0, LINES_MS)
      .catch(() => {}); // The tally says what is missing.
    this.exact(this.read);
  }

  /** As {@linkcode settled}, and the program's own `check` finds nothing either. */
  async isRight(): Promise<void> {
    await this.settled();
    const { code, stdout, stderr } = await Program.run({
      args: ["check", "--persistence-path", this.state, this.output],
    });
    assertEquals(code, 0, stdout + stderr);
  }

  override tallyOf(texts: string[]): Tally {
    const result = super.tallyOf(texts);
    const met = new Set<string>();
    const isExcused = (content: string) => this.excused.has(content);
    for (const content of result.unexpected.filter(isExcused)) {
      if (met.has(content)) result.repeated.push(content);
      met.add(content);
    }
    result.unexpected = result.unexpected.filter((content) => !isExcused(content));
    return result;
  }

  /** Ends all that runs, whatever became of the server. */
  override async end(): Promise<void> {
    this.writer.patienceMs = 0;
    await this.unload().catch(() => {});
    // Tests that share the server would find them; one by one, their deletion would take long.
    await this.etcd.deleteEvents(this.namespace).catch(() => {});
    await super.end().catch(() => {});
  }
}

async function withScene(
  server: ApiServerAccess,
  body: (scene: ApiScene) => Promise<void>,
): Promise<void> {
  const writer = new PatientWriter(server);
  const namespace = `api-${crypto.randomUUID().slice(0, 13)}`;
  try {
    await writer.createNamespace(namespace);
    await withTempFolder(async (folder) => {
      const scene = new ApiScene(server, writer, namespace, folder);
      try {
        await body(scene);
      } finally {
        await scene.end();
      }
    });
  } finally {
    writer.close();
  }
}

/** A test on the shared server. */
export function sharedTest(name: string, body: (scene: ApiScene) => Promise<void>): void {
  Deno.test(needing(
    sharedApiServer(),
    API_SERVER_HOW,
    name,
    (server) => withScene(server, body),
  ));
}

type OwnBody = (scene: ApiScene, server: ApiServer) => Promise<void>;

/** A test that starts a server of its own, with more flags for kube-apiserver. */
export function ownTest(name: string, flags: string[], body: OwnBody): void {
  // Where there is a shared server, there are the binaries for another one.
  Deno.test(needing(sharedApiServer(), API_SERVER_HOW, name, () => withServer(flags, body)));
}

/** As {@linkcode ownTest}, but it takes so long that it must be asked for. */
export function longTest(name: string, flags: string[], body: OwnBody): void {
  const server = IS_LONG ? sharedApiServer() : null;
  const how = IS_LONG ? API_SERVER_HOW : "set KEP_LONG=1, which makes others longer too";
  Deno.test(needing(server, how, name, () => withServer(flags, body)));
}

async function withServer(flags: string[], body: OwnBody): Promise<void> {
  await withTempFolder(async (folder) => {
    const server = await realApiServer(folder, { flags });
    try {
      await withScene(server!, (scene) => body(scene, server!));
    } finally {
      await server!.stop();
    }
  });
}
