/**
 * One generation of the ring: a blocked bloom filter in a file of its own.
 *
 * Layout (docs/FORMAT.md): header slot A in bytes 0..512, header slot B in 4096..4608, sectors of
 * 512 bytes from 8192 on. A header is written to the slots in turn; the highest valid sequence
 * wins. Bits are only ever added, and a disk writes a sector whole, so after a power loss each
 * sector is an old or a new one and both are right. The file is written out in full before it gets
 * its name, so no later write needs space.
 *
 * This file owns the bytes. Which generation is current, and when one goes, is lib/ring.ts.
 */

import { crc32 } from "node:zlib";
import { probe, PROBES_MAX, SECTOR_BYTES, SECTOR_HEAD_BYTES } from "./bloom.ts";
import { invariant } from "./errors.ts";
import {
  encodeHeader,
  type GenerationHeader,
  PADS,
  readHead,
  readUint32,
  type Rejected,
  sectorChecksum,
  sectorIsWhole,
  sectorKeys,
  SECTORS_OFFSET,
  slotOffset,
} from "./generation_format.ts";
import type { Io, IoFile } from "./io.ts";
import { ZEROS_BYTES } from "./limits.ts";

export type { GenerationHeader } from "./generation_format.ts";

/** What x86-64 and most of aarch64 fetch from memory at once; another one costs speed alone. */
const CACHE_LINE_BYTES = 64;

/** What expect() read is put here, so that no compiler leaves the reading out. */
const fetched = new Uint8Array(1);

/** Bits of a key that are tried before the others: in a full generation half of all are set. */
const FIRST_PROBES = 4;

/** A generation with its bits in memory and its file open. */
export class Generation {
  readonly path: string;
  readonly header: GenerationHeader;
  /** Sectors and pads that did not match their checksums when the file was read; emptied. */
  readonly damaged: number;
  readonly #file: IoFile;
  readonly #sectors: Uint8Array;
  readonly #dirty: Uint8Array;
  readonly #seedLanes: Uint32Array;
  readonly #seedCrc: number;
  readonly #bits = new Uint16Array(PROBES_MAX + 1);
  #dirtyCount = 0;
  /** Where writeDirty() goes on. */
  #writtenTo = 0;
  #keys = 0;
  #slotSequence: number;

  private constructor(
    file: IoFile,
    path: string,
    header: GenerationHeader,
    slotSequence: number,
    sectors: Uint8Array,
    damagedPads: number,
  ) {
    this.#file = file;
    this.path = path;
    this.header = header;
    this.#slotSequence = slotSequence;
    this.#sectors = sectors;
    this.#dirty = new Uint8Array(header.shape.sectors);
    this.#seedLanes = seedLanes(header.seed);
    this.#seedCrc = crc32(header.seed);
    this.damaged = damagedPads + this.#verify();
  }

  /**
   * Makes the file of a new, empty generation: under another name, in full, synced, renamed, and
   * its folder synced. A crash at any point leaves either no `.bloom` file or a whole one.
   *
   * @throws the operating system's error (ENOSPC and others); what was made is removed again
   */
  static create(io: Io, folder: string, path: string, header: GenerationHeader): Generation {
    const draft = `${path}.new`;
    const file = io.open(draft, { mode: "write", create: 0o600 });
    try {
      const size = header.shape.sectors * SECTOR_BYTES;
      file.truncate(0);
      writeZeros(file, 0, SECTORS_OFFSET + size);
      for (const slot of [1, 2]) file.writeAt(encodeHeader(header, slot), slotOffset(slot));
      file.syncNow();
      io.rename(draft, path);
      io.syncFolder(folder);
      return new Generation(file, path, header, 2, new Uint8Array(size), 0);
    } catch (error) {
      file.close();
      for (const name of [draft, path]) if (io.stat(name) !== null) io.remove(name);
      throw error;
    }
  }

