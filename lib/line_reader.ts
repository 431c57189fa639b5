/**
 * The lines of a file, plain or gzip, read in pieces: memory does not grow with the file.
 *
 * A program may append to the file meanwhile. It is read up to the size that it had when it was
 * opened; what stands there without a newline is looked at again until it has one.
 */

import { pipeline, Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { codeOf, IoError, messageOf } from "./errors.ts";
import type { Io, IoFile } from "./io.ts";
import { FILE_READ_BYTES, LINE_KEPT_BYTES_MAX } from "./limits.ts";
import { openToRead, readError } from "./read_only.ts";
import { lookAgain } from "./second_look.ts";

const NEWLINE = 0x0a;

/** A line that was read. Its bytes are valid until `visit` returns. */
export interface Line {
  bytes: Uint8Array;
  /** Where it begins in `bytes`. */
  start: number;
  /** Where it ends in `bytes`, its newline not included. */
  end: number;
  /** Where it begins in the file (unpacked), bytes. */
  offset: number;
  /** Its true length without the newline, bytes. */
  length: number;
  /** It is the last one, and no newline follows. */
  isUnfinished: boolean;
}

/** A file that is open for reading. */
export class LineFile {
  readonly path: string;
  readonly dev: number;
  readonly ino: number;
  /** When it was opened, bytes on disk. */
  readonly size: number;
  readonly isGzip: boolean;
  readonly #io: Io;
  readonly #file: IoFile;

  private constructor(io: Io, path: string, file: IoFile) {
    const { dev, ino, size } = file.stat();
    this.path = path;
    this.dev = dev;
    this.ino = ino;
    this.size = size;
    this.#io = io;
    this.#file = file;
    // By its first bytes, not by its name: no line of JSON begins with them.
    const magic = new Uint8Array(2);
    this.isGzip = this.#readAt(magic, 0) === 2 && magic[0] === 0x1f && magic[1] === 0x8b;
  }

  /**
   * Opens a file.
   *
   * @returns null where there is none
   * @throws IoError where it cannot be read
   */
  static open(io: Io, path: string): LineFile | null {
    const file = openToRead(io, path, "the file");
    if (file === null) return null;
    try {
      return new LineFile(io, path, file);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Reads all lines, the unfinished one at the end too.
   *
   * @param visit returns false to end the reading
   * @throws IoError where it cannot be read or unpacked
   */
  async eachLine(visit: (line: Line) => boolean): Promise<void> {
    const cutter = new LineCutter(visit);
    for await (const chunk of this.#chunks()) {
      if (!cutter.take(chunk)) return;
    }
    if (cutter.unfinished === 0) return;
    // Somebody may be writing it: in a moment it is finished, or taken back.
    const last = this.isGzip
      ? "unfinished"
      : await lookAgain(this.#io, () => this.#lineAt(cutter.offset), (it) => it !== "unfinished");
    if (last === "unfinished") {
      cutter.finish(true);
    } else if (last !== null) {
      cutter.restart();
      cutter.take(last);
    }
  }

  /**
   * After this, what was read survives a power loss.
   *
   * @throws IoError where the operating system refuses
   */
  syncNow(): void {
    try {
      this.#file.syncNow();
    } catch (error) {
      // A file system that cannot be written has nothing to sync.
      if (["EINVAL", "EROFS"].includes(codeOf(error) ?? "")) return;
      throw new IoError(`Cannot sync the file ${JSON.stringify(this.path)}: ${messageOf(error)}.`);
    }
  }

  /** Closes the file. */
  release(): void {
    this.#file.close();
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    const raw = this.#rawChunks();
    if (!this.isGzip) return yield* raw;
    // It takes several gzip files in a row, as zcat does; DecompressionStream refuses them.
    const gunzip = createGunzip();
    pipeline(Readable.from(raw, { highWaterMark: 1 }), gunzip, () => {}); // Its error comes here:
    try {
      yield* gunzip as AsyncIterable<Uint8Array>;
    } catch (error) {
      if (error instanceof IoError) throw error;
      throw new IoError(
        `Cannot unpack the file ${JSON.stringify(this.path)}: ${messageOf(error)}. It is damaged ` +
          "or still being written.",
      );
    }
  }

  *#rawChunks(): Generator<Uint8Array<ArrayBuffer>> {
    for (let offset = 0; offset < this.size;) {
      const chunk = new Uint8Array(Math.min(FILE_READ_BYTES, this.size - offset));
      const read = this.#readAt(chunk, offset);
      if (read === 0) return; // Somebody cut it.
      yield chunk.subarray(0, read);
      offset += read;
    }
  }

  /** The line at this offset with its newline; null where nothing is there any more. */
  #lineAt(offset: number): Uint8Array | "unfinished" | null {
    const size = this.#file.size();
    if (size <= offset) return null;
    const bytes = new Uint8Array(Math.min(size - offset, LINE_KEPT_BYTES_MAX));
    const end = bytes.subarray(0, this.#readAt(bytes, offset)).indexOf(NEWLINE);
    return end < 0 ? "unfinished" : bytes.subarray(0, end + 1);
  }

  #readAt(into: Uint8Array, offset: number): number {
    try {
      return this.#file.readAt(into, offset);
    } catch (error) {
      throw codeOf(error) === undefined ? error : readError(this.path, "the file", error);
    }
  }
}

/** Cuts chunks at their newlines. */
class LineCutter {
  readonly #visit: (line: Line) => boolean;
  /** The beginning of a line whose end has not come, as far as it is kept. */
  #kept = new Uint8Array(FILE_READ_BYTES);
  /** Bytes of it that came, kept or not. */
  #unfinished = 0;
  #offset = 0;

  constructor(visit: (line: Line) => boolean) {
    this.#visit = visit;
  }

  /** Bytes behind the last newline. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** Where the line begins that comes next. */
  get offset(): number {
    return this.#offset;
  }

  /** Takes the next chunk; false where no more is wanted. */
  take(chunk: Uint8Array): boolean {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end < 0) break;
      if (this.#unfinished > 0) {
        this.#keep(chunk.subarray(start, end));
        if (!this.finish(false)) return false;
      } else if (!this.#give(chunk, start, end, end - start, false)) return false;
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return true;
  }

  /** Gives what came of the line. */
  finish(isUnfinished: boolean): boolean {
    const length = this.#unfinished;
    this.#unfinished = 0;
    return this.#give(this.#kept, 0, Math.min(length, LINE_KEPT_BYTES_MAX), length, isUnfinished);
  }

  /** Forgets what came of the line: it is given again from its beginning. */
  restart(): void {
    this.#unfinished = 0;
  }

  #give(
    bytes: Uint8Array,
    start: number,
    end: number,
    length: number,
    isUnfinished: boolean,
  ): boolean {
    const offset = this.#offset;
    this.#offset += length + 1;
    return this.#visit({ bytes, start, end, offset, length, isUnfinished });
  }

  #keep(part: Uint8Array): void {
    const from = Math.min(this.#unfinished, LINE_KEPT_BYTES_MAX);
    const end = Math.min(from + part.length, LINE_KEPT_BYTES_MAX);
    if (end > this.#kept.length) {
      const larger = new Uint8Array(
        Math.min(LINE_KEPT_BYTES_MAX, Math.max(end, 2 * this.#kept.length)),
      );
      larger.set(this.#kept.subarray(0, from));
      this.#kept = larger;
    }
    this.#kept.set(part.subarray(0, end - from), from);
    this.#unfinished += part.length;
  }
}
