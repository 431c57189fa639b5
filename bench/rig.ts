/** The parts of every measurement: the feeder, the program, and those that it is compared with. */

import { depsFlags } from "../closed/deps.ts";
import { LIST_PAGE_EVENTS } from "../lib/limits.ts";
import { type Assets, findAssets } from "../tests/real/assets.ts";
import { programCommand } from "../tests/support/binary.ts";
import { Pki } from "../tests/support/pki.ts";
import { FIRST_VERSION, lineBytes } from "./feed.ts";
import { warmPageCache } from "./page_cache.ts";
import { Child, clockMs, fileReaches, sizeOf, timed } from "./process.ts";

export type { Assets };
export { findAssets };

/** How a stream is carried. */
export type Transport = "http" | "https";

/** A request that the feeder noted. */
interface Request {
  atMs: number;
  verb: "list" | "watch";
  from: number;
}

const here = new URL(".", import.meta.url);
const COPY = new URL("copy.ts", here).pathname;
const EVENTS = "/api/v1/events";

/** The feeder's process. */
export class Feeder {
  readonly requests: Request[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  #ports = Promise.withResolvers<Record<Load["verb"], string>>();

  constructor(readonly transport: Transport, readonly rig: Rig) {
    const tls = transport === "https" ? [rig.certFile, rig.keyFile] : [];
    const script = new URL("feeder.ts", here).pathname;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-lock", "-A", script, ...tls],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    this.#reading = this.#read();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Base URL of an API server with this feed; see bench/feeder.ts.
   *
   * @param verb what is measured: there is a port for each, with the same feeds
   */
  async url(feed: string, verb: Load["verb"] = "watch"): Promise<string> {
    const ports = await this.#ports.promise;
    return `${this.transport}://127.0.0.1:${ports[verb]}/${feed}`;
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
    await this.#reading;
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (line.startsWith("{")) this.requests.push(JSON.parse(line));
        else {
          const [watch = "", list = ""] = line.split(" ");
          this.#ports.resolve({ watch, list });
        }
      }
    }
  }
}

/** One run of anything that turns a stream into a file. */
export interface Run {
  /** From the first request to the last line. */
  elapsedMs: number;
  cpuMs: number;
  /** Most that was resident, MB; 0 where it was not looked at. */
  peakMb: number;
  /** What was resident at the end and no file backs, MB; likewise. */
  anonMb: number;
}

/** Which events a run is to write: those of a WATCH, or those of a LIST. */
export interface Load {
  verb: "watch" | "list";
  events: number;
  /** Pads messages; see bench/feeder.ts. */
  message?: number;
}

/** Folder, certificates and settings of the bench. */
export class Rig {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  readonly #feeders = new Map<Transport, Feeder>();
  #serial = 0;

  /** @param folder on the disk that is measured */
  constructor(readonly folder: string, readonly denoFlags: string[]) {
    const pki = new Pki("bench-ca");
    const { cert, key } = pki.server();
    this.certFile = this.#write("server.crt", cert);
    this.keyFile = this.#write("server.key", key);
    this.caFile = this.#write("ca.crt", pki.ca);
  }

  static async start(folder: string): Promise<Rig> {
    return new Rig(folder, await depsFlags());
  }

  feeder(transport: Transport): Feeder {
    const feeder = this.#feeders.get(transport) ?? new Feeder(transport, this);
    this.#feeders.set(transport, feeder);
    return feeder;
  }

  async stop(): Promise<void> {
    for (const feeder of this.#feeders.values()) await feeder.stop();
  }

  /** A new, empty folder. */
  newFolder(): string {
    const folder = `${this.folder}/run-${++this.#serial}`;
    Deno.mkdirSync(folder);
    return folder;
  }

  /** A new folder, and page cache at hand for the lines that go there. */
  #warmFolder({ events, message = 0 }: Omit<Load, "verb">): string {
    const folder = this.newFolder();
    warmPageCache(folder, lineBytes(events, message));
    return folder;
  }

