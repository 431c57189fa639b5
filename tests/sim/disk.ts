/**
 * A false disk that keeps what is synced apart from what is not.
 *
 * At a power loss each sector of 512 bytes that was written and not synced is kept or lost by
 * itself, and so are each file's size and each directory entry (a rename is kept or lost whole). A
 * sync that fails drops its pages: the cache shows them until it forgets them, the disk never gets
 * them, and the next sync succeeds. This is harsher than ext4 and XFS are, and what POSIX allows.
 */

import type { FileStat } from "../../lib/io.ts";
import { folderOf } from "../../lib/paths.ts";
import { Pages, SECTOR } from "./pages.ts";
import type { Random } from "./random.ts";

/** An error as the operating system's. */
export function osError(code: string): Error {
  return Object.assign(new Error(`simulated ${code}`), { code });
}

/** What a sync that is under way will have made durable. */
export interface Flight {
  sectors: ReadonlySet<number>;
  bytes: Pages;
  size: number;
}

/** A file, whatever names lead to it. */
export class Inode {
  readonly ino: number;
  readonly birthMs: number;
  /** What the cache shows. */
  #bytes = new Pages();
  size = 0;
  #durable = new Pages();
  #durableSize = 0;
  /** Sectors written since the last sync was called. */
  #dirty = new Set<number>();
  /** Sectors of a sync that failed. */
  #dropped = new Set<number>();
  #flights = new Set<Flight>();
  links = 0;
  handles = 0;
  lockedBy: object | null = null;

  constructor(ino: number, birthMs: number) {
    this.ino = ino;
    this.birthMs = birthMs;
  }

  /** What the file is now, without the handles of the process. */
  copy(): Inode {
    const copy = new Inode(this.ino, this.birthMs);
    copy.become(this);
    copy.links = this.links;
    return copy;
  }

  /** Holds from here on what another one holds. */
  become(other: Inode): void {
    this.#bytes = other.#bytes.copy();
    this.size = other.size;
    this.#durable = other.#durable.copy();
    this.#durableSize = other.#durableSize;
    this.#dirty = new Set(other.#dirty);
    this.#dropped = new Set(other.#dropped);
    this.#flights = new Set(other.#flights); // What a flight holds does not change.
  }

  /** Whether a sync failed and the cache still shows what it dropped. */
  get hasDropped(): boolean {
    return this.#dropped.size > 0;
  }

