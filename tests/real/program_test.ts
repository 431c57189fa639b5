/**
 * The real program against a real kube-apiserver: what a user meets in the first hour.
 *
 * The server is shared, so each test looks only at the lines of its own namespace.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { closeReader, makeFifo, openReader, readAvailable } from "../support/fifo.ts";
import { Program, type ProgramOptions } from "../support/program.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";
import { type ApiServerAccess, sharedApiServer } from "./api_server.ts";
import { API_SERVER_HOW } from "./assets.ts";
import { EventWriter, type KubeEvent } from "./event_writer.ts";

/** What one test has: folders, a namespace of its own, and programs that it started. */
class Scene {
  readonly state: string;
  readonly output: string;
  /** What else was read of the program's lines (a FIFO). */
  extra = "";
  readonly #programs: Program[] = [];

  constructor(
    readonly server: ApiServerAccess,
    readonly writer: EventWriter,
    readonly namespace: string,
    readonly folder: string,
  ) {
    this.state = `${folder}/state`;
    this.output = `${folder}/events.jsonl`;
    Deno.mkdirSync(this.state);
  }

  /** Starts the program and waits until it watches. */
  async start(options: ProgramOptions & { destination?: string } = {}): Promise<Program> {
    const program = this.launch(options);
    await program.says("Connected to");
    return program;
  }

  /** Starts the program. */
  launch(options: ProgramOptions & { destination?: string } = {}): Program {
    const { destination = this.output, args = [], ...rest } = options;
    const program = Program.start({
      ...rest,
      args: [
        ...["--kubeconfig", this.server.kubeconfig, "--destination", destination],
        ...["--persistence-path", this.state, ...args],
      ],
    });
    this.#programs.push(program);
    return program;
  }

  /** The events of this test that a file holds. */
  events(path = this.output): KubeEvent[] {
    return eventsIn(readIfThere(path), this.namespace);
  }

  /** All lines of this test so far, wherever they went. */
  allEvents(): KubeEvent[] {
    return eventsIn(this.#everything(), this.namespace);
  }

  /** Makes an event elsewhere and waits for its line: all that was made before it is dealt with. */
  async marker(): Promise<void> {
    const other = `${this.namespace}-marker`;
    await this.writer.createNamespace(other);
    const { metadata } = await this.writer.createEvent(other);
    await until("the line of the marker", () => this.#everything().includes(metadata.name));
  }

  /** Waits for so many lines, and for a marker behind them in case that there are too many. */
  async settled(count: number): Promise<void> {
    await until(`there are ${count} lines`, () => this.allEvents().length >= count);
    await this.marker();
    assertEquals(this.allEvents().length, count);
  }

  async end(): Promise<void> {
    for (const program of this.#programs) await program.kill();
  }

  #everything(): string {
    const files = [`${this.output}.1`, this.output].map(readIfThere);
    const stdout = this.#programs.map((program) => program.stdout);
    return [...files, ...stdout, this.extra].join("");
  }
}

function readIfThere(path: string): string {
  try {
    return Deno.statSync(path).isFile ? Deno.readTextFileSync(path) : "";
  } catch {
    return "";
  }
}

/** The whole lines of a text that are events of a namespace. */
function eventsIn(text: string, namespace: string): KubeEvent[] {
  return text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line) as KubeEvent)
    .filter(({ metadata }) => metadata.namespace === namespace);
}

const names = (events: KubeEvent[]) => events.map(({ metadata }) => metadata.name).sort();
const counts = (events: KubeEvent[]) => events.map(({ count }) => count ?? null);
const blooms = (folder: string) =>
  [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) => name.endsWith(".bloom"))
    .sort();

let scenes = 0;

function testOnServer(name: string, body: (scene: Scene) => Promise<void>): void {
  Deno.test(needing(sharedApiServer(), API_SERVER_HOW, name, async (server) => {
    using writer = new EventWriter(server);
    const namespace = `program-${++scenes}`;
    await writer.createNamespace(namespace);
    await withTempFolder(async (folder) => {
      const scene = new Scene(server, writer, namespace, folder);
      try {
        await body(scene);
      } finally {
        await scene.end();
      }
    });
  }));
}

testOnServer(
  "A restart repeats nothing, and an empty persistence path gives the same lines again",
  async (scene) => {
    const { writer, namespace, state } = scene;
    for (let n = 0; n < 20; n++) await writer.createEvent(namespace, { name: `e${n}` });
    const first = await scene.start();
    await scene.settled(20);
    assertEquals((await first.stop()).code, 0);
    const second = await scene.start();
    await writer.createEvent(namespace, { name: "later" });
    await scene.settled(21);
    assertEquals((await second.stop("SIGINT")).code, 0);
    const before = names(scene.events());
    await Deno.remove(state, { recursive: true });
    await Deno.mkdir(state);
    await Deno.remove(scene.output);
    const third = await scene.start();
    await scene.settled(21);
    assertEquals((await third.stop("SIGQUIT")).code, 0);
    assertEquals(names(scene.events()), before);
  },
);

