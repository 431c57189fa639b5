/** The real program as a process of its own: started, watched through its log, signalled, ended. */

import { programCommand } from "./binary.ts";
import { until } from "./temp.ts";

/** How to start it. */
export interface ProgramOptions {
  args?: string[];
  /** Added to a small environment that holds nothing of the tester's own kubeconfig. */
  env?: Record<string, string>;
  /** Where its stdout goes; a path is a file or FIFO that is opened as `>>` does. */
  stdout?: "piped" | "null" | { path: string };
  /** The folder that it starts in. */
  cwd?: string;
  /** Whom it runs as; only root may choose. */
  uid?: number;
}

/** A running program. */
export class Program {
  readonly #child: Deno.ChildProcess;
  readonly #pumps: Promise<void>[] = [];
  #stderr = "";
  #stdout = "";
  #status: Deno.CommandStatus | null = null;
  readonly #ended: Promise<Deno.CommandStatus>;

  private constructor(child: Deno.ChildProcess, stdout: boolean) {
    this.#child = child;
    this.#pumps.push(pump(child.stderr, (text) => this.#stderr += text));
    if (stdout) this.#pumps.push(pump(child.stdout, (text) => this.#stdout += text));
    this.#ended = child.status.then(async (status) => {
      await Promise.all(this.#pumps);
      this.#status = status;
      return status;
    });
  }

  /** Starts the program; it is not up yet when this returns. */
  static start(options: ProgramOptions = {}): Program {
    const { cmd, args } = programCommand();
    const { stdout = "piped" } = options;
    const line = [cmd, ...args, ...(options.args ?? [])];
    // The shell opens the file, which Deno.Command cannot, and becomes the program.
    const shell = ["/bin/sh", "-c", 'exec "$@" >>"$STDOUT"', "sh"];
    const [head = "", ...rest] = typeof stdout === "string" ? line : [...shell, ...line];
    const child = new Deno.Command(head, {
      args: rest,
      env: {
        ...environment(),
        ...options.env,
        ...(typeof stdout === "string" ? {} : { STDOUT: stdout.path }),
      },
      clearEnv: true,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
      stdin: "null",
      stdout: typeof stdout === "string" ? stdout : "null",
      stderr: "piped",
    }).spawn();
    return new Program(child, stdout === "piped");
  }

  /** Starts it and waits for its end. */
  static async run(options: ProgramOptions = {}, timeoutMs = 30_000): Promise<Program> {
    const program = Program.start(options);
    await program.end(timeoutMs);
    return program;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** All that it said on stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** All that it wrote to stdout so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** Its exit status; null while it runs or where a signal killed it. */
  get code(): number | null {
    return this.#status === null || this.#status.signal !== null ? null : this.#status.code;
  }

  /** Waits until its log says `text`, from `from` on; returns the index behind it. */
  async says(text: string, from = 0, timeoutMs = 30_000): Promise<number> {
    try {
      await until(`the program says ${JSON.stringify(text)}`, () => {
        if (this.#stderr.indexOf(text, from) >= 0) return true;
        if (this.#status !== null) throw new Error(`It ended with status ${this.#status.code}`);
        return false;
      }, timeoutMs);
    } catch (error) {
      throw new Error(`${(error as Error).message}\nIts log:\n${this.#stderr}`);
    }
    return this.#stderr.indexOf(text, from) + text.length;
  }

  /** Sends a signal. One to a process that has just ended is lost, as with kill(1). */
  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // "already terminated"
    }
  }

  /** Sends a signal unless it has ended. */
  trySignal(signal: Deno.Signal): void {
    if (this.#status === null) this.signal(signal);
  }

  /** Waits for its end; kills it after the time is up. */
  async end(timeoutMs = 10_000): Promise<Deno.CommandStatus> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#child.kill("SIGKILL");
    }, timeoutMs);
    const status = await this.#ended;
    clearTimeout(timer);
    if (late) throw new Error(`It did not end within ${timeoutMs} ms. Its log:\n${this.#stderr}`);
    return status;
  }

  /** Sends a stop signal and waits for the end. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Deno.CommandStatus> {
    if (this.#status !== null) return this.#status;
    this.signal(signal);
    return await this.end();
  }

  /** Kills it, as kill -9 does. */
  async kill(): Promise<void> {
    this.trySignal("SIGKILL");
    await this.#ended;
  }
}

async function pump(stream: ReadableStream<Uint8Array>, take: (text: string) => void) {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) take(text);
}

/** What any program needs, and what `deno run` needs to find its packages. */
function environment(): Record<string, string> {
  const names = ["PATH", "HOME", "DENO_DIR", "TMPDIR", "NPM_CONFIG_REGISTRY"];
  // Named, so that a test which sets another HOME does not lose the packages of `deno run`.
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? ""}/.cache`;
  const env: Record<string, string> = { DENO_DIR: `${cache}/deno` };
  for (const name of names) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return env;
}