  /**
   * Opens a generation's file and reads all of it.
   *
   * @returns "foreign" where the file is not of this program, "damaged" where no header is valid
   * @throws StateError where a newer release wrote it
   */
  static open(io: Io, path: string): Generation | Rejected {
    const file = io.open(path, { mode: "write" });
    let taken = false;
    try {
      const head = readHead(file, path);
      if (typeof head === "string") return head;
      const { header, slotSequence, damagedSlots, damagedPads } = head;
      // A file cut short reads as zeros behind its end: those sectors are empty, the rest counts.
      const sectors = new Uint8Array(header.shape.sectors * SECTOR_BYTES);
      const whole = file.readAt(sectors, SECTORS_OFFSET) === sectors.length;
      const damaged = damagedSlots + damagedPads + (whole ? 0 : 1);
      taken = true;
      return new Generation(file, path, header, slotSequence, sectors, damaged);
    } finally {
      if (!taken) file.close();
    }
  }

  /** Keys added so far. */
  get keys(): number {
    return this.#keys;
  }

  /** Sectors that differ from the file. */
  get dirtySectors(): number {
    return this.#dirtyCount;
  }

  get closed(): boolean {
    return this.header.closedMs !== 0;
  }

  /** Whether the key at `from[at..at+4]` was added; wrongly true at the rate of the header. */
  mayContain(from: Uint32Array, at: number): boolean {
    // A key that is not in it has an empty bit among its first ones nearly always.
    return this.#hasBits(from, at, Math.min(FIRST_PROBES, this.header.shape.probes)) &&
      this.#hasBits(from, at, this.header.shape.probes);
  }

