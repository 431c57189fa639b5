/**
 * A regular file as the destination: appends whole lines, knows how far they go, and notices when
 * the file was renamed, deleted, replaced or cut behind our back.
 *
 * It decides nothing: when to sync, and when to turn to another file, is lib/commit.ts.
 */

import type { FileMark } from "./checkpoint.ts";
import { codeOf, IoError, messageOf, StateError, UsageError } from "./errors.ts";
import { identityHex } from "./identity.ts";
import type { Io, IoFile } from "./io.ts";
import { log } from "./log.ts";
import { Murmur3 } from "./murmur3.ts";
import { folderOf } from "./paths.ts";
import { passes } from "./trouble.ts";
import { writeAnew } from "./unsynced.ts";

/** Bytes before an offset that its hash covers. */
export const TAIL_HASH_BYTES = 4096;

/** What became of the path since the file was opened. */
export type PathState = "same" | "vanished" | "replaced";

/** What others did to the file: they added bytes to it, or took some away (copytruncate). */
export type OthersDeed = "added" | "cut";

const NEWLINE = 0x0a;

/** An open destination file. `offset` is always at the end of a whole line, ours or another's. */
export class FileDestination {
  readonly kind = "file";
  readonly path: string;
  readonly #io: Io;
  readonly #file: IoFile;
  readonly #origin: Pick<FileMark, "dev" | "ino" | "birthMs">;
  #offset: number;
  /** The size as far as is known: above the offset where somebody else's line is unfinished. */
  #size: number;
  /** An unfinished line of ours at the end of the file that could not be cut at once. */
  #torn: { start: number; end: number } | null = null;
  #others: OthersDeed | null = null;
  /** Where the bytes end that the last sync made durable. */
  #synced: number;
  #isReleased = false;

  private constructor(io: Io, path: string, file: IoFile, offset: number) {
    const { dev, ino, birthMs } = file.stat();
    this.#io = io;
    this.path = path;
    this.#file = file;
    this.#origin = { dev, ino, birthMs };
    this.#offset = offset;
    this.#size = offset;
    this.#synced = offset;
  }

