/** The Io of one life of the process, over the false disk and clock. After its death nothing works. */

import type { FileStat, Io, IoFile, IoPipe, OpenOptions } from "../../lib/io.ts";
import type { SimClock } from "./clock.ts";
import { type Inode, osError, type SimDisk, statOf } from "./disk.ts";
import type { Faults, Moment } from "./faults.ts";
import { SECTOR } from "./pages.ts";
import type { Random } from "./random.ts";

/** Wall clock at the start of a run, ms since 1970. */
export const WALL_START_MS = 1_800_000_000_000;

/** Thrown by every call once the process is dead. */
class Dead extends Error {}

/** Keeps what a crash at a call would leave, while the run goes on. */
export interface Keeper {
  /** Where in this call that changes something a crash is wanted; null = nowhere. */
  momentOf: (change: number) => Moment | null;
  /** The crash at this change would come now. */
  keep: (change: number) => void;
}

/** What a call does to a file. */
interface Part {
  inode: Inode;
  /** Does a part of it, where a crash or failure comes in the middle. */
  act: (fraction: number) => void;
  /** One that fails has done nothing: a single write(2). */
  isWhole: boolean;
}

/** See the head of this file. */
export class LifeIo implements Io {
  readonly disk: SimDisk;
  readonly clock: SimClock;
  readonly #faults: Faults;
  readonly #random: Random;
  readonly #keeper: Keeper | null;
  readonly #onCrash: () => void;
  readonly pipe: (bytes: Uint8Array) => number;
  isDead = false;
  /** Called when a sync begins that will take so many ms. */
  onSync: (ms: number) => void = () => {};

  /**
   * @param onCrash called at the moment of a planned crash
   * @param pipe takes what is written to a FIFO or stdout
   */
  constructor(
    outside: {
      disk: SimDisk;
      clock: SimClock;
      faults: Faults;
      random: Random;
      keeper: Keeper | null;
    },
    onCrash: () => void,
    pipe: (bytes: Uint8Array) => number,
  ) {
    this.disk = outside.disk;
    this.clock = outside.clock;
    this.#faults = outside.faults;
    this.#random = outside.random;
    this.#keeper = outside.keeper;
    this.#onCrash = onCrash;
    this.pipe = pipe;
  }

  nowMs(): number {
    return WALL_START_MS + Math.floor(this.clock.nowMs + this.clock.steppedMs);
  }

