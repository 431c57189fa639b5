/**
 * The files that lines went to: the destination, those renamed from it, and those deleted, which
 * are read to their end through a handle that changes no link count.
 *
 * On a small file system the old ones have to go. One is read and removed when no checkpoint names
 * it any more: then neither the running program nor a recovery looks at it again.
 */

import { Ledger } from "./ledger.ts";

/** A file is left alone for so long, ms, whatever the checkpoint says. */
const SETTLED_MS = 5_000;

interface OldFile {
  name: string;
  file: Deno.FsFile;
  ino: number;
  isDeleted: boolean;
  sinceMs: number;
}

/** See the head of this file. */
export class DestinationFiles {
  /** Renamed so far. */
  rotations = 0;
  /** Deleted so far. */
  deletions = 0;
  readonly path: string;
  readonly #checkpoint: string;
  readonly #ledger = new Ledger();
  #old: OldFile[] = [];

  /** @param state the state folder */
  constructor(path: string, state: string) {
    this.path = path;
    this.#checkpoint = `${state}/checkpoint`;
  }

  /** Renames the destination, as logrotate does. False where that cannot be done now. */
  rotate(): boolean {
    const name = `${this.path}.${this.rotations + 1}`;
    if (!this.#part(name, false, () => Deno.renameSync(this.path, name))) return false;
    this.rotations++;
    return true;
  }

  /** Makes an empty file in its place, as logrotate's "create" does. */
  create(): void {
    // The program may be quicker, or there is no room or no right for it.
    tolerating(["EEXIST", "ENOSPC", "EROFS"], () => {
      Deno.writeFileSync(this.path, new Uint8Array(), { createNew: true, mode: 0o640 });
    });
  }

  /** Deletes the destination. False where that cannot be done now. */
  delete(): boolean {
    const name = `deleted ${this.deletions + 1}`;
    if (!this.#part(name, true, () => Deno.removeSync(this.path))) return false;
    this.deletions++;
    return true;
  }

  /** Reads and removes what nobody looks at any more. */
  collect(): void {
    const named = this.#inodesOfCheckpoint();
    if (named === null) return;
    this.#old = this.#old.filter(({ name, file, ino, isDeleted, sinceMs }) => {
      if (named.has(ino) || performance.now() - sinceMs < SETTLED_MS) return true;
      if (!isDeleted && !tolerating(["EROFS"], () => Deno.removeSync(name))) return true;
      this.#ledger.add(name, readAll(file), isDeleted);
      file.close();
      return false;
    });
  }

  /** The paths that are still there, oldest first. */
  get paths(): string[] {
    const old = this.#old.filter(({ isDeleted }) => !isDeleted).map(({ name }) => name);
    return sizeOf(this.path) === null ? old : [...old, this.path];
  }

  /** Of the destination as it is now; null where there is none. */
  get size(): number | null {
    return sizeOf(this.path);
  }

  /** A ledger of the files that are not collected yet, beside that of the others. */
  now(): Ledger {
    const ledger = new Ledger();
    this.#read(ledger);
    return ledger;
  }

  /** What was collected. */
  get collected(): Ledger {
    return this.#ledger;
  }

  /** Reads all that is left; nothing may be asked afterwards. */
  finish(): Ledger {
    this.#read(this.#ledger);
    for (const { file } of this.#old) file.close();
    this.#old = [];
    return this.#ledger;
  }

  #read(ledger: Ledger): void {
    for (const { name, file, isDeleted } of this.#old) ledger.add(name, readAll(file), isDeleted);
    if (this.size !== null) ledger.add(this.path, Deno.readTextFileSync(this.path), false);
  }

  /** Takes the destination's name from its file, which stays open to be read. */
  #part(name: string, isDeleted: boolean, part: () => void): boolean {
    if (sizeOf(this.path) === null) return false;
    const file = Deno.openSync(this.path);
    if (!tolerating(["EROFS"], part)) {
      file.close();
      return false;
    }
    const { ino } = file.statSync();
    this.#old.push({ name, file, ino: ino!, isDeleted, sinceMs: performance.now() });
    return true;
  }

  #inodesOfCheckpoint(): Set<number> | null {
    try {
      const text = new TextDecoder("latin1").decode(Deno.readFileSync(this.#checkpoint));
      return new Set(Array.from(text.matchAll(/"ino":(\d+)/g), ([, ino]) => Number(ino)));
    } catch {
      return null;
    }
  }
}

function readAll(file: Deno.FsFile): string {
  const bytes = new Uint8Array(file.statSync().size);
  file.seekSync(0, Deno.SeekMode.Start);
  let at = 0;
  while (at < bytes.length) {
    const read = file.readSync(bytes.subarray(at));
    if (read === null) break;
    at += read;
  }
  return new TextDecoder().decode(bytes.subarray(0, at));
}

/** Does something; false where it fails with one of these errors of the operating system. */
function tolerating(codes: string[], action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (codes.includes((error as { code?: string }).code ?? "")) return false;
    throw error;
  }
}

function sizeOf(path: string): number | null {
  try {
    return Deno.statSync(path).size;
  } catch {
    return null;
  }
}
