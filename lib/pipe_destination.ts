/**
 * Standard output and FIFOs as the destination.
 *
 * Nobody can read back what went into a pipe, so here a line is written, then remembered. Lines go
 * in writes of at most PIPE_BUF bytes, which POSIX makes whole or not at all; a longer line goes
 * alone, in parts. No write may wait on the main thread, because signals would wait with it: a FIFO
 * is opened with O_NONBLOCK, and standard output (whose flags other processes share) is written
 * from another thread.
 */

import { codeOf, IoError, messageOf } from "./errors.ts";
import type { Io, IoPipe } from "./io.ts";
import { log } from "./log.ts";

/** POSIX lets a write of this many bytes to a pipe go whole (Linux: 4096). */
export const PIPE_BUF = 4096;

/** First and longest wait before a full FIFO is tried again, ms. */
const FULL_WAIT_MS = { first: 1, longest: 50 };
/** First and longest wait for a reader, ms. */
const READER_WAIT_MS = { first: 50, longest: 1000 };

/** Where lines go that cannot be read back. */
export interface PipeDestination {
  readonly kind: "pipe";
  readonly path: string;
  /**
   * Writes all the bytes, however long that takes.
   *
   * @returns false where `abandon` was raised before the first byte of them went; a line of which a
   * part is in the pipe goes on
   * @throws IoError where there is nobody left to write to
   */
  write(bytes: Uint8Array, abandon: AbortSignal): Promise<boolean>;
  release(): void;
}

/** Standard output. Its end (EPIPE) is the end of the program: nobody can reopen it. */
export class StdoutDestination implements PipeDestination {
  readonly kind = "pipe";
  readonly path = "-";
  readonly #io: Io;

  constructor(io: Io) {
    this.#io = io;
  }

  async write(bytes: Uint8Array, abandon: AbortSignal): Promise<boolean> {
    let waitMs = FULL_WAIT_MS.first;
    for (let written = 0; written < bytes.length;) {
      if (written === 0 && abandon.aborted) return false;
      try {
        written += await this.#io.writeStdout(bytes.subarray(written));
        waitMs = FULL_WAIT_MS.first;
      } catch (error) {
        // Whoever shares our standard output made it non-blocking, and it is full.
        if (codeOf(error) === "EAGAIN") {
          await this.#io.sleep(waitMs, abandon);
          waitMs = Math.min(2 * waitMs, FULL_WAIT_MS.longest);
          continue;
        }
        throw new IoError(`Cannot write to standard output: ${messageOf(error)}`);
      }
    }
    return true;
  }

  release(): void {}
}

/** A FIFO. Readers may come and go; while there is none, lines wait. */
export class FifoDestination implements PipeDestination {
  readonly kind = "pipe";
  readonly path: string;
  readonly #io: Io;
  #pipe: IoPipe | null = null;
  #isWriting = false;
  #isReleased = false;

  constructor(io: Io, path: string) {
    this.#io = io;
    this.path = path;
  }

  async write(bytes: Uint8Array, abandon: AbortSignal): Promise<boolean> {
    this.#isWriting = true;
    try {
      return await this.#writeAll(bytes, abandon);
    } finally {
      this.#isWriting = false;
      if (this.#isReleased) this.#close();
    }
  }

  /** Closes the descriptor, behind a write that is under way. */
  release(): void {
    this.#isReleased = true;
    if (!this.#isWriting) this.#close();
  }

  async #writeAll(bytes: Uint8Array, abandon: AbortSignal): Promise<boolean> {
    const wait = { full: FULL_WAIT_MS.first, reader: READER_WAIT_MS.first };
    for (let written = 0; written < bytes.length;) {
      // A line that is half in goes on: its reader would find the next one in the middle of it.
      const signal = written === 0 ? abandon : undefined;
      if (signal?.aborted) return false;
      try {
        this.#pipe ??= this.#io.openPipe(this.path);
        // No more at once: of a longer write, Deno does not tell what went before EAGAIN.
        written += this.#pipe.write(bytes.subarray(written, written + PIPE_BUF));
        wait.full = FULL_WAIT_MS.first;
        wait.reader = READER_WAIT_MS.first;
      } catch (error) {
        const code = codeOf(error);
        if (code === "EAGAIN") {
          await this.#io.sleep(wait.full, signal);
          wait.full = Math.min(2 * wait.full, FULL_WAIT_MS.longest);
        } else if (code === "ENXIO" || code === "EPIPE" || code === "ENOENT") {
          // Without a reader the descriptor stays: whoever opens the FIFO next goes on reading.
          if (wait.reader === READER_WAIT_MS.first) this.#sayWaiting(code);
          await this.#io.sleep(wait.reader, signal);
          wait.reader = Math.min(2 * wait.reader, READER_WAIT_MS.longest);
        } else {
          throw new IoError(
            `Cannot write to the FIFO ${JSON.stringify(this.path)}: ${messageOf(error)}`,
          );
        }
      }
    }
    return true;
  }

  #close(): void {
    this.#pipe?.close();
    this.#pipe = null;
  }

  #sayWaiting(code: string): void {
    log.info(
      code === "ENOENT"
        ? `The FIFO ${this.path} is gone. Events wait until it is there again.`
        : `Nobody reads the FIFO ${this.path}. Events wait for a reader.`,
    );
  }
}
