/**
 * Child processes of the tests that must not outlive them.
 */

/** A port on which nobody listens now. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A program that can be started again and again, with its output in a file. */
export class LoggedProcess {
  readonly #program: string;
  readonly #args: string[];
  readonly #logFile: string;
  #child: Deno.ChildProcess | null = null;
  #exited = false;

  constructor(program: string, args: string[], logFile: string) {
    this.#program = program;
    this.#args = args;
    this.#logFile = logFile;
  }

  /** 0 where it is stopped. */
  get pid(): number {
    return this.#exited ? 0 : this.#child?.pid ?? 0;
  }

  /** Starts it. The shell opens the log, which Deno.Command cannot, and becomes the program. */
  start(): void {
    if (this.pid !== 0) throw new Error(`${this.#program} runs already`);
    const script = 'exec "$0" "$@" >>"$LOG_FILE" 2>&1';
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", script, this.#program, ...this.#args],
      env: { LOG_FILE: this.#logFile },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#child = child;
    this.#exited = false;
    void child.status.then(() => {
      if (this.#child === child) this.#exited = true;
    });
  }

  /**
   * Waits until `isReady`.
   *
   * @throws Error with the end of the log where the process ends, or time is up
   */
  async until(deadlineMs: number, isReady: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (!await isReady()) {
      const isLate = performance.now() > end;
      if (this.#exited || isLate) {
        const why = isLate ? `is not ready after ${deadlineMs / 1000} s` : "ended";
        const log = Deno.readTextFileSync(this.#logFile).trim().split("\n").slice(-5).join("\n");
        throw new Error(`${this.#program} ${why}. The end of its log:\n${log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Sends a signal and waits for the end, with SIGKILL after `deadlineMs`. */
  async stop(signal: Deno.Signal, deadlineMs: number): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const kill = (signal: Deno.Signal) => {
      if (!this.#exited) child.kill(signal);
    };
    kill(signal);
    const timer = setTimeout(() => kill("SIGKILL"), deadlineMs);
    await child.status;
    clearTimeout(timer);
    this.#child = null;
  }
}

/**
 * Kills processes as soon as this one is gone, however it went: a shell waits for the end of the
 * pipe between us.
 */
export class Guard {
  #shell: Deno.ChildProcess | null = null;

  /** From now on it watches over these processes, and no others. */
  async watch(pids: number[]): Promise<void> {
    await this.close();
    this.#shell = new Deno.Command("/bin/sh", {
      // Ctrl-C reaches the whole group; the guard must not go before those that it guards.
      args: [
        "-c",
        'trap "" INT HUP; read -r _; kill -9 "$@" 2>/dev/null',
        "guard",
        ...pids.map(String),
      ],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  /** Watches over nothing any more. */
  async close(): Promise<void> {
    const shell = this.#shell;
    if (shell === null) return;
    this.#shell = null;
    // In this order: the end of the pipe would make it kill ids that may be someone else's by now.
    shell.kill("SIGKILL");
    await shell.status;
    await shell.stdin.abort();
  }
}