  /** Reads as much as there is, at most all of `into`. */
  read(into: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(into.length, this.size - offset));
    this.#bytes.read(into.subarray(0, count), offset);
    return count;
  }

  /** All of it. */
  content(): Uint8Array {
    const bytes = new Uint8Array(this.size);
    this.#bytes.read(bytes, 0);
    return bytes;
  }

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.length;
    // What stands there already, also on the disk, makes no difference at a power loss.
    this.#bytes.write(bytes, offset, (sector) => this.#dirty.add(sector));
    if (this.#dropped.size > 0) {
      for (let sector = Math.floor(offset / SECTOR); sector * SECTOR < end; sector++) {
        this.#dirty.add(sector);
      }
    }
    this.size = Math.max(this.size, end);
  }

  truncate(size: number): void {
    if (size < this.size) {
      this.#bytes.cut(size);
      for (const sector of this.#dirty) if (sector * SECTOR >= size) this.#dirty.delete(sector);
      if (size % SECTOR > 0) this.#dirty.add(Math.floor(size / SECTOR));
    }
    this.size = size;
  }

  /** A sync is called: what is written from here on is not its business. */
  beginSync(): Flight {
    const flight = { sectors: this.#dirty, bytes: this.#bytes.copy(), size: this.size };
    this.#dirty = new Set();
    this.#flights.add(flight);
    return flight;
  }

  /** The sync went through. */
  endSync(flight: Flight): void {
    if (!this.#flights.delete(flight)) return;
    this.#durable.take(flight.sectors, flight.bytes);
    this.#durable.cut(flight.size);
    this.#durableSize = flight.size;
    if (this.#dropped.size === 0) return;
    for (const sector of flight.sectors) this.#dropped.delete(sector);
  }

  /** The sync failed. */
  dropSync(flight: Flight): void {
    if (!this.#flights.delete(flight)) return;
    for (const sector of flight.sectors) this.#dropped.add(sector);
  }

  /** Whoever waited for a sync is gone: how far it got is not known. */
  abandonSyncs(): void {
    for (const { sectors } of this.#flights) {
      for (const sector of sectors) if (sector * SECTOR < this.size) this.#dirty.add(sector);
    }
    this.#flights.clear();
  }

  /** The cache forgets what a failed sync dropped: from now on reads show what the disk holds. */
  forgetDropped(): void {
    this.#bytes.take(this.#dropped.difference(this.#dirty), this.#durable);
    this.#bytes.cut(this.size);
    this.#dropped.clear();
  }

  /** What is left of the file. */
  losePower(random: Random): void {
    if (this.#isDurable()) return;
    const keep = random.pick([0, 0.1, 0.5, 0.9, 1]);
    const sizes = [this.#durableSize, this.size, ...Array.from(this.#flights, ({ size }) => size)];
    const [low, high] = [Math.min(...sizes), Math.max(...sizes)];
    // A file that grew may have got some of its growth.
    const size = random.chance(0.3) ? random.integer(low, high) : random.pick(sizes);
    const some = (sectors: ReadonlySet<number>) => {
      return Array.from(sectors).filter(() => random.chance(keep));
    };
    for (const { sectors, bytes } of this.#flights) this.#durable.take(some(sectors), bytes);
    this.#durable.take(some(this.#dirty), this.#bytes);
    this.#durable.cut(size);
    this.#bytes = this.#durable.copy();
    this.size = size;
    this.#durableSize = size;
    this.#dirty.clear();
    this.#dropped.clear();
    this.#flights.clear();
  }

  /** Whether the disk holds all of it. */
  #isDurable(): boolean {
    return this.size === this.#durableSize && this.#dirty.size === 0 && this.#dropped.size === 0 &&
      this.#flights.size === 0 && this.#bytes.equals(this.#durable);
  }
}

/** A name is made (`from` = null), removed (`to` = null) or changed. */
interface NameChange {
  inode: Inode;
  from: string | null;
  to: string | null;
}

function apply({ inode, from, to }: NameChange, names: Map<string, Inode>): void {
  if (from !== null && names.get(from) !== inode) return;
  if (from !== null) names.delete(from);
  if (to !== null) names.set(to, inode);
}

/** See the head of this file. */
export class SimDisk {
  names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #changes: NameChange[] = [];
  readonly #folders: readonly string[];
  readonly #inodes = new Map<number, Inode>();
  /** Bytes that may be added before a write finds no space. */
  freeBytes = Infinity;

  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  /** What the disk is now, to crash on its own. */
  copy(): SimDisk {
    const copy = new SimDisk(this.#folders);
    const copies = new Map<Inode, Inode>();
    const copyOf = (inode: Inode) => {
      const known = copies.get(inode);
      if (known !== undefined) return known;
      const copied = inode.copy();
      copies.set(inode, copied);
      return copied;
    };
    for (const [ino, inode] of this.#inodes) copy.#inodes.set(ino, copyOf(inode));
    for (const [path, inode] of this.names) copy.names.set(path, copyOf(inode));
    for (const [path, inode] of this.#durableNames) copy.#durableNames.set(path, copyOf(inode));
    copy.#changes = this.#changes.map((change) => ({ ...change, inode: copyOf(change.inode) }));
    copy.freeBytes = this.freeBytes;
    return copy;
  }

  stat(path: string): FileStat | null {
    if (this.#folders.includes(path)) {
      return { dev: 1, ino: 1, size: 0, nlink: 2, kind: "directory", birthMs: 1 };
    }
    const inode = this.names.get(path);
    return inode === undefined ? null : statOf(inode);
  }

  list(folder: string): string[] {
    const names: string[] = [];
    for (const path of this.names.keys()) {
      if (folderOf(path) === folder) names.push(path.slice(folder.length + 1));
    }
    return names;
  }

  /** Makes an empty file; the number of one that is gone is used again. */
  create(path: string, nowMs: number): Inode {
    let ino = 10;
    while (this.#inodes.has(ino)) ino++;
    const inode = new Inode(ino, nowMs);
    this.#inodes.set(ino, inode);
    this.#change({ inode, from: null, to: path });
    return inode;
  }

  rename(from: string, to: string): void {
    const inode = this.names.get(from);
    if (inode === undefined) throw osError("ENOENT");
    this.#change({ inode, from, to });
  }

  remove(path: string): void {
    const inode = this.names.get(path);
    if (inode === undefined) throw osError("ENOENT");
    this.#change({ inode, from: path, to: null });
  }

  syncFolder(folder: string): void {
    const isIn = ({ from, to }: NameChange) => folderOf((from ?? to)!) === folder;
    for (const change of this.#changes) if (isIn(change)) apply(change, this.#durableNames);
    this.#changes = this.#changes.filter((change) => !isIn(change));
    this.#count();
  }

  /** As many of `bytes` as there is room for behind the end of the file. */
  room(inode: Inode, end: number): number {
    return Math.max(0, Math.min(end, inode.size + this.freeBytes));
  }

  /** The file grew by so many bytes. */
  used(bytes: number): void {
    this.freeBytes -= bytes;
  }

  /** A handle was closed. */
  closed(inode: Inode): void {
    inode.handles--;
    this.#free(inode);
  }

  /** The process is gone; what it wrote stays in the cache. */
  kill(): void {
    for (const inode of this.#inodes.values()) {
      inode.lockedBy = null;
      inode.handles = 0;
      inode.abandonSyncs();
      this.#free(inode);
    }
  }

  /** The machine is gone, and back again. */
  losePower(random: Random): void {
    const keep = random.pick([0, 0.5, 1]);
    const lost = new Set<string>();
    for (const change of this.#changes) {
      const paths = [change.from, change.to].filter((path) => path !== null);
      // Changes of one name keep their order: what builds on a lost one is lost.
      if (random.chance(keep) && !paths.some((path) => lost.has(path))) {
        apply(change, this.#durableNames);
      } else for (const path of paths) lost.add(path);
    }
    this.#changes = [];
    this.names = new Map(this.#durableNames);
    for (const inode of this.#inodes.values()) {
      inode.lockedBy = null;
      inode.handles = 0;
      inode.losePower(random);
    }
    this.#count();
  }

  #change(change: NameChange): void {
    apply(change, this.names);
    this.#changes.push(change);
    this.#count();
  }

  #count(): void {
    for (const inode of this.#inodes.values()) inode.links = 0;
    for (const inode of this.names.values()) inode.links++;
    for (const inode of this.#inodes.values()) this.#free(inode);
  }

  /** A number is free again when no name leads to it, also none that a power loss may bring back. */
  #free(inode: Inode): void {
    if (inode.links > 0 || inode.handles > 0) return;
    for (const one of this.#durableNames.values()) if (one === inode) return;
    this.#inodes.delete(inode.ino);
  }
}

/** What stat(2) tells. */
export function statOf(inode: Inode): FileStat {
  return {
    dev: 1,
    ino: inode.ino,
    size: inode.size,
    nlink: inode.links,
    kind: "file",
    birthMs: inode.birthMs,
  };
}
