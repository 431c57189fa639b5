/**
 * The shipped {@linkcode Io}: Deno.FsFile for regular files, node:fs only where Deno.open has no
 * flag for it (a FIFO opened with O_NONBLOCK).
 */

import fs from "node:fs";
import { setImmediate } from "node:timers";
import type { FileStat, Io, IoFile, IoPipe, OpenOptions, Timer } from "./io.ts";
import { LOCK_TRY_MS, LOCK_WAIT_MS } from "./limits.ts";

class RealFile implements IoFile {
  readonly #file: Deno.FsFile;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  readAt(into: Uint8Array, offset: number): number {
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    let read = 0;
    while (read < into.length) {
      const count = this.#file.readSync(into.subarray(read));
      if (count === null || count === 0) break;
      read += count;
    }
    return read;
  }

  writeAt(bytes: Uint8Array, offset: number): void {
    this.#file.seekSync(offset, Deno.SeekMode.Start);
    let written = 0;
    while (written < bytes.length) written += this.#file.writeSync(bytes.subarray(written));
  }

  append(bytes: Uint8Array): number {
    return this.#file.writeSync(bytes);
  }

  truncate(size: number): void {
    this.#file.truncateSync(size);
  }

  size(): number {
    // lseek(2), which moves nothing that counts: reads and writes name their place, or append.
    return this.#file.seekSync(0, Deno.SeekMode.End);
  }

  stat(): FileStat {
    return fileStat(this.#file.statSync());
  }

  syncNow(): void {
    this.#file.syncDataSync();
  }

  sync(): Promise<void> {
    return this.#file.syncData();
  }

  async lock(): Promise<boolean> {
    const file = this.#file as Deno.FsFile & { tryLockSync?: (exclusive: boolean) => boolean };
    if (file.tryLockSync !== undefined) {
      for (let waited = 0; !file.tryLockSync(true); waited += LOCK_TRY_MS) {
        if (waited >= LOCK_WAIT_MS) return false;
        await new Promise((resolve) => setTimeout(resolve, LOCK_TRY_MS));
      }
      return true;
    }
    // tryLock came with Deno 2.7; before, there is only the one that waits.
    let timer: Timer | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), LOCK_WAIT_MS);
    });
    const locked = await Promise.race([this.#file.lock(true).then(() => true), late]);
    clearTimeout(timer);
    return locked;
  }

  waitForLock(): Promise<void> {
    return this.#file.lock(true);
  }

  close(): void {
    this.#file.close();
  }
}

class RealPipe implements IoPipe {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array): number {
    return fs.writeSync(this.#fd, bytes);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

/** The operating system's files and clocks. */
export const realIo: Io = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep(ms, signal) {
    // A timer takes over a millisecond, and a commit has some sixty turns to give.
    if (ms === 0) return new Promise((resolve) => setImmediate(() => resolve()));
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done);
    });
  },
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  open(path: string, options: OpenOptions): IoFile {
    const { mode, create, exclusive } = options;
    return new RealFile(Deno.openSync(path, {
      read: true,
      write: mode !== "read",
      append: mode === "append",
      ...(create === undefined ? {} : { create: true, mode: create }),
      ...(exclusive ? { createNew: true } : {}),
    }));
  },
  openPipe(path: string): IoPipe {
    const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK);
    if (!fs.fstatSync(fd).isFIFO()) {
      fs.closeSync(fd);
      // Written to as if it were one, a regular file in its place would be overwritten.
      throw Object.assign(new Error("it is no FIFO any more"), { code: "ENOTSUP" });
    }
    return new RealPipe(fd);
  },
  writeStdout: (bytes) => Deno.stdout.write(bytes),
  stat(path: string): FileStat | null {
    try {
      return fileStat(Deno.statSync(path));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  },
  list(folder: string): string[] {
    const names: string[] = [];
    for (const entry of Deno.readDirSync(folder)) if (!entry.isDirectory) names.push(entry.name);
    return names;
  },
  rename: (from, to) => Deno.renameSync(from, to),
  remove: (path) => Deno.removeSync(path),
  syncFolder(folder: string): void {
    const handle = Deno.openSync(folder, { read: true });
    try {
      handle.syncSync();
    } finally {
      handle.close();
    }
  },
};

function fileStat(info: Deno.FileInfo): FileStat {
  return {
    dev: info.dev,
    ino: info.ino ?? 0,
    size: info.size,
    nlink: info.nlink ?? 1,
    birthMs: info.birthtime?.getTime() ?? null,
    kind: info.isFile
      ? "file"
      : info.isDirectory
      ? "directory"
      : info.isFifo === true
      ? "fifo"
      : "other",
  };
}
