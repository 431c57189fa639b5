/** Whether the path of a destination still leads to its file, and what follows if it does not. */

import type { FileDestination } from "./file_destination.ts";
import type { Io } from "./io.ts";
import { VANISHED_WAIT_MS } from "./limits.ts";
import { log } from "./log.ts";

/** Looked at after each sync. */
export class PathWatch {
  readonly #io: Io;
  readonly #hold: () => void;
  readonly #switchFile: () => void;
  #cancelWait: (() => void) | null = null;

  /** @param hold lets nothing be appended until the switch is made */
  constructor(io: Io, hold: () => void, switchFile: () => void) {
    this.#io = io;
    this.#hold = hold;
    this.#switchFile = switchFile;
  }

  /**
   * Asks for a switch where another file is at the path. A path that leads nowhere is given time:
   * logrotate makes the new file with O_EXCL before it sends SIGHUP.
   */
  look(file: FileDestination): void {
    const state = file.pathState();
    if (state === "replaced") this.#switchFile();
    if (state !== "vanished" || this.#cancelWait !== null) return;
    const seconds = VANISHED_WAIT_MS / 1000;
    log.info(
      `${file.path} was renamed or deleted. It is made again in ${seconds} s, or at SIGHUP.`,
    );
    this.#hold();
    this.#cancelWait = this.#io.after(VANISHED_WAIT_MS, this.#switchFile);
  }

  /** A switch is made, or the process stops: nothing is waited for any more. */
  cancel(): void {
    this.#cancelWait?.();
    this.#cancelWait = null;
  }
}
