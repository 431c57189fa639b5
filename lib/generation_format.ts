/**
 * The bytes of a `.bloom` file (docs/FORMAT.md): its two header slots, and the checksum of a
 * sector. Shared by lib/generation.ts, which writes them, and lib/generation_report.ts, which only
 * looks.
 */

import { crc32 } from "node:zlib";
import { type BloomShape, PROBES_MAX, SECTOR_BYTES } from "./bloom.ts";
import { newerFormat } from "./errors.ts";
import { IDENTITY_VERSION } from "./identity.ts";
import type { IoFile } from "./io.ts";
import type { IdentityMode } from "./protocol.ts";
import { isZero } from "./zeros.ts";

/** Version of the file format that this program writes; it refuses newer ones. */
export const GENERATION_FORMAT = 1;

const MAGIC = "KEPBLOOM";
const SLOT_BYTES = 512;
const SLOT_OFFSETS = [0, 4096] as const;
/** Where the sectors begin, bytes. */
export const SECTORS_OFFSET = 8192;
/** Bytes of the head that nothing uses; zeros, so that a flipped bit is noticed here too. */
export const PADS = [[SLOT_BYTES, SLOT_OFFSETS[1]], [
  SLOT_OFFSETS[1] + SLOT_BYTES,
  SECTORS_OFFSET,
]] as const;
const MODES: readonly IdentityMode[] = ["content", "name-count"];

/** What a generation's header says. Times are wall clock, ms since 1970. */
export interface GenerationHeader {
  /** Place in the ring; a newer generation has a higher one. */
  sequence: number;
  identityVersion: number;
  identityMode: IdentityMode;
  shape: BloomShape;
  /** Keys after which it closes. */
  capacity: number;
  /** Highest rate of false positives, at `capacity` keys. */
  errorRate: number;
  createdMs: number;
  /** 0 while it is the current one. */
  closedMs: number;
  /** 16 random bytes: they place the keys and seed the checksums. */
  seed: Uint8Array;
}

/** Why a `.bloom` file was not taken. */
export type Rejected = "foreign" | "damaged";

/** What stands before the sectors of a file. */
export interface GenerationHead {
  /** Of the valid slot with the higher sequence. */
  header: GenerationHeader;
  slotSequence: number;
  /** Slots that are not valid, 0 or 1. */
  damagedSlots: number;
  /** Places outside of slots and sectors that are not zero, 0 or 1. */
  damagedPads: number;
}

/** Where the slot of this sequence is, bytes: they are written in turn. */
export function slotOffset(slotSequence: number): number {
  return SLOT_OFFSETS[(slotSequence + 1) % 2]!;
}

/** A header slot. */
export function encodeHeader(header: GenerationHeader, slotSequence: number): Uint8Array {
  const bytes = new Uint8Array(SLOT_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC), 0);
  view.setUint32(8, GENERATION_FORMAT, true);
  view.setUint32(12, slotSequence, true);
  view.setUint32(16, header.sequence, true);
  view.setUint32(20, header.identityVersion, true);
  view.setUint32(24, MODES.indexOf(header.identityMode) + 1, true);
  view.setUint32(28, header.shape.sectors, true);
  view.setUint32(32, header.shape.probes, true);
  view.setUint32(36, header.capacity, true);
  view.setFloat64(40, header.errorRate, true);
  view.setFloat64(48, header.createdMs, true);
  view.setFloat64(56, header.closedMs, true);
  bytes.set(header.seed, 64);
  view.setUint32(SLOT_BYTES - 4, crc32(bytes.subarray(0, SLOT_BYTES - 4)), true);
  return bytes;
}

/**
 * Reads what stands before the sectors.
 *
 * @returns "foreign" where the file is not of this program, "damaged" where no header is valid
 * @throws StateError where a newer release wrote it; the operating system's errors
 */
