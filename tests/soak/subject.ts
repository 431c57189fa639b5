/** The program under test, and the supervisor that starts it again whenever it is gone. */

import { Program } from "../support/program.ts";
import type { Span } from "./oracle.ts";

/** Between two looks at whether it still runs, ms. */
const LOOK_MS = 200;
/** What systemd waits by default is 100 ms; ends in a row would fill the log. */
const RESTART_MS = 500;
/** A stop may take STOP_MS of lib/limits.ts, and 5 s in all. */
const END_MS = 15_000;

/** See the head of this file. Faults of the process go through {@linkcode Subject.alone}. */
export class Subject {
  /** From each start to its end. */
  readonly lives: Span[] = [];
  /** Ends that nobody asked for: status, time and last words. */
  readonly ownEnds: string[] = [];
  /** Stops with another status than 0. */
  readonly badStops: string[] = [];
  kills = 0;
  /** VmHWM of all lives, kilobytes. */
  peakKilobytes = 0;
  /** Whether an end by itself is what it should do now: its disk is not to be used. */
  mayEnd = false;
  /** Warnings and worse, in other numbers the same, with their counts. */
  readonly said = new Map<string, number>();
  readonly #args: string[];
  readonly #log: string;
  readonly #onStart: (pid: number) => void;
  #program: Program | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  #isBusy = false;
  /** {@linkcode Subject.mayEnd} as it was when the end was seen; null = it runs. */
  #couldEnd: boolean | null = null;
  #looking: ReturnType<typeof setInterval> | undefined;
  #saidUpTo = 0;

  /** @param log path of a file for all that it says */
  constructor(args: string[], log: string, onStart: (pid: number) => void) {
    this.#args = args;
    this.#log = log;
    this.#onStart = onStart;
  }

  /** Does something with the process that nobody else may disturb. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(async () => {
      this.#isBusy = true;
      try {
        return await work();
      } finally {
        this.#isBusy = false;
      }
    });
    this.#queue = done.catch(() => {});
    return done;
  }

  /** From here on it is kept running. */
  supervise(): void {
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Starts it. */
  start(): void {
    this.#program = Program.start({ args: this.#args, stdout: "null" });
    this.#couldEnd = null;
    this.#onStart(this.#program.pid);
    this.#saidUpTo = 0;
    this.lives.push({ fromMs: performance.now(), toMs: Infinity });
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.#measure();
    await this.#program?.kill();
    this.kills++;
    this.#ended("killed");
  }

  /** SIGTERM, and its end. */
  async stop(): Promise<void> {
    const program = this.#program;
    if (program === null) return;
    this.#measure();
    program.trySignal("SIGTERM");
    const { code, signal } = await program.end(END_MS);
    // In the first ms of a process the signal itself ends it.
    if (code !== 0 && signal !== "SIGTERM" && !(this.#couldEnd ?? this.mayEnd)) {
      this.badStops.push(`status ${code}: ${lastWords(program)}`);
    }
    this.#ended("stopped");
  }

  /** Sends a signal to whatever runs. */
  signal(signal: Deno.Signal): void {
    this.#program?.trySignal(signal);
  }

  /** Waits until it says a text after this call. */
  async says(text: string, timeoutMs: number): Promise<void> {
    await this.#program?.says(text, 0, timeoutMs);
  }

  /** Ends it whatever became of it. */
  async end(): Promise<void> {
    clearInterval(this.#looking);
    await this.#queue;
    this.#program?.trySignal("SIGCONT");
    await this.#program?.kill();
    this.#ended("killed at the end of the test");
  }

  /** No more restarts. */
  leave(): void {
    clearInterval(this.#looking);
  }

  #look(): void {
    this.#measure();
    const program = this.#program;
    if (program === null || program.code === null) return;
    // What comes after the end says nothing of it, and may take longer than a fault.
    this.#couldEnd ??= this.mayEnd;
    if (this.#isBusy) return;
    const life = this.lives.at(-1)!;
    if (performance.now() - life.fromMs < RESTART_MS) return;
    if (!this.#couldEnd) this.ownEnds.push(`status ${program.code}: ${lastWords(program)}`);
    this.#ended(`ended by itself with status ${program.code}`);
    this.start();
  }

  #measure(): void {
    const program = this.#program;
    if (program === null || program.code !== null) return;
    try {
      const status = Deno.readTextFileSync(`/proc/${program.pid}/status`);
      const kilobytes = Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0);
      this.peakKilobytes = Math.max(this.peakKilobytes, kilobytes);
    } catch {
      // It has just ended.
    }
  }

  /** Keeps what it said. */
  #ended(how: string): void {
    const life = this.lives.at(-1);
    if (this.#program === null || life === undefined || life.toMs !== Infinity) return;
    life.toMs = performance.now();
    const { stderr } = this.#program;
    Deno.writeTextFileSync(this.#log, `${stderr}--- ${how}\n`, { append: true });
    for (const line of stderr.slice(this.#saidUpTo).split("\n")) {
      const kind = line.replace(/^\S+ /, "").replaceAll(/\S*\/\S*/g, "PATH")
        .replaceAll(/\d[\d.]*/g, "N").slice(0, 150);
      if (/^(?:WARNING|ERROR|CRITICAL)/.test(kind)) {
        this.said.set(kind, (this.said.get(kind) ?? 0) + 1);
      }
    }
  }
}

function lastWords(program: Program): string {
  return program.stderr.trim().split("\n").slice(-3).join(" | ");
}
