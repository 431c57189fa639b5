/**
 * What a `.bloom` file says of itself, and how much of it is damaged: read in pieces, never
 * written, also while a running instance writes to it.
 */

import { crc32 } from "node:zlib";
import { expectedFalsePositives, SECTOR_BYTES } from "./bloom.ts";
import {
  type GenerationHeader,
  readHead,
  type Rejected,
  sectorIsWhole,
  sectorKeys,
  SECTORS_OFFSET,
} from "./generation_format.ts";
import type { Io, IoFile } from "./io.ts";
import { SECTORS_READ } from "./limits.ts";
import type { IdentityMode } from "./protocol.ts";
import { readFrom } from "./read_only.ts";
import { lookAgain } from "./second_look.ts";

/** A generation as its file is now. What a running instance holds is at most 10 s ahead of it. */
export interface GenerationReport {
  /** Its file in the state folder. */
  name: string;
  /** Place in the ring; a newer generation has a higher one. */
  sequence: number;
  identity: IdentityMode;
  /** Wall clock, ms since 1970. */
  createdMs: number;
  /** Wall clock, ms since 1970; null while it is open. */
  closedMs: number | null;
  /** Keys in it, those of damaged sectors not counted. */
  keys: number;
  /** Keys after which it closes. */
  capacity: number;
  /** The chance, now, that it takes a new event for a known one. */
  expectedFalsePositives: number;
  /** The same when it is full: what it was made for. */
  allowedFalsePositives: number;
  /** Sectors without their checksum: their keys are forgotten, their events may come again. */
  damagedSectors: number;
  /** Header slots without their checksum (0 or 1), and bytes beside them that should be zero. */
  damagedHead: number;
  /** The file ends before its last sector. */
  cutShort: boolean;
}

/**
 * Reads one `.bloom` file.
 *
 * @returns "foreign" where it is not of this program, "damaged" where no header is valid, null
 * where it is gone: dropped since the folder was listed
 * @throws StateError where a newer release wrote it; IoError where it cannot be read
 */
export function readGeneration(
  io: Io,
  path: string,
  name: string,
): Promise<GenerationReport | Rejected | null> {
  return readFrom(io, path, "the state file", async (file) => {
    const head = await lookAgain(io, () => readHead(file, path), (seen) => {
      if (typeof seen === "string") return seen === "foreign";
      return seen.damagedSlots + seen.damagedPads === 0;
    });
    if (typeof head === "string") return head;
    const { header } = head;
    const { keys, damaged } = await readSectors(io, file, header);
    return {
      name,
      sequence: header.sequence,
      identity: header.identityMode,
      createdMs: header.createdMs,
      closedMs: header.closedMs === 0 ? null : header.closedMs,
      keys,
      capacity: header.capacity,
      expectedFalsePositives: expectedFalsePositives(header.shape, keys),
      allowedFalsePositives: header.errorRate,
      damagedSectors: damaged,
      damagedHead: head.damagedSlots + head.damagedPads,
      cutShort: file.size() < SECTORS_OFFSET + header.shape.sectors * SECTOR_BYTES,
    };
  });
}

/** Counts the keys, and the sectors that stay wrong however often one looks. */
async function readSectors(
  io: Io,
  file: IoFile,
  header: GenerationHeader,
): Promise<{ keys: number; damaged: number }> {
  const { sectors } = header.shape;
  const seedCrc = crc32(header.seed);
  const buffer = new Uint8Array(SECTORS_READ * SECTOR_BYTES);
  let keys = 0;
  /** Counts the sectors in [first, end); returns those that are wrong. */
  const count = (first: number, end: number): number[] => {
    const bytes = buffer.subarray(0, (end - first) * SECTOR_BYTES);
    // Behind the end of a file cut short, sectors count as empty.
    bytes.fill(0, file.readAt(bytes, SECTORS_OFFSET + first * SECTOR_BYTES));
    const wrong: number[] = [];
    for (let sector = first; sector < end; sector++) {
      const start = (sector - first) * SECTOR_BYTES;
      if (sectorIsWhole(bytes, start, sector, seedCrc)) keys += sectorKeys(bytes, start);
      else wrong.push(sector);
    }
    return wrong;
  };
  let wrong: number[] = [];
  for (let first = 0; first < sectors; first += SECTORS_READ) {
    wrong.push(...count(first, Math.min(sectors, first + SECTORS_READ)));
  }
  if (wrong.length > 0) {
    await lookAgain(io, () => {
      wrong = wrong.flatMap((sector) => count(sector, sector + 1));
      return wrong;
    }, (left) => left.length === 0);
  }
  return { keys, damaged: wrong.length };
}
