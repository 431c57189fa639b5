/** The program that is killed again and again, its destination, and what became of both. */

import type { ProgramCommand } from "../support/binary.ts";
import { Program } from "../support/program.ts";
import { type Life, lifeText, type Rotation } from "./kill_plan.ts";

/** A generation is closed after this: so kills meet generations that are made and dropped. */
const GENERATION_SECONDS = 15;
/** About what a start takes, ms. */
export const START_MS: Readonly<Record<ProgramCommand["kind"], number>> = {
  "compiled": 300,
  "deno run": 1_500,
};

/** Under load the first line of a start comes within this, ms; else something hangs. */
const FIRST_LINE_MS = 60_000;
/** `check` reads all lines, ms. */
const CHECK_MS = 120_000;

/** See the head of this file. The folder gets `state`, `events.jsonl` and `program.log`. */
export class Victim {
  readonly state: string;
  readonly output: string;
  /** Where the destination was renamed to, the oldest first. */
  readonly rotated: string[] = [];
  /** From each start that was left the time for it to its first line, ms. */
  readonly firstLineMs: number[] = [];
  /** All lines of its log. */
  readonly said: string[] = [];
  /** Lives in which it ended by itself, which it never should. */
  readonly ownEnds: string[] = [];
  readonly #args: string[];
  readonly #log: string;
  #program: Program;
  #startMs = 0;
  /** Bytes of the destination at the start. */
  #startBytes = 0;

  /** Starts it for the first time. */
  constructor(kubeconfig: string, folder: string) {
    this.state = `${folder}/state`;
    this.output = `${folder}/events.jsonl`;
    this.#log = `${folder}/program.log`;
    Deno.mkdirSync(this.state);
    this.#args = [
      ...["--kubeconfig", kubeconfig, "--destination", this.output],
      ...["--persistence-path", this.state, `--batch-duration-sec=${GENERATION_SECONDS}`],
    ];
    this.#program = this.#start();
  }

  /** The rotated files, the oldest first, and the destination. */
  get files(): string[] {
    return [...this.rotated, this.output].filter((path) => sizeOf(path) !== null);
  }

  /** Starts it again; it is not up yet when this returns. */
  start(): void {
    this.#program = this.#start();
  }

  /** Lets the program that was started live and die as planned. */
  async live(life: Life): Promise<void> {
    const { from, afterMs, rotation } = life;
    if (from === "first line") await this.#firstLine();
    await sleep(afterMs);
    if (rotation?.when === "running") {
      this.#rotate(rotation);
      await sleep(rotation.thenMs);
    }
    await this.#program.kill();
    this.#note(lifeText(life));
    if (rotation?.when === "killed") this.#rotate(rotation);
  }

  /** Stops it as a supervisor does. */
  async stop(): Promise<void> {
    const { code } = await this.#program.stop();
    this.#note("stopped with SIGTERM", code === 0);
  }

  /** What `check` says of all its files; status 0 = all is well. */
  async check(): Promise<{ code: number | null; said: string }> {
    const files = ["--destination", this.output, "--persistence-path", this.state];
    const checked = await Program.run({ args: ["check", ...files, ...this.rotated] }, CHECK_MS);
    return { code: checked.code, said: `${checked.stdout}${checked.stderr}`.trim() };
  }

  /** Ends it, whatever became of it. */
  async end(): Promise<void> {
    await this.#program.kill();
  }

  #start(): Program {
    this.#startBytes = sizeOf(this.output) ?? 0;
    this.#startMs = performance.now();
    return Program.start({ args: this.#args, stdout: "null" });
  }

  async #firstLine(): Promise<void> {
    while ((sizeOf(this.output) ?? 0) <= this.#startBytes) {
      const ms = performance.now() - this.#startMs;
      if (this.#program.code !== null || ms > FIRST_LINE_MS) {
        throw new Error(
          `No line came within ${Math.round(ms)} ms of a start. Its log:\n${this.#program.stderr}`,
        );
      }
      await sleep(5);
    }
    this.firstLineMs.push(performance.now() - this.#startMs);
  }

  /** In the first ms of a process SIGHUP itself ends it, which is one more kind of kill. */
  #rotate({ create, hangup }: Rotation): void {
    if (sizeOf(this.output) === null) return; // Renamed before, and not made again yet.
    const path = `${this.output}.${this.rotated.length + 1}`;
    Deno.renameSync(this.output, path);
    this.rotated.push(path);
    if (create) this.#create();
    if (hangup) this.#program.trySignal("SIGHUP");
  }

  #create(): void {
    try {
      Deno.writeFileSync(this.output, new Uint8Array(), { createNew: true, mode: 0o640 });
    } catch (error) {
      // It was quicker.
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }

  /** Keeps what it said. */
  #note(end: string, isStopped = false): void {
    const { code, stderr } = this.#program;
    if (code !== null && !isStopped) this.ownEnds.push(`${end}, but it ended with status ${code}`);
    this.said.push(...stderr.split("\n").filter(Boolean));
    Deno.writeTextFileSync(this.#log, `${stderr}--- ${end}\n`, { append: true });
  }
}

function sizeOf(path: string): number | null {
  try {
    return Deno.statSync(path).size;
  } catch {
    return null;
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