testOnServer(
  "One event through counts none, 2, 2, 2, 3, deleted and recreated alike gives 3 lines",
  async (scene) => {
    const { writer, namespace } = scene;
    const times = {
      firstTimestamp: "2026-01-01T00:00:00Z",
      lastTimestamp: "2026-01-01T00:00:00Z",
    };
    const event = { name: "one", count: undefined, message: "the same", ...times };
    await scene.start();
    await writer.createEvent(namespace, event);
    await writer.patchEvent(namespace, "one", { count: 2 });
    for (const note of ["a", "b"]) {
      await writer.patchEvent(namespace, "one", { count: 2, metadata: { annotations: { note } } });
    }
    await writer.patchEvent(namespace, "one", { count: 3 });
    await writer.deleteEvent(namespace, "one");
    await writer.createEvent(namespace, event);
    await scene.settled(3);
    assertEquals(counts(scene.events()), [null, 2, 3]);
  },
);

testOnServer("Rename and SIGHUP split the lines between two files", async (scene) => {
  const { writer, namespace, output } = scene;
  const program = await scene.start();
  for (let n = 0; n < 5; n++) await writer.createEvent(namespace, { name: `old${n}` });
  await scene.settled(5);
  await Deno.rename(output, `${output}.1`);
  program.signal("SIGHUP");
  await program.says("Reopened");
  for (let n = 0; n < 5; n++) await writer.createEvent(namespace, { name: `new${n}` });
  await scene.settled(10);
  assertEquals(names(scene.events(`${output}.1`)), ["old0", "old1", "old2", "old3", "old4"]);
  assertEquals(names(scene.events()), ["new0", "new1", "new2", "new3", "new4"]);
  assertEquals(Deno.statSync(output).mode! & 0o777, 0o640);
});

testOnServer(
  "To stdout: lines alone, SIGHUP harms nothing, a restart repeats none",
  async (scene) => {
    const { writer, namespace } = scene;
    await writer.createEvent(namespace, { name: "before" });
    const first = await scene.start({ destination: "/dev/stdout" });
    await scene.settled(1);
    first.signal("SIGHUP");
    await first.says("Reopened");
    await writer.createEvent(namespace, { name: "after" });
    await scene.settled(2);
    assertEquals((await first.stop()).code, 0);
    const second = await scene.start({ destination: "-" });
    await scene.marker();
    await second.stop();
    assertEquals(eventsIn(second.stdout, namespace), []);
    assertEquals(names(scene.allEvents()), ["after", "before"]);
  },
);

testOnServer(
  "To a FIFO that is renamed and made again, SIGHUP turns to the new one",
  async (scene) => {
    const { writer, namespace, folder } = scene;
    const path = `${folder}/fifo`;
    makeFifo(path);
    const program = await scene.start({ destination: path });
    await writer.createEvent(namespace, { name: "first" });
    const decoder = new TextDecoder();
    const read = async (fd: number, name: string) => {
      await until(`${name} comes through the FIFO`, () => {
        scene.extra += decoder.decode(readAvailable(fd), { stream: true });
        return scene.extra.includes(`"${name}"`);
      });
    };
    const old = openReader(path);
    await read(old, "first");
    await Deno.rename(path, `${path}.old`);
    makeFifo(path);
    const anew = openReader(path);
    program.signal("SIGHUP");
    await program.says("Reopened");
    await writer.createEvent(namespace, { name: "second" });
    await read(anew, "second");
    closeReader(old);
    closeReader(anew);
    // Nobody reads now: an event waits, and so do no signals.
    await writer.createEvent(namespace, { name: "third" });
    await program.says("Nobody reads the FIFO");
    const startMs = performance.now();
    assertEquals((await program.stop()).code, 0);
    assert(performance.now() - startMs < 5000);
    assertEquals(names(scene.allEvents()), ["first", "second"]);
  },
);

testOnServer(
  "Killed, and started with a wrapper and without managedFields: the server's bytes, each event once",
  async (scene) => {
    const { writer, namespace, output } = scene;
    const first = await scene.start();
    await writer.createEvent(namespace, { name: "plain" });
    await scene.settled(1);
    await first.kill();
    await scene.start({ args: ["--wrap=k8s", "--cluster=prod", "--managed-fields=drop"] });
    const path = `/api/v1/namespaces/${namespace}/events`;
    const expected: string[] = [];
    for (const message of ["an <a> & b", "größer"]) {
      const { metadata } = await writer.createEvent(namespace, { message });
      const text = await (await writer.fetch("GET", `${path}/${metadata.name}`)).text();
      const event = text.trimEnd().replace(/,"managedFields":.*?(?=\},"involvedObject":)/, "");
      assert(event.length < text.length - 100, text);
      expected.push(`{"k8s":${event},"cluster":"prod"}`);
    }
    const own = () => {
      const lines = Deno.readTextFileSync(output).split("\n").slice(0, -1);
      return lines.filter((line) => line.includes(`"namespace":"${namespace}"`));
    };
    await until("both lines", () => expected.every((line) => own().includes(line)));
    // Killed before it had stored a position, it goes on by a LIST, which has no order of time.
    assertEquals(own().slice(1).sort(), expected.sort());
  },
);