  monotonicMs(): number {
    return this.clock.nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const cancel = this.after(ms, resolve);
      signal?.addEventListener("abort", () => {
        cancel();
        resolve();
      }, { once: true });
    });
  }

  after(ms: number, action: () => void): () => void {
    return this.clock.after(ms, () => {
      if (!this.isDead) action();
    });
  }

  randomBytes(count: number): Uint8Array {
    return this.#random.bytes(count);
  }

  open(path: string, options: OpenOptions): IoFile {
    return this.call(options.create !== undefined && !this.disk.names.has(path), () => {
      let inode = this.disk.names.get(path);
      if (inode !== undefined && options.exclusive) throw osError("EEXIST");
      if (inode === undefined) {
        if (options.create === undefined) throw osError("ENOENT");
        inode = this.disk.create(path, this.nowMs());
      }
      inode.handles++;
      return new LifeFile(this, inode, options.mode);
    });
  }

  openPipe(): IoPipe {
    return { write: (bytes) => this.call(true, () => this.pipe(bytes)), close: () => {} };
  }

  writeStdout(bytes: Uint8Array): Promise<number> {
    return Promise.resolve().then(() => this.call(true, () => this.pipe(bytes)));
  }

  stat(path: string): FileStat | null {
    return this.call(false, () => this.disk.stat(path));
  }

  list(folder: string): string[] {
    return this.call(false, () => this.disk.list(folder));
  }

  rename(from: string, to: string): void {
    this.call(true, () => this.disk.rename(from, to));
  }

  remove(path: string): void {
    this.call(true, () => this.disk.remove(path));
  }

  syncFolder(folder: string): void {
    this.call(true, () => this.disk.syncFolder(folder));
  }

  /** Dies. */
  die(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.#onCrash();
  }

  /** One call of the operating system, with whatever is planned for it. */
  call<T>(isChange: boolean, action: () => T, part?: Part): T {
    if (this.isDead) throw new Dead();
    const fate = this.#faults.next(isChange);
    if (fate === null) {
      return isChange && this.#keeper !== null ? this.#kept(action, part) : action();
    }
    if (fate instanceof Error) {
      if (part?.isWhole === false) part.act(this.#random.next());
      throw fate;
    }
    try {
      if (fate === "middle") part?.act(this.#random.next());
      if (fate === "after") action();
    } finally {
      this.die();
    }
    throw new Dead();
  }

  /** A call that goes well; what a crash there would leave is kept. */
  #kept<T>(action: () => T, part?: Part): T {
    const change = this.#faults.counts.changes;
    const moment = this.#keeper!.momentOf(change);
    if (moment === "middle" && part !== undefined) this.#keepPart(change, part);
    else if (moment === "before" || moment === "middle") this.#keeper!.keep(change);
    try {
      return action();
    } finally {
      if (moment === "after") this.#keeper!.keep(change);
    }
  }

  #keepPart(change: number, { inode, act }: Part): void {
    const before = inode.copy();
    const { freeBytes } = this.disk;
    try {
      act(this.#random.copy().next());
    } catch { // There is no room for a part of it.
    }
    this.#keeper!.keep(change);
    inode.become(before);
    this.disk.freeBytes = freeBytes;
  }

  /** A sync on another thread: it takes a while. */
  sync(inode: Inode): Promise<void> {
    if (this.isDead) return new Promise(() => {});
    const fate = this.#faults.next(true);
    const ms = this.#random.chance(0.3)
      ? this.#random.between(20, 600)
      : this.#random.between(0, 9);
    if (fate === "before") {
      this.die();
      return new Promise(() => {});
    }
    const change = this.#faults.counts.changes;
    const kept = fate === null ? this.#keeper?.momentOf(change) ?? null : null;
    if (kept === "before") this.#keeper!.keep(change);
    const flight = inode.beginSync();
    this.onSync(ms);
    if (kept === "middle") this.after(ms / 2, () => this.#keeper!.keep(change));
    return new Promise((resolve, reject) => {
      if (fate === "middle") return void this.after(ms / 2, () => this.die());
      this.after(ms, () => {
        if (fate instanceof Error) {
          inode.dropSync(flight);
          return reject(fate);
        }
        inode.endSync(flight);
        if (fate === "after") return this.die();
        if (kept === "after") this.#keeper!.keep(change);
        resolve();
      });
    });
  }

  /** A sync on this thread. */
  syncNow(inode: Inode): void {
    try {
      const act = (fraction: number) => {
        if (fraction < 0.5) inode.endSync(inode.beginSync());
      };
      this.call(true, () => inode.endSync(inode.beginSync()), { inode, act, isWhole: false });
    } catch (error) {
      if (!(error instanceof Dead)) inode.dropSync(inode.beginSync());
      throw error;
    }
  }

  /** Whether something of this probability happens. */
  chance(probability: number): boolean {
    return this.#random.chance(probability);
  }
}

class LifeFile implements IoFile {
  readonly #io: LifeIo;
  readonly #inode: Inode;
  readonly #mode: OpenOptions["mode"];
  #isClosed = false;

  constructor(io: LifeIo, inode: Inode, mode: OpenOptions["mode"]) {
    this.#io = io;
    this.#inode = inode;
    this.#mode = mode;
  }

  readAt(into: Uint8Array, offset: number): number {
    return this.#io.call(false, () => {
      this.#check();
      if (this.#inode.hasDropped && this.#io.chance(0.3)) this.#inode.forgetDropped();
      return this.#inode.read(into, offset);
    });
  }

  writeAt(bytes: Uint8Array, offset: number): void {
    if (this.#mode !== "write") throw osError("EBADF");
    const act = (fraction: number) => {
      // A page is locked while it is written to: neither a kill nor the disk sees half a sector.
      const end = Math.floor((offset + fraction * bytes.length) / SECTOR) * SECTOR;
      if (end > offset) this.#put(bytes, offset, end - offset);
    };
    const part = { inode: this.#inode, act, isWhole: false };
    this.#io.call(true, () => this.#put(bytes, offset, bytes.length), part);
  }

  append(bytes: Uint8Array): number {
    if (this.#mode !== "append") throw osError("EBADF");
    const put = (length: number) => this.#put(bytes.subarray(0, length), this.#inode.size, length);
    // A write(2) may be short for no reason at all.
    const length = this.#io.chance(0.05) ? Math.ceil(bytes.length / 2) : bytes.length;
    const act = (fraction: number) => void put(Math.floor(fraction * bytes.length));
    return this.#io.call(true, () => put(length), { inode: this.#inode, act, isWhole: true });
  }

  truncate(size: number): void {
    this.#io.call(true, () => {
      this.#check();
      this.#io.disk.used(size - this.#inode.size);
      this.#inode.truncate(size);
    });
  }

  size(): number {
    return this.#io.call(false, () => this.#inode.size);
  }

  stat(): FileStat {
    return this.#io.call(false, () => statOf(this.#inode));
  }

  syncNow(): void {
    this.#io.syncNow(this.#inode);
  }

  sync(): Promise<void> {
    return this.#io.sync(this.#inode);
  }

  lock(): Promise<boolean> {
    if (this.#inode.lockedBy !== null && this.#inode.lockedBy !== this) {
      return Promise.resolve(false);
    }
    this.#inode.lockedBy = this;
    return Promise.resolve(true);
  }

  waitForLock(): Promise<void> {
    return Promise.reject(new Error("lives come one after another: no lock is waited for"));
  }

  close(): void {
    if (this.#io.isDead || this.#isClosed) return;
    this.#isClosed = true;
    if (this.#inode.lockedBy === this) this.#inode.lockedBy = null;
    this.#io.disk.closed(this.#inode);
  }

  /** Writes as much as there is room for; throws where that is nothing. */
  #put(bytes: Uint8Array, offset: number, length: number): number {
    this.#check();
    const { disk } = this.#io;
    const end = disk.room(this.#inode, offset + length);
    const count = Math.min(length, end - offset);
    if (count <= 0 && length > 0) throw osError("ENOSPC");
    const before = this.#inode.size;
    this.#inode.write(bytes.subarray(0, count), offset);
    disk.used(this.#inode.size - before);
    if (count < length && this.#mode === "write") throw osError("ENOSPC");
    return count;
  }

  #check(): void {
    if (this.#isClosed) throw new Deno.errors.BadResource("closed");
  }
}
