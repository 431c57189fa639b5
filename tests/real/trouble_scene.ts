/**
 * One test of trouble: the real program, a namespace of its own at a real API server, and at the
 * end all lines held against all that the server acknowledged.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { contentOf } from "../fake/content.ts";
import { isExact, linesOf, type Tally, tally } from "../fake/tally.ts";
import { Program, type ProgramOptions } from "../support/program.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";
import { type ApiServerAccess, sharedApiServer } from "./api_server.ts";
import { API_SERVER_HOW } from "./assets.ts";
import { EventWriter, type KubeEvent } from "./event_writer.ts";

/** A stop must be over within this, ms. */
const STOP_MS = 5_000;
/** What {@linkcode Scene.flood} writes: more than the buffers of program and kernel hold. */
const FLOOD = { events: 80, messageBytes: 64_000 };

/** See the head of this file. */
export class Scene {
  readonly state: string;
  /** Content of all that the API server acknowledged. */
  readonly expected = new Set<string>();
  readonly #programs: Program[] = [];
  readonly #used = new DisposableStack();
  #serial = 0;
  #load: { stop: () => Promise<void> } | null = null;

  constructor(
    readonly server: ApiServerAccess,
    readonly writer: EventWriter,
    readonly namespace: string,
    readonly folder: string,
  ) {
    this.state = `${folder}/state`;
  }

  /** Takes away what it is given at the end, when no program holds it any more. */
  using<T extends Disposable>(what: T): T {
    return this.#used.use(what);
  }

  /** Starts the program and waits until it watches. */
  async start(destination: string, options: ProgramOptions = {}): Promise<Program> {
    const program = this.launch(destination, options);
    await program.says("Connected to");
    return program;
  }

  /** Starts the program. */
  launch(destination: string, options: ProgramOptions = {}): Program {
    const { args = [], ...rest } = options;
    Deno.mkdirSync(this.state, { recursive: true });
    const program = Program.start({
      stdout: "null",
      ...rest,
      args: [
        ...["--kubeconfig", this.server.kubeconfig, "--destination", destination],
        ...["--persistence-path", this.state, ...args],
      ],
    });
    this.#programs.push(program);
    return program;
  }

  /** Makes events and waits for the server's word. */
  async create(count: number, messageBytes = 100): Promise<void> {
    const one = async () => {
      const name = `event-${++this.#serial}.1`;
      const message = `${name} ${"m".repeat(messageBytes)}`;
      this.#note(await this.writer.createEvent(this.namespace, { name, message }));
    };
    for (let left = count; left > 0; left -= 8) {
      await Promise.all(Array.from({ length: Math.min(left, 8) }, one));
    }
  }

