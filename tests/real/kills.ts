/**
 * The program under load, killed with -9 at random moments and rotated in between; then its lines
 * are held against what the API server acknowledged.
 */

import { contentOf } from "../fake/content.ts";
import { linesOf, type Tally, tally } from "../fake/tally.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";
import type { ApiServerAccess } from "./api_server.ts";
import { EventWriter, type KubeEvent } from "./event_writer.ts";

const WRITERS = 6;
/** A rotation comes with every fourth kill. */
const ROTATE_EACH = 4;

/** What happened, and whether all lines are right. */
export interface KillReport {
  tally: Tally;
  kills: number;
  rotations: number;
  writesPerSecond: number;
  /** Warnings and worse that the program said. */
  complaints: string[];
}

/**
 * Writes events at the server and kills the program so often.
 *
 * @param random numbers from 0 to 1: the moments are drawn from them
 */
export async function killUnderLoad(
  server: ApiServerAccess,
  options: { folder: string; namespace: string; kills: number; random: () => number },
): Promise<KillReport> {
  const { folder, namespace, kills, random } = options;
  using writer = new EventWriter(server);
  await writer.createNamespace(namespace);
  const output = `${folder}/events.jsonl`;
  const args = ["--kubeconfig", server.kubeconfig, "--persistence-path", folder];
  const start = () => Program.start({ args: [...args, "--destination", output], stdout: "null" });
  const load = new Load(writer, namespace);
  const complaints: string[] = [];
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  let rotations = 0;
  let program = start();
  try {
    await program.says("Connected to");
    const startMs = performance.now();
    const loading = load.run();
    for (let kill = 0; kill < kills; kill++) {
      await wait(200 + 900 * random());
      if (kill % ROTATE_EACH === 1 && rename(output, `${output}.${rotations + 1}`)) {
        rotations++;
        // With SIGHUP or without: then the crash comes between the two. Before the program is up,
        // SIGHUP itself ends it, which is one more kind of kill.
        if (random() < 0.7) program.trySignal("SIGHUP");
        await wait(20 * random());
      }
      await program.kill();
      complaints.push(...complaintsIn(program.stderr));
      program = start();
    }
    load.stop();
    await loading;
    const writesPerSecond = 1000 * load.expected.size / (performance.now() - startMs);
    const read = () => allLines(output, rotations, namespace);
    await until("all lines are there", () => read().length >= load.expected.size, 30_000)
      .catch(() => {}); // The tally says what is missing.
    await program.stop();
    complaints.push(...complaintsIn(program.stderr));
    return {
      tally: tally(read(), load.expected),
      ...{ kills, rotations, writesPerSecond, complaints },
    };
  } finally {
    load.stop();
    await program.kill();
  }
}

/** Creates, counts and deletes, from a few writers at once. */
class Load {
  /** Content of all that the API server acknowledged. */
  readonly expected = new Set<string>();
  readonly #writer: EventWriter;
  readonly #namespace: string;
  #isStopped = false;

  constructor(writer: EventWriter, namespace: string) {
    this.#writer = writer;
    this.#namespace = namespace;
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => this.#write(writer)));
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #write(writer: number): Promise<void> {
    for (let n = 0; !this.#isStopped; n++) {
      const name = `writer-${writer}-${n}.1`;
      this.#note(await this.#writer.createEvent(this.#namespace, { name }));
      for (let count = 2; count <= 1 + n % 4; count++) {
        const patch = { count, lastTimestamp: `2026-01-01T00:00:0${count}Z` };
        this.#note(await this.#writer.patchEvent(this.#namespace, name, patch));
      }
      if (n % 5 === 0) await this.#writer.deleteEvent(this.#namespace, name);
    }
  }

  #note(event: KubeEvent): void {
    this.expected.add(contentOf(event));
  }
}

function rename(from: string, to: string): boolean {
  try {
    Deno.renameSync(from, to);
    return true;
  } catch {
    return false; // Killed before it was made again.
  }
}

/** The lines of the namespace in all files, and those that are torn. */
function allLines(output: string, rotations: number, namespace: string): string[] {
  const texts: string[] = [];
  for (let n = 1; n <= rotations; n++) texts.push(Deno.readTextFileSync(`${output}.${n}`));
  try {
    texts.push(Deno.readTextFileSync(output));
  } catch {
    // Not made again yet.
  }
  return [...linesOf(...texts)].filter((line) =>
    line.includes(`"namespace":"${namespace}"`) || !line.startsWith("{") || !line.endsWith("}")
  );
}

function complaintsIn(log: string): string[] {
  return log.split("\n").filter((line) => / (WARNING|ERROR|CRITICAL) /.test(line));
}