  /**
   * Fetches the sectors of `count` keys (the first at `from[at]`, the next `stride` lanes behind
   * it) into the CPU's cache, all at once: each by itself would be waited for when it is tested.
   */
  expect(from: Uint32Array, at: number, stride: number, count: number): void {
    let sum = 0;
    for (let key = 0; key < count; key++) {
      const { shape } = this.header;
      const sector = probe(shape, this.#seedLanes, from, at + key * stride, this.#bits, 0);
      const start = sector * SECTOR_BYTES;
      for (let line = 0; line < SECTOR_BYTES; line += CACHE_LINE_BYTES) {
        sum += this.#sectors[start + line]!;
      }
    }
    fetched[0] = sum;
  }

  /** Whether the first `count` bits of a key are set. */
  #hasBits(from: Uint32Array, at: number, count: number): boolean {
    const sector = probe(this.header.shape, this.#seedLanes, from, at, this.#bits, count);
    const base = sector * SECTOR_BYTES + SECTOR_HEAD_BYTES;
    for (let index = 0; index < count; index++) {
      const bit = this.#bits[index]!;
      if ((this.#sectors[base + (bit >>> 3)]! & (1 << (bit & 7))) === 0) return false;
    }
    return true;
  }

  /** Adds the key at `from[at..at+4]` in memory; it is in the file after {@linkcode writeDirty}. */
  add(from: Uint32Array, at: number): void {
    const { shape } = this.header;
    const sector = probe(shape, this.#seedLanes, from, at, this.#bits);
    const start = sector * SECTOR_BYTES;
    for (let index = 0; index < shape.probes; index++) {
      const bit = this.#bits[index]!;
      this.#sectors[start + SECTOR_HEAD_BYTES + (bit >>> 3)]! |= 1 << (bit & 7);
    }
    // A sector that holds 65,535 keys is far beyond its capacity; its count stays there.
    const keys = sectorKeys(this.#sectors, start);
    if (keys < 0xffff) {
      this.#sectors[start + 4] = (keys + 1) & 0xff;
      this.#sectors[start + 5] = (keys + 1) >>> 8;
    }
    this.#keys++;
    this.#mark(sector);
  }

  /** Marks the generation as closed, in the header slot that is older. */
  close(nowMs: number): void {
    invariant(!this.closed, "a generation closes once");
    this.header.closedMs = Math.max(1, nowMs);
    this.#slotSequence++;
    this.#writeHeader();
  }

  /**
   * Writes the sectors that changed, neighbours in one write. Durable after {@linkcode sync}.
   *
   * @param most sectors; the next call goes on behind them
   * @throws the operating system's error; what was not written stays marked
   */
  writeDirty(most = Infinity): void {
    for (let left = most; this.#dirtyCount > 0 && left > 0;) {
      const first = this.#dirty.indexOf(1, this.#writtenTo);
      if (first < 0) {
        this.#writtenTo = 0; // There are some, so they are before it.
        continue;
      }
      let end = first;
      for (; end < first + left && this.#dirty[end] === 1; end++) this.#seal(end);
      const bytes = this.#sectors.subarray(first * SECTOR_BYTES, end * SECTOR_BYTES);
      this.#file.writeAt(bytes, SECTORS_OFFSET + first * SECTOR_BYTES);
      this.#dirty.fill(0, first, end);
      this.#dirtyCount -= end - first;
      left -= end - first;
      this.#writtenTo = end;
    }
  }

  /**
   * Marks everything as changed, and the header too is written again: after an unclean stop the
   * kernel may hold pages that the disk does not, and only pages written again are surely synced.
   */
  rewriteAll(): void {
    for (let sector = 0; sector < this.header.shape.sectors; sector++) this.#mark(sector);
    for (const [from, end] of PADS) writeZeros(this.#file, from, end);
    for (let slot = 0; slot < 2; slot++) {
      this.#slotSequence++;
      this.#writeHeader();
      this.#file.syncNow();
    }
    this.writeDirty();
    this.#file.syncNow();
  }

  /** After this, all that {@linkcode writeDirty} wrote survives a power loss. */
  sync(): Promise<void> {
    return this.#file.sync();
  }

  /** Closes the file. */
  release(): void {
    this.#file.close();
  }

  /** Into the slot that is older. */
  #writeHeader(): void {
    const sequence = this.#slotSequence;
    this.#file.writeAt(encodeHeader(this.header, sequence), slotOffset(sequence));
  }

  #mark(sector: number): void {
    if (this.#dirty[sector] === 0) {
      this.#dirty[sector] = 1;
      this.#dirtyCount++;
    }
  }

  /** Puts the checksum of a sector into its head. */
  #seal(sector: number): void {
    const start = sector * SECTOR_BYTES;
    const sum = sectorChecksum(this.#sectors, start, sector, this.#seedCrc);
    for (let byte = 0; byte < 4; byte++) this.#sectors[start + byte] = sum >>> (8 * byte);
  }

  /** Counts the keys; empties and counts the sectors that do not match. */
  #verify(): number {
    let damaged = 0;
    for (let sector = 0; sector < this.header.shape.sectors; sector++) {
      const start = sector * SECTOR_BYTES;
      if (sectorIsWhole(this.#sectors, start, sector, this.#seedCrc)) {
        this.#keys += sectorKeys(this.#sectors, start);
        continue;
      }
      // Its keys are forgotten, so their events may be written again: repeat rather than lose.
      this.#sectors.fill(0, start, start + SECTOR_BYTES);
      this.#mark(sector);
      damaged++;
    }
    return damaged;
  }
}

function seedLanes(seed: Uint8Array): Uint32Array {
  return Uint32Array.from([0, 4, 8, 12], (offset) => readUint32(seed, offset));
}

/** Writes zeros, so that the blocks are really there. */
function writeZeros(file: IoFile, from: number, end: number): void {
  const zeros = new Uint8Array(Math.min(end - from, ZEROS_BYTES));
  for (let offset = from; offset < end; offset += zeros.length) {
    file.writeAt(zeros.subarray(0, Math.min(zeros.length, end - offset)), offset);
  }
}
