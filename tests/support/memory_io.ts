/**
 * Files in memory under the paths that they are asked for by, a clock that stands still, and random
 * bytes that can be repeated. Nothing fails and nothing is lost: that is tests/sim.
 */

import type { FileStat, Io, IoFile, OpenOptions } from "../../lib/io.ts";
import { folderOf } from "../../lib/paths.ts";
import { realIo } from "../../lib/real_io.ts";
import { randomUint32 } from "./temp.ts";

/** Numbers of inodes begin here: no small disk has one as high, so none is met by chance. */
const FIRST_INO = 2 ** 40;

interface Entry {
  bytes: Uint8Array;
  ino: number;
  birthMs: number | null;
  isLocked: boolean;
}

/** See the head of this file. */
export class MemoryDisk {
  /** Wall clock, ms since 1970. */
  nowMs: number;
  readonly io: Io;
  readonly #files = new Map<string, Entry>();
  #lastIno = FIRST_INO;

  constructor(nowMs: number) {
    this.nowMs = nowMs;
    const next = randomUint32(nowMs);
    this.io = {
      ...realIo,
      nowMs: () => this.nowMs,
      randomBytes: (count) => Uint8Array.from({ length: count }, next),
      openPipe: () => {
        throw osError("ENXIO");
      },
      open: (path, options) => this.#open(path, options),
      stat: (path) => this.#stat(path),
      list: (folder) => this.#list(folder),
      rename: (from, to) => {
        this.#files.set(to, this.#entry(from));
        this.#files.delete(from);
      },
      remove: (path) => {
        this.#entry(path);
        this.#files.delete(path);
      },
      syncFolder: () => {},
    };
  }

  /** Makes a file with this content; it may be one that a checkpoint knows. */
  put(
    path: string,
    bytes: Uint8Array,
    known: { ino?: number; birthMs?: number | null } = {},
  ): void {
    Object.assign(this.#make(path), { bytes: bytes.slice(), ...known });
  }

  /** What a file holds. @throws where there is none */
  read(path: string): Uint8Array {
    return this.#entry(path).bytes;
  }

  /** All files, by path. */
  contents(): [string, Uint8Array][] {
    return Array.from(this.#files, ([path, { bytes }]) => [path, bytes]);
  }

  #entry(path: string): Entry {
    const entry = this.#files.get(path);
    if (entry === undefined) throw osError("ENOENT");
    return entry;
  }

  #make(path: string): Entry {
    const entry = {
      ...{ bytes: new Uint8Array(), ino: ++this.#lastIno },
      ...{ birthMs: this.nowMs, isLocked: false },
    };
    this.#files.set(path, entry);
    return entry;
  }

  #list(folder: string): string[] {
    return [...this.#files.keys()].filter((path) => folderOf(path) === folder)
      .map((path) => path.slice(folder.length + 1));
  }

  /** A folder is there as soon as a file is in it; the one at the root always. */
  #stat(path: string): FileStat | null {
    const entry = this.#files.get(path);
    if (entry !== undefined) return statOf(entry);
    if (folderOf(path) !== "/" && this.#list(path).length === 0) return null;
    return { dev: 1, ino: 1, size: 0, nlink: 2, kind: "directory", birthMs: 1 };
  }

  #open(path: string, { create, exclusive, mode }: OpenOptions): IoFile {
    if (exclusive && this.#files.has(path)) throw osError("EEXIST");
    if (create !== undefined && !this.#files.has(path)) this.#make(path);
    const entry = this.#entry(path);
    let hasLock = false;
    const write = (bytes: Uint8Array, offset: number) => {
      const end = offset + bytes.length;
      if (end > entry.bytes.length) entry.bytes = resized(entry.bytes, end);
      entry.bytes.set(bytes, offset);
    };
    const refuse = () => {
      if (mode === "read") throw osError("EBADF");
    };
    return {
      readAt(into, offset) {
        const part = entry.bytes.subarray(offset, offset + into.length);
        into.set(part);
        return part.length;
      },
      writeAt(bytes, offset) {
        refuse();
        write(bytes, offset);
      },
      append(bytes) {
        refuse();
        write(bytes, entry.bytes.length);
        return bytes.length;
      },
      truncate(size) {
        refuse();
        entry.bytes = resized(entry.bytes, size);
      },
      size: () => entry.bytes.length,
      stat: () => ({ ...statOf(entry), nlink: [...this.#files.values()].includes(entry) ? 1 : 0 }),
      syncNow: () => {},
      sync: () => Promise.resolve(),
      lock: () => {
        if (entry.isLocked && !hasLock) return Promise.resolve(false);
        entry.isLocked = hasLock = true;
        return Promise.resolve(true);
      },
      waitForLock: () => Promise.reject(new Error("nobody in memory gives a lock back")),
      close: () => {
        if (hasLock) entry.isLocked = hasLock = false;
      },
    };
  }
}

function statOf({ bytes, ino, birthMs }: Entry): FileStat {
  return { dev: 1, ino, size: bytes.length, nlink: 1, kind: "file", birthMs };
}

function resized(bytes: Uint8Array, size: number): Uint8Array {
  const other = new Uint8Array(size);
  other.set(bytes.subarray(0, size));
  return other;
}

function osError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