  /** Creates and counts events from now on, until {@linkcode unload}. */
  load(): void {
    let isStopped = false;
    const work = async (worker: number) => {
      for (let n = 0; !isStopped; n++) {
        const name = `load-${worker}-${++this.#serial}.1`;
        this.#note(await this.writer.createEvent(this.namespace, { name }));
        if (n % 2 > 0) continue;
        this.#note(await this.writer.patchEvent(this.namespace, name, { count: 2 }));
      }
    };
    const working = Promise.all([1, 2, 3].map(work));
    this.#load = {
      stop: async () => {
        isStopped = true;
        await working;
      },
    };
  }

  /** Ends the load. */
  async unload(): Promise<void> {
    await this.#load?.stop();
    this.#load = null;
  }

  /** Makes more events than all buffers hold, and sees that the program lets them wait. */
  async flood(program: Program): Promise<void> {
    await this.create(FLOOD.events, FLOOD.messageBytes);
    const port = Number(new URL(this.server.url).port);
    await until("the watch is held back", async () => {
      const before = unreadBytes(program.pid, port);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return before > 0 && unreadBytes(program.pid, port) === before;
    });
  }

  /** Sees that a stop signal ends the program in time and with status 0, whatever blocks it. */
  async stop(program: Program): Promise<void> {
    const startMs = performance.now();
    const { code } = await program.stop();
    const ms = performance.now() - startMs;
    assertEquals(code, 0, program.stderr);
    assert(ms < STOP_MS, `the stop took ${ms} ms`);
  }

  /** Sees that the program says a sentence and goes with 74. */
  async endsWith74(program: Program, sentence: RegExp): Promise<void> {
    const { code } = await program.end();
    assertEquals(code, 74, program.stderr);
    assertMatch(program.stderr, sentence);
  }

  /** As {@linkcode exact}, once a running program has written all that was made so far. */
  async goesOn(read: () => string[]): Promise<void> {
    await this.unload();
    await this.create(1); // Behind its line, all that was made before is dealt with.
    const sign = `"namespace":"${this.namespace}","name"`; // Once a line, in its involvedObject.
    const count = () => read().reduce((sum, text) => sum + text.split(sign).length - 1, 0);
    await until("all lines are there", () => count() >= this.expected.size)
      .catch(() => {}); // The tally says what is missing.
    this.exact(read);
  }

  /** Sees that each occurrence has one line in the texts, and that none is torn. */
  exact(read: () => string[]): void {
    const result = this.tallyOf(read());
    assert(isExact(result), `${JSON.stringify(result)}\n${this.#logs()}`);
  }

  /** What these files or other texts hold of this test's namespace. */
  tallyOf(texts: string[]): Tally {
    return tally(
      [...linesOf(...texts)].filter((line) =>
        line.includes(`"namespace":"${this.namespace}"`) || !/^\{.*\}$/.test(line)
      ),
      this.expected,
    );
  }

  /** Ends all that runs, and takes its events away: others' destinations may be small. */
  async end(): Promise<void> {
    await this.unload().catch(() => {});
    for (const program of this.#programs) await program.kill();
    this.#used.dispose();
    await this.writer.request("DELETE", `/api/v1/namespaces/${this.namespace}/events`);
  }

  #note(event: KubeEvent): void {
    this.expected.add(contentOf(event));
  }

  #logs(): string {
    return this.#programs.map((program) => program.stderr).join("--- restarted ---\n");
  }
}

/** Waits until the program has said three times that it cannot, each time for twice as long. */
export async function backsOff(program: Program, what: string): Promise<void> {
  let from = 0;
  for (const ms of [100, 200, 400]) {
    from = await program.says(what, from);
    from = await program.says(`; trying again in ${ms} ms.`, from);
  }
}

/** Bytes that the kernel holds for a process on its connections to a port: nobody reads them. */
function unreadBytes(pid: number, port: number): number {
  const links = Array.from(Deno.readDirSync(`/proc/${pid}/fd`), ({ name }) => {
    try {
      return Deno.readLinkSync(`/proc/${pid}/fd/${name}`);
    } catch {
      return ""; // Closed meanwhile.
    }
  });
  const remote = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  let bytes = 0;
  for (const line of Deno.readTextFileSync(`/proc/${pid}/net/tcp`).trim().split("\n").slice(1)) {
    const [, , to = "", , queues = "", , , , , inode] = line.trim().split(/\s+/);
    if (!to.endsWith(remote) || !links.includes(`socket:[${inode}]`)) continue;
    bytes += parseInt(queues.split(":")[1] ?? "0", 16);
  }
  return bytes;
}

/**
 * A test on the shared API server, and on a part that is not on every machine.
 *
 * @param part null = skipped, with `how` as what to do for it
 */
export function troubleTest<T>(
  name: string,
  part: T | null,
  how: string,
  body: (scene: Scene, part: T) => Promise<void>,
): void {
  const server = sharedApiServer();
  const parts = server === null || part === null ? null : { server, part };
  Deno.test(
    needing(parts, server === null ? API_SERVER_HOW : how, name, async ({ server, part }) => {
      using writer = new EventWriter(server);
      // All test files share the API server, and none knows the others' numbers.
      const namespace = `trouble-${crypto.randomUUID().slice(0, 13)}`;
      await writer.createNamespace(namespace);
      await withTempFolder(async (folder) => {
        const scene = new Scene(server, writer, namespace, folder);
        try {
          await body(scene, part);
        } finally {
          await scene.end();
        }
      });
    }),
  );
}
