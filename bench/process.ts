/** Processes under measurement: what they used, as the kernel counts it. Linux alone. */

import { until } from "../tests/support/temp.ts";

/** Milliseconds of a tick of /proc/PID/stat; USER_HZ is 100 on every Linux of today. */
const TICK_MS = 10;

/** What a process used so far. */
export interface Usage {
  /** User and system time, ms. */
  cpuMs: number;
  /** Resident now, MB. */
  rssMb: number;
  /** Of it what no file backs, MB. */
  anonMb: number;
  /** The most that was resident, MB. */
  peakMb: number;
}

/** Reads what a running process used. */
export function usageOf(pid: number): Usage {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ").at(-1)!.split(" ");
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const mb = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]) / 1e3;
  return {
    cpuMs: TICK_MS * (Number(stat[11]) + Number(stat[12])),
    rssMb: mb("VmRSS"),
    anonMb: mb("RssAnon"),
    peakMb: mb("VmHWM"),
  };
}

/**
 * CPU time that the threads of a process used which still run, ms, as exact as the scheduler has it:
 * ticks are too coarse for a process that hardly runs.
 */
export function exactCpuMs(pid: number): number {
  let nanoseconds = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(
      Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`).split(" ")[0],
    );
  }
  return nanoseconds / 1e6;
}

/** Milliseconds since 1970 with fractions, the same in all processes of the machine. */
export function clockMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Waits without a burden until the file has so many bytes; returns when that was seen. */
export async function fileReaches(
  path: string,
  bytes: number,
  timeoutMs = 300_000,
): Promise<number> {
  for (const endMs = clockMs() + timeoutMs; sizeOf(path) < bytes;) {
    if (clockMs() > endMs) throw new Error(`Only ${sizeOf(path)} of ${bytes} bytes came in time`);
    await sleep(2);
  }
  return clockMs();
}

/** The size of a file; 0 where there is none. */
export function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

/** Waits. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A process of the bench that is stopped by its id. */
export class Child {
  readonly #child: Deno.ChildProcess;
  readonly #log: Promise<void>;
  /** What it said on stderr. */
  log = "";
  #ended = false;

  constructor(command: string, args: string[], env: Record<string, string> = {}) {
    this.#child = new Deno.Command(command, {
      ...{ args, env, stdin: "null", stdout: "null", stderr: "piped" },
    }).spawn();
    this.#log = this.#readLog();
  }

  get pid(): number {
    return this.#child.pid;
  }

  get usage(): Usage {
    return usageOf(this.pid);
  }

  /** Waits until it said something. */
  says(text: string): Promise<void> {
    return until(`it says ${text}: ${this.log}`, () => this.log.includes(text) || this.#ended);
  }

  async #readLog(): Promise<void> {
    const text = this.#child.stderr.pipeThrough(new TextDecoderStream());
    for await (const part of text) this.log += part;
    this.#ended = true;
  }

  /** Ends it and waits for that. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    try {
      this.#child.kill(signal);
    } catch {
      // It ended by itself.
    }
    await this.#child.status;
    await this.#log;
  }
}

/** What a command that ends by itself printed, and the CPU time that it used. */
export async function timed(
  command: string,
  args: string[],
): Promise<{ stdout: string; cpuMs: number }> {
  // `times` of the shell: the second line is what its children used, user and system.
  const script = '"$@" || exit; echo; times >&2';
  const output = await new Deno.Command("/bin/sh", {
    args: ["-c", script, "sh", command, ...args],
    env: { LC_ALL: "C" },
    stdin: "null",
  }).output();
  const stderr = new TextDecoder().decode(output.stderr);
  if (!output.success) throw new Error(`${command} failed: ${stderr}`);
  const children = stderr.trim().split("\n").at(-1)!;
  const times = [...children.matchAll(/(\d+)m([\d.]+)s/g)];
  const cpuMs = times.reduce((sum, [, m, s]) => sum + 60_000 * Number(m) + 1000 * Number(s), 0);
  return { stdout: new TextDecoder().decode(output.stdout), cpuMs };
}
