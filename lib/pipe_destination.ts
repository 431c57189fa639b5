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
import { passes, Trouble } from "./trouble.ts";

/** POSIX lets a write of this many bytes to a pipe go whole (Linux: 4096). */
export const PIPE_BUF = 4096;

/** First and longest wait before a full FIFO is tried again, ms. */
const FULL_WAIT_MS = { first: 1, longest: 50 };
/** First and longest wait for a reader, ms. */
const READER_WAIT_MS = { first: 50, longest: 1000 };
/** A pipe that is full for this long, ms, is worth a line in the log; a busy reader is not. */
const FULL_SAID_MS = 1000;

const NEVER = new AbortController().signal;

/** Where lines go that cannot be read back. */
export interface PipeDestination {
  readonly kind: "pipe";
  readonly path: string;
  /**
   * Writes all the bytes, however long that takes.
   *
   * @param onFailure called with each failure that is waited out
   * @returns false where `abandon` was raised before the first byte of them went; a line of which a
   * part is in the pipe goes on
   * @throws IoError where there is nobody left to write to
   */
  write(bytes: Uint8Array, abandon: AbortSignal, onFailure?: OnFailure): Promise<boolean>;
  release(): void;
}

/** Told of a failure that is waited out. */
type OnFailure = (error: unknown) => void;

/** Says once that lines wait, and once that they do not any more. */
class Stall {
  readonly #io: Io;
  #sinceMs: number | null = null;
  #said = "";

  constructor(io: Io) {
    this.#io = io;
  }

  /** Nothing went, because of `why`; it is said after so many ms of that. */
  waits(why: string, patienceMs: number): void {
    const nowMs = this.#io.monotonicMs();
    this.#sinceMs ??= nowMs;
    if (why === this.#said || nowMs - this.#sinceMs < patienceMs) return;
    this.#said = why;
    log.warning(`${why} Events wait.`);
  }

  /** Something went to `name`. */
  over(name: string): void {
    if (this.#said !== "") {
      const seconds = (this.#io.monotonicMs() - (this.#sinceMs ?? 0)) / 1000;
      log.info(`Lines go to ${name} again, after ${seconds.toFixed(1)} s.`);
    }
    this.#said = "";
    this.#sinceMs = null;
  }
}

/**
 * Standard output. Its end (EPIPE) is the end of the program: nobody can reopen it. Where it is a
 * file, a full disk is waited for.
 */
export class StdoutDestination implements PipeDestination {
  readonly kind = "pipe";
  readonly path = "-";
  readonly #io: Io;
  readonly #stall: Stall;
  readonly #trouble: Trouble;

  constructor(io: Io) {
    this.#io = io;
    this.#stall = new Stall(io);
    this.#trouble = new Trouble(io, "write to standard output");
  }

  async write(
    bytes: Uint8Array,
    abandon: AbortSignal,
    onFailure: OnFailure = () => {},
  ): Promise<boolean> {
    let waitMs = FULL_WAIT_MS.first;
    for (let written = 0; written < bytes.length;) {
      if (written === 0 && abandon.aborted) return false;
      try {
        // No more at once: of a longer write, Deno does not tell what went before EAGAIN.
        written += await this.#writeSome(bytes.subarray(written, written + PIPE_BUF));
        waitMs = FULL_WAIT_MS.first;
      } catch (error) {
        onFailure(error);
        // Whoever shares our standard output made it non-blocking, and it is full.
        if (codeOf(error) === "EAGAIN") {
          this.#sayFull(FULL_SAID_MS);
          await this.#io.sleep(waitMs, abandon);
          waitMs = Math.min(2 * waitMs, FULL_WAIT_MS.longest);
        } else if (passes(error)) {
          await this.#trouble.pause(error, NEVER, abandon);
        } else throw new IoError(`Cannot write to standard output: ${messageOf(error)}`);
      }
    }
    return true;
  }

  release(): void {}

  async #writeSome(bytes: Uint8Array): Promise<number> {
    this.#sayFull(FULL_SAID_MS); // The time runs from here on.
    const cancel = this.#io.after(FULL_SAID_MS, () => this.#sayFull(0));
    try {
      const written = await this.#io.writeStdout(bytes);
      this.#stall.over("standard output");
      this.#trouble.over();
      return written;
    } finally {
      cancel();
    }
  }

  #sayFull(patienceMs: number): void {
    this.#stall.waits("Standard output is full: nobody reads what is in it.", patienceMs);
  }
}

/** A FIFO. Readers may come and go; while there is none, lines wait. */
export class FifoDestination implements PipeDestination {
  readonly kind = "pipe";
  readonly path: string;
  readonly #io: Io;
  readonly #stall: Stall;
  #pipe: IoPipe | null = null;
  #isWriting = false;
  #isReleased = false;

  constructor(io: Io, path: string) {
    this.#io = io;
    this.#stall = new Stall(io);
    this.path = path;
  }

  async write(
    bytes: Uint8Array,
    abandon: AbortSignal,
    onFailure: OnFailure = () => {},
  ): Promise<boolean> {
    this.#isWriting = true;
    try {
      return await this.#writeAll(bytes, abandon, onFailure);
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

  async #writeAll(
    bytes: Uint8Array,
    abandon: AbortSignal,
    onFailure: OnFailure,
  ): Promise<boolean> {
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
        this.#stall.over(`the FIFO ${this.path}`);
      } catch (error) {
        const code = codeOf(error);
        onFailure(error);
        if (code === "EAGAIN") {
          const why = `The FIFO ${this.path} is full: its reader does not read.`;
          this.#stall.waits(why, FULL_SAID_MS);
          await this.#io.sleep(wait.full, signal);
          wait.full = Math.min(2 * wait.full, FULL_WAIT_MS.longest);
        } else if (code === "ENXIO" || code === "EPIPE" || code === "ENOENT") {
          // Without a reader the descriptor stays: whoever opens the FIFO next goes on reading.
          const isGone = code === "ENOENT";
          const why = isGone
            ? `The FIFO ${this.path} is gone.`
            : `Nobody reads the FIFO ${this.path}.`;
          this.#stall.waits(why, 0);
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
}
