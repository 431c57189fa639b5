/**
 * Files and clock as the rest of the program sees them.
 *
 * Everything that touches the disk or the time goes through an {@linkcode Io}, so that a
 * simulator can put a false disk and a false clock in its place. The shipped one is lib/real_io.ts.
 */

/** What stat(2) tells of a file. */
export interface FileStat {
  dev: number;
  ino: number;
  /** Bytes. */
  size: number;
  /** Hard links; 0 = unlinked. */
  nlink: number;
  kind: "file" | "directory" | "fifo" | "other";
  /** When it was made, ms since 1970; null where the file system does not tell. */
  birthMs: number | null;
}

/** An open file. Errors of the operating system are thrown as they come, with their `code`. */
export interface IoFile {
  /** Reads from `offset` until `into` is full or the file ends; returns the bytes read. */
  readAt(into: Uint8Array, offset: number): number;
  /** Writes all of `bytes` at `offset`. Not for files opened with `append`. */
  writeAt(bytes: Uint8Array, offset: number): void;
  /**
   * One write(2) at the end of a file opened with `append`; may be short; returns the bytes
   * written.
   */
  append(bytes: Uint8Array): number;
  truncate(size: number): void;
  /** Bytes in it, for less than half of what stat() costs. */
  size(): number;
  stat(): FileStat;
  /** fdatasync(2) on this thread. */
  syncNow(): void;
  /** fdatasync(2) on another thread; the file can be written meanwhile. */
  sync(): Promise<void>;
  /** flock(LOCK_EX): false where another process holds it and does not end just now. */
  lock(): Promise<boolean>;
  /**
   * flock(LOCK_EX) on another thread, however long it takes. Nothing takes it back but the end of
   * the process; until it is there, nothing else may be asked of the file.
   */
  waitForLock(): Promise<void>;
  close(): void;
}

/** The writing end of a FIFO, opened with O_NONBLOCK. */
export interface IoPipe {
  /**
   * One write(2): at most PIPE_BUF bytes go whole or not at all (EAGAIN); EPIPE without a reader.
   */
  write(bytes: Uint8Array): number;
  close(): void;
}

/** How to open a file. */
export interface OpenOptions {
  /** "read"; "write" = read and write in place; "append" = O_APPEND (read too). */
  mode: "read" | "write" | "append";
  /** Make it where it does not exist, with these permission bits. */
  create?: number;
  /** With `create`: fail with EEXIST where it exists. */
  exclusive?: boolean;
}

/** Files and clock. */
export interface Io {
  /** Wall clock, ms since 1970; may step. */
  nowMs(): number;
  /** A clock that only goes forward, ms. */
  monotonicMs(): number;
  /** Resolves after `ms`, or at once when the signal is aborted; 0 = others have a turn first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `action` after `ms`, once; never where what it returns was called before. */
  after(ms: number, action: () => void): () => void;
  randomBytes(count: number): Uint8Array;
  open(path: string, options: OpenOptions): IoFile;
  /** Opens a FIFO for writing without waiting; ENXIO where nobody reads. */
  openPipe(path: string): IoPipe;
  /**
   * One write(2) to standard output on another thread; may be short and may wait for the reader.
   */
  writeStdout(bytes: Uint8Array): Promise<number>;
  /** stat(2) through links; null where there is nothing. */
  stat(path: string): FileStat | null;
  /** Names of the regular files and links in a folder, unordered. */
  list(folder: string): string[];
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Makes the names in a folder durable. */
  syncFolder(folder: string): void;
}

/** What setTimeout() gives; its type differs with the type packages that are loaded. */
export type Timer = ReturnType<typeof setTimeout>;