testOnServer(
  "With BATCH_DURATION_SEC=1 and BATCH_COUNT=3 there are 1, 2, 3 and 3 generations, and a LIST " +
    "after that repeats none of 200 events that are still alive",
  async (scene) => {
    const { writer, namespace, state } = scene;
    const env = { KUBE_EVENT_PIPE_BATCH_DURATION_SEC: "1", KUBE_EVENT_PIPE_BATCH_COUNT: "3" };
    for (let n = 0; n < 200; n++) await writer.createEvent(namespace, { name: `alive${n}` });
    const program = await scene.start({ env });
    await until("200 lines", () => scene.allEvents().length === 200);
    await until("one generation", () => blooms(state).length === 1);
    const [oldest] = blooms(state);
    for (const [index, generations] of [2, 3, 3].entries()) {
      await new Promise((resolve) => setTimeout(resolve, 1100));
      assertEquals(blooms(state).length, Math.min(index + 1, 3), "only a new event adds one");
      await writer.createEvent(namespace, { name: `tick${index}` });
      await until(`tick${index}`, () => scene.allEvents().length === 201 + index);
      await until(`${generations} generations`, () => blooms(state).length >= generations);
    }
    await program.says("Dropped");
    assertEquals(blooms(state).length, 3);
    assert(!blooms(state).includes(oldest!));
    await program.stop();
    await Deno.remove(`${state}/checkpoint`); // Nothing says where to resume: a LIST.
    const again = await scene.start({ env });
    await again.says("LIST /api/v1/events: ");
    await scene.marker();
    assertEquals(scene.allEvents().length, 203);
  },
);

testOnServer(
  "A relative destination is found again by a start from another folder",
  async (scene) => {
    const { writer, namespace, folder, output } = scene;
    await writer.createEvent(namespace, { name: "one" });
    const first = await scene.start({ destination: "events.jsonl", cwd: folder });
    await scene.settled(1);
    await first.kill();
    const second = await scene.start({ destination: "../events.jsonl", cwd: scene.state });
    await scene.marker();
    assert(!second.stderr.includes("was not found"), second.stderr);
    assertEquals(names(scene.events(output)), ["one"]);
  },
);

testOnServer("Each update of a series is a line", async (scene) => {
  const { writer, namespace } = scene;
  await scene.start();
  await writer.createSeriesEvent(namespace, { name: "series" });
  for (const count of [2, 3, 57]) await writer.patchSeries(namespace, "series", count);
  await scene.settled(4);
  assertEquals(scene.events().map(({ series }) => series?.count ?? null), [null, 2, 3, 57]);
});

testOnServer("Equal name and count in two namespaces are two lines", async (scene) => {
  const { writer, namespace } = scene;
  const other = `${namespace}-other`;
  await writer.createNamespace(other);
  await scene.start();
  const event = { name: "twin", message: "the same" };
  await writer.createEvent(namespace, event);
  await writer.createEvent(other, event);
  await scene.settled(1);
  assertEquals(eventsIn(Deno.readTextFileSync(scene.output), other).length, 1);
});

testOnServer("A changed message with the same count is a line", async (scene) => {
  const { writer, namespace } = scene;
  await scene.start();
  await writer.createEvent(namespace, { name: "told", message: "one" });
  await writer.patchEvent(namespace, "told", { message: "two" });
  await scene.settled(2);
  assertEquals(scene.events().map(({ message }) => message), ["one", "two"]);
});

testOnServer(
  "Without rights: a clear 403 that names the rule; with list and watch alone it works",
  async (scene) => {
    const { writer, namespace } = scene;
    await writer.createEvent(namespace, { name: "seen" });
    const rbac = "/apis/rbac.authorization.k8s.io/v1";
    const role = `${namespace}-events`;
    const program = scene.launch({ args: ["--context", "plain"] });
    await program.says('apiGroups: [""], resources: ["events"], verbs: ["list", "watch"]');
    assertStringIncludes(program.stderr, " 403");
    await writer.request("POST", `${rbac}/clusterroles`, {
      metadata: { name: role },
      rules: [{ apiGroups: [""], resources: ["events"], verbs: ["list", "watch"] }],
    });
    await writer.request("POST", `${rbac}/clusterrolebindings`, {
      metadata: { name: role },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
      subjects: [{ kind: "User", name: "plain", apiGroup: "rbac.authorization.k8s.io" }],
    });
    try {
      await program.says("Connected to", 0, 60_000);
      await scene.settled(1);
    } finally {
      await writer.request("DELETE", `${rbac}/clusterrolebindings/${role}`);
      await writer.request("DELETE", `${rbac}/clusterroles/${role}`);
    }
  },
);