  /**
   * Opens the file, or makes it (0640, its folder synced), and takes the lock on it. Where its last
   * byte is no newline, somebody else's line is unfinished: a newline is added and synced.
   *
   * @throws UsageError where its folder is missing or it is a directory; StateError where another
   * process appends to it; IoError where the operating system refuses
   */
  static async open(io: Io, path: string): Promise<FileDestination> {
    let file: IoFile;
    try {
      file = io.open(path, { mode: "append", create: 0o640 });
    } catch (error) {
      throw openError(path, error);
    }
    try {
      // Also where it existed: logrotate's "create" does not make the name durable.
      io.syncFolder(folderOf(path));
      if (!await file.lock()) {
        throw new StateError(
          `Cannot use the destination ${JSON.stringify(path)}: another process holds its lock. ` +
            "Stop that instance, or give this one another --destination.",
        );
      }
      return new FileDestination(io, path, file, endOfLines(file));
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** End of the last whole line, bytes from the start of the file. */
  get offset(): number {
    return this.#offset;
  }

  /** Half a line of ours is at the end, which could not be cut yet. */
  get isTorn(): boolean {
    return this.#torn !== null;
  }

  /**
   * Appends lines. Where the operating system stops half-way, the file is cut to its last whole
   * line; where there is no room even for that (btrfs), before the next line is appended. Where
   * somebody else left a line unfinished, a newline ends it first.
   *
   * @param bytes whole lines, each with its newline
   * @returns how many of the bytes stay in the file, and what stopped the rest: the operating
   * system's error, or an IoError where the cut is not possible (the next start mends it)
   */
  append(bytes: Uint8Array): { kept: number; error: unknown } {
    const uncut = this.#cut();
    if (uncut !== null) return { kept: 0, error: uncut };
    let written = 0;
    try {
      this.#lookAtEnd();
      if (this.#offset < this.#size) this.#grow(this.#file.append(Uint8Array.of(NEWLINE)));
      while (written < bytes.length) written += this.#file.append(bytes.subarray(written));
      this.#grow(written);
      return { kept: written, error: null };
    } catch (error) {
      const kept = bytes.subarray(0, written).lastIndexOf(NEWLINE) + 1;
      if (kept > 0) this.#grow(kept);
      if (written > kept) {
        const size = this.#file.size();
        this.#torn = { start: size - (written - kept), end: size };
      }
      return { kept, error: this.#cut() ?? error };
    }
  }

  /** Takes an unfinished line of ours from the end, durably, if that is possible by now. */
  mend(): void {
    if (this.#torn !== null && this.#cut() === null) this.#file.syncNow();
  }

  /** After this, all that was appended before the call survives a power loss. */
  async sync(): Promise<void> {
    const size = this.#file.size();
    try {
      await this.#file.sync();
      this.#synced = size;
    } catch (error) {
      writeAnew(this.#file, this.path, this.#synced, (bytes) => this.#file.append(bytes));
      throw error;
    }
  }

  /** Whether the path still leads to this file. */
  pathState(): PathState {
    const now = this.#io.stat(this.path);
    if (now === null) return "vanished";
    const { dev, ino } = this.#origin;
    return now.dev === dev && now.ino === ino ? "same" : "replaced";
  }

  /** No name leads to the file any more: what is in it goes when it is closed. */
  unlinked(): boolean {
    return this.#file.stat().nlink === 0;
  }

  /** What others did to the file since this was asked last; null = nothing. */
  others(): OthersDeed | null {
    this.#lookAtEnd();
    const deed = this.#others;
    this.#others = null;
    return deed;
  }

  /** Reads bytes that were appended, for a file that took the place of an unlinked one. */
  read(from: number, end: number): Uint8Array {
    const bytes = new Uint8Array(end - from);
    return bytes.subarray(0, this.#file.readAt(bytes, from));
  }

  /** What a checkpoint says of the file when all before `offset` is durable. */
  mark(offset: number): FileMark {
    return {
      path: this.path,
      ...this.#origin,
      offset,
      tailHash: tailHash(this.#file, offset),
    };
  }

  /** Closes the file, once; its lock goes with it. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.#cut() !== null) log.warning(`What was ${this.path} ends in an unfinished line.`);
    this.#file.close();
  }

  /** Whole lines were appended. */
  #grow(bytes: number): void {
    this.#size += bytes;
    this.#offset = this.#size;
  }

  /** Notices what others did: from here on size and offset are those of the true end again. */
  #lookAtEnd(): void {
    const size = this.#file.size();
    const end = Math.min(size, this.#torn?.start ?? size);
    const bytes = end - this.#size;
    if (bytes === 0) return;
    this.#size = end;
    if (endsLine(this.#file, end)) this.#offset = end;
    if (bytes > 0) {
      this.#others ??= "added";
      log.warning(`Somebody else wrote ${bytes} bytes to ${this.path}.`);
      return;
    }
    this.#others = "cut";
    if (this.#offset > end) this.#offset = 0; // Where its last line begins is not known.
    log.warning(
      `Somebody cut ${this.path} by ${-bytes} bytes (copytruncate?). Lines may be lost or torn by ` +
        "that; rename it and send SIGHUP instead.",
    );
  }

  /**
   * Takes an unfinished line from the end.
   *
   * @returns what is against it: an error that passes, or an IoError; null where all is well
   */
  #cut(): unknown {
    if (this.#torn === null) return null;
    const { start, end } = this.#torn;
    try {
      const size = this.#file.size();
      if (size > end) throw new Error("somebody else wrote behind it");
      if (size > start) this.#file.truncate(start); // Else somebody cut more (copytruncate).
      this.#torn = null;
      return null;
    } catch (error) {
      return passes(error) ? error : new IoError(
        `Cannot cut the destination ${JSON.stringify(this.path)} to its last whole line: ` +
          messageOf(error),
      );
    }
  }
}

/**
 * Hash (hex) of the last `min(offset, 4096)` bytes before `offset`, by which a file is known again.
 */
export function tailHash(file: IoFile, offset: number): string {
  const bytes = new Uint8Array(Math.min(offset, TAIL_HASH_BYTES));
  const read = file.readAt(bytes, offset - bytes.length);
  const hash = new Murmur3();
  const lanes = new Uint32Array(4);
  hash.reset();
  hash.update(bytes, 0, read);
  hash.finish(lanes);
  return identityHex(lanes);
}

/** The size of the file, after a newline was added where the last byte is none. */
function endOfLines(file: IoFile): number {
  const size = file.size();
  if (endsLine(file, size)) return size;
  file.append(Uint8Array.of(NEWLINE));
  file.syncNow();
  return size + 1;
}

/** Whether a line ends, or the file begins, at this offset. */
function endsLine(file: IoFile, offset: number): boolean {
  const last = new Uint8Array(1);
  return offset === 0 || file.readAt(last, offset - 1) === 1 && last[0] === NEWLINE;
}

function openError(path: string, error: unknown): Error {
  const quoted = JSON.stringify(path);
  switch (codeOf(error)) {
    case "ENOENT":
      return new UsageError(
        `Cannot open the destination ${quoted}: the folder ${
          JSON.stringify(folderOf(path))
        } does ` +
          "not exist. Make it, or change --destination; folders are not made by this program.",
      );
    case "EISDIR":
      return new UsageError(
        `Cannot open the destination ${quoted}: it is a directory. Name a file in it.`,
      );
    case "EACCES":
    case "EPERM":
      return new StateError(
        `Cannot open the destination ${quoted}: ${
          messageOf(error)
        }. Give the user of this process ` +
          "read and write permission on the file and in its folder, or change --destination.",
      );
    default:
      return new IoError(`Cannot open the destination ${quoted}: ${messageOf(error)}`);
  }
}