export function readHead(file: IoFile, path: string): GenerationHead | Rejected {
  const head = new Uint8Array(SECTORS_OFFSET);
  const read = file.readAt(head, 0);
  const slots = SLOT_OFFSETS.map((offset) => decodeHeader(head, offset, path));
  if (slots.every((slot) => slot === "foreign")) return "foreign";
  const valid = slots.filter((slot) => typeof slot === "object");
  const newest = valid.toSorted((a, b) => b.slotSequence - a.slotSequence)[0];
  if (newest === undefined || read < SECTORS_OFFSET) return "damaged";
  return {
    ...newest,
    damagedSlots: slots.length - valid.length,
    damagedPads: padsAreZero(head) ? 0 : 1,
  };
}

function decodeHeader(
  head: Uint8Array,
  offset: number,
  path: string,
): { header: GenerationHeader; slotSequence: number } | Rejected {
  const bytes = head.slice(offset, offset + SLOT_BYTES);
  const view = new DataView(bytes.buffer);
  if (new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) return "foreign";
  if (crc32(bytes.subarray(0, SLOT_BYTES - 4)) !== view.getUint32(SLOT_BYTES - 4, true)) {
    return "damaged";
  }
  const format = view.getUint32(8, true);
  const identityVersion = view.getUint32(20, true);
  const identityMode = MODES[view.getUint32(24, true) - 1];
  if (
    format > GENERATION_FORMAT || identityVersion > IDENTITY_VERSION || identityMode === undefined
  ) {
    const found = `format ${format}, identity ${identityVersion}`;
    throw newerFormat(path, found, `${GENERATION_FORMAT} and ${IDENTITY_VERSION}`);
  }
  const shape = { sectors: view.getUint32(28, true), probes: view.getUint32(32, true) };
  if (shape.sectors === 0 || shape.probes === 0 || shape.probes > PROBES_MAX) return "damaged";
  return {
    slotSequence: view.getUint32(12, true),
    header: {
      sequence: view.getUint32(16, true),
      identityVersion,
      identityMode,
      shape,
      capacity: view.getUint32(36, true),
      errorRate: view.getFloat64(40, true),
      createdMs: view.getFloat64(48, true),
      closedMs: view.getFloat64(56, true),
      seed: bytes.slice(64, 80),
    },
  };
}

/**
 * The checksum that belongs to the sector at `sectors[start]`. An empty sector is all zeros,
 * checksum too: so a fresh file is valid.
 *
 * @param seedCrc CRC-32 of the generation's seed
 */
export function sectorChecksum(
  sectors: Uint8Array,
  start: number,
  sector: number,
  seedCrc: number,
): number {
  const bytes = sectors.subarray(start + 4, start + SECTOR_BYTES);
  if (isZero(bytes)) return 0;
  // Seeded with the generation and the sector's number, a sector from elsewhere does not pass.
  return crc32(bytes, crc32OfNumber(sector, seedCrc)) >>> 0;
}

/** CRC-32 of each byte alone, as of a register that was 0. */
const crcOfByte = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/**
 * What crc32() of node:zlib says of a number's four bytes, little-endian. Its call takes as long as
 * all the rest of a sector's checksum.
 */
export function crc32OfNumber(number: number, before: number): number {
  let crc = ~before;
  for (let shift = 0; shift < 32; shift += 8) {
    crc = crcOfByte[(crc ^ (number >>> shift)) & 0xff]! ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/** Whether the sector at `sectors[start]` bears its own checksum. */
export function sectorIsWhole(
  sectors: Uint8Array,
  start: number,
  sector: number,
  seedCrc: number,
): boolean {
  return readUint32(sectors, start) === sectorChecksum(sectors, start, sector, seedCrc);
}

/** Keys in the sector at `sectors[start]`. */
export function sectorKeys(sectors: Uint8Array, start: number): number {
  return sectors[start + 4]! | (sectors[start + 5]! << 8);
}

/** Four bytes, little-endian. */
export function readUint32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) |
    (bytes[offset + 3]! << 24)) >>> 0;
}

function padsAreZero(head: Uint8Array): boolean {
  return PADS.every(([from, end]) => isZero(head.subarray(from, end)));
}