  kubeconfig(server: string): string {
    const secure = server.startsWith("https:");
    const trust = secure ? { "certificate-authority": this.caFile } : {};
    return this.#write(
      `kubeconfig-${++this.#serial}`,
      JSON.stringify({
        apiVersion: "v1",
        kind: "Config",
        "current-context": "bench",
        clusters: [{ name: "bench", cluster: { server, ...trust } }],
        users: [{ name: "bench", user: {} }],
        contexts: [{ name: "bench", context: { cluster: "bench", user: "bench" } }],
      }),
    );
  }

  /** Starts the program on a state folder and a destination in `folder`. */
  program(server: string, folder: string, args: string[] = []): Child {
    const { cmd, args: head } = programCommand();
    Deno.mkdirSync(`${folder}/state`, { recursive: true });
    return new Child(cmd, [
      ...head,
      ...["--kubeconfig", this.kubeconfig(server), "--destination", `${folder}/events.jsonl`],
      ...["--persistence-path", `${folder}/state`, ...args],
    ]);
  }

  /** The raw copy: what the network and the file system cost by themselves. */
  async copy(transport: Transport, { verb, events, message = 0 }: Load): Promise<Run> {
    const feeder = this.feeder(transport);
    const base = await feeder.url(`${verb}=${events},message=${message},end=1`, verb);
    const folder = this.#warmFolder({ events, message });
    const file = `${folder}/copy`;
    const before = feeder.requests.length;
    const urls = verb === "watch"
      ? [`${base}${EVENTS}?watch=1`]
      : pages(`${base}${EVENTS}`, events);
    const reader = hasCurl()
      ? ["curl", "--silent", "--fail", "--cacert", this.caFile]
      : [Deno.execPath(), "run", "--quiet", "--no-lock", "-A", COPY, this.caFile];
    const { cpuMs } = await timed("sh", ["-c", '"$@" > "$0"', file, ...reader, ...urls]);
    const endMs = clockMs();
    if (sizeOf(file) < events * 100) throw new Error(`The copy has ${sizeOf(file)} bytes`);
    Deno.removeSync(folder, { recursive: true });
    return { elapsedMs: endMs - feeder.requests[before]!.atMs, cpuMs, peakMb: 0, anonMb: 0 };
  }

  /** The program with everything on. `keep`: its folder stays, for what follows. */
  async write(
    transport: Transport,
    load: Load,
    { args = [], keep = false }: { args?: string[]; keep?: boolean } = {},
  ): Promise<Run & { folder: string }> {
    const feeder = this.feeder(transport);
    const { verb, events, message = 0 } = load;
    const folder = this.#warmFolder(load);
    const before = feeder.requests.length;
    const url = await feeder.url(`${verb}=${events},message=${message}`, verb);
    const child = this.program(url, folder, args);
    const bytes = lineBytes(events, message);
    const endMs = await fileReaches(`${folder}/events.jsonl`, bytes);
    const { cpuMs, peakMb, anonMb } = child.usage;
    await child.stop();
    const written = sizeOf(`${folder}/events.jsonl`);
    if (written !== bytes) throw new Error(`${written} bytes were written, not ${bytes}`);
    if (!keep) Deno.removeSync(folder, { recursive: true });
    const began = feeder.requests.slice(before).find((request) => request.verb === verb)!;
    return { elapsedMs: endMs - began.atMs, cpuMs, peakMb, anonMb, folder };
  }

  /** What most exporters do: client-node's Watch, JSON.stringify, append. */
  async naive(transport: Transport, { events, message = 0 }: Load): Promise<Run> {
    const feeder = this.feeder(transport);
    const folder = this.#warmFolder({ events, message });
    const before = feeder.requests.length;
    const url = await feeder.url(`watch=${events},message=${message}`);
    const script = new URL("naive_exporter.ts", here).pathname;
    const child = new Child(Deno.execPath(), [
      ...["run", "--quiet", ...this.denoFlags, "-A", script],
      ...[this.kubeconfig(url), FIRST_VERSION, `${folder}/events.jsonl`],
    ]);
    const endMs = await fileReaches(`${folder}/events.jsonl`, lineBytes(events, message));
    const { cpuMs, peakMb, anonMb } = child.usage;
    await child.stop();
    Deno.removeSync(folder, { recursive: true });
    return { elapsedMs: endMs - feeder.requests[before]!.atMs, cpuMs, peakMb, anonMb };
  }

  #write(name: string, text: string): string {
    Deno.writeTextFileSync(`${this.folder}/${name}`, text);
    return `${this.folder}/${name}`;
  }
}

/** The pages of a LIST as the program asks for them; the feeder's tokens are numbers. */
function pages(url: string, events: number): string[] {
  return Array.from(
    { length: Math.ceil(events / LIST_PAGE_EVENTS) },
    (_, page) => `${url}?limit=${LIST_PAGE_EVENTS}&continue=${page * LIST_PAGE_EVENTS}`,
  );
}

let curlFound: boolean | null = null;

/** Whether the raw copy is curl's. */
export function hasCurl(): boolean {
  if (curlFound !== null) return curlFound;
  try {
    curlFound = new Deno.Command("curl", { args: ["--version"] }).outputSync().success;
  } catch {
    curlFound = false;
  }
  return curlFound;
}
