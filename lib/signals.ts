/**
 * Signals, listened to from the first moment: SIGHUP kills a process that does not.
 *
 * Until the program is up, SIGHUP has nothing to reopen and a stop signal ends the process at once:
 * a start that is cut off is started over.
 */

import { EXIT_MS } from "./limits.ts";

const STOP_SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;

/** What to do at which signal. */
export class Signals {
  onHangup: () => void = () => {};
  onStop: (signal: string) => void = () => Deno.exit(0);
  #stopped = false;

  /** Starts to listen. */
  constructor() {
    Deno.addSignalListener("SIGHUP", () => this.onHangup());
    for (const signal of STOP_SIGNALS) {
      Deno.addSignalListener(signal, () => this.#stop(signal));
    }
  }

  #stop(signal: string): void {
    if (this.#stopped) return;
    this.#stopped = true;
    // A write that hangs in the kernel must not keep us: recovery goes on from what is on disk.
    setTimeout(() => Deno.exit(0), EXIT_MS);
    this.onStop(signal);
  }
}
