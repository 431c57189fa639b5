import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { CheckpointFile, readSlots } from "../../lib/checkpoint.ts";
import { Generation } from "../../lib/generation.ts";
import { encodeHeader, type GenerationHeader } from "../../lib/generation_format.ts";
import { isRedoOf } from "../../lib/redo.ts";
import { GOLDEN_FOLDER, GOLDEN_MS, goldenFiles } from "../golden/golden.ts";
import { MemoryDisk } from "../support/memory_io.ts";
import { randomUint32, testSeed } from "../support/temp.ts";

/** Of a slot of the checkpoint, and where the sectors of a generation begin: docs/FORMAT.md. */
const SLOT = 64 * 1024;
const SECTORS = 8192;
const FIRST_BLOOM = "1800000000.bloom";
const CHECKPOINT = `${GOLDEN_FOLDER}/checkpoint`;
const REDO = `${GOLDEN_FOLDER}/redo`;
const BLOOM = `${GOLDEN_FOLDER}/${FIRST_BLOOM}`;

/** Calls `body` with each bit of [from, end) turned round, one at a time. */
function eachFlip(
  bytes: Uint8Array,
  from: number,
  end: number,
  body: (at: number, bit: number) => void,
): void {
  for (let at = from; at < end; at++) {
    for (let bit = 0; bit < 8; bit++) {
      bytes[at]! ^= 1 << bit;
      body(at, bit);
      bytes[at]! ^= 1 << bit;
    }
  }
}

Deno.test("Any flipped bit of a checkpoint damages its slot alone, and the other one is taken", () => {
  const next = randomUint32(testSeed());
  const disk = new MemoryDisk(GOLDEN_MS);
  disk.put(CHECKPOINT, goldenFiles("unclean").get("checkpoint")!);
  const bytes = disk.read(CHECKPOINT);
  const file = disk.io.open(CHECKPOINT, { mode: "read" });
  const whole = readSlots(file, CHECKPOINT);
  const alone = [0, 1].map((slot) => {
    const kept = bytes.slice(slot * SLOT, (slot + 1) * SLOT);
    bytes.fill(0xff, slot * SLOT, (slot + 1) * SLOT);
    const { latest } = readSlots(file, CHECKPOINT);
    bytes.set(kept, slot * SLOT);
    return latest;
  });
  assertEquals(whole.damaged, 0);
  assert(alone[0]!.file!.offset !== alone[1]!.file!.offset);
  const check = (at: number, bit: number) => {
    const { latest, damaged } = readSlots(file, CHECKPOINT);
    assertEquals(damaged, 1, `byte ${at} bit ${bit}`);
    assertEquals(latest, alone[Math.floor(at / SLOT)]!, `byte ${at} bit ${bit}`);
  };
  for (const slot of [0, 1]) {
    // Head and body bit by bit; in the zeros behind them one random bit of each 16 bytes.
    const used = bytes.subarray(slot * SLOT, (slot + 1) * SLOT).findLastIndex(Boolean) + 1;
    const end = slot * SLOT + used;
    eachFlip(bytes, slot * SLOT, end, check);
    for (let at = end; at < (slot + 1) * SLOT; at += 16) {
      const random = Math.min(at + next() % 16, (slot + 1) * SLOT - 1);
      const bit = next() % 8;
      bytes[random]! ^= 1 << bit;
      check(random, bit);
      bytes[random]! ^= 1 << bit;
    }
  }
  assertEquals(readSlots(file, CHECKPOINT), whole);
});

Deno.test("Any flipped bit of a generation is counted once, and sets no bit that was not set", () => {
  for (const folder of ["clean", "generations"]) {
    const disk = new MemoryDisk(GOLDEN_MS);
    disk.put(BLOOM, goldenFiles(folder).get(FIRST_BLOOM)!);
    const bytes = disk.read(BLOOM);
    const whole = bytes.slice();
    const open = () => {
      const generation = Generation.open(disk.io, BLOOM);
      assert(generation instanceof Generation);
      return generation;
    };
    const { header, keys } = open();
    /** What of a header cannot depend on the slot that it was read from. */
    const encoded = (one: GenerationHeader) => encodeHeader({ ...one, closedMs: 0 }, 0);
    const expectedHeader = encoded(header);
    const check = (at: number, bit: number) => {
      const where = `${folder} byte ${at} bit ${bit}`;
      const flipped = bytes.slice(SECTORS);
      const opened = open();
      assert(opened.damaged === 1, where);
      // Of a closed generation one slot may be from before: then the ring closes it again.
      const { closedMs } = opened.header;
      assert(closedMs === header.closedMs || at < SECTORS && closedMs === 0, where);
      assert(Buffer.compare(encoded(opened.header), expectedHeader) === 0, where);
      // What it holds in memory is what it writes: the flipped sector is empty, all others are as
      // they were. So no key is known that was not known before.
      const expected = whole.slice(SECTORS);
      let lost = 0;
      if (at >= SECTORS) {
        const start = (at - SECTORS) & ~511;
        lost = expected[start + 4]!;
        expected.fill(0, start, start + 512);
      }
      assert(opened.keys === keys - lost, where);
      opened.writeDirty();
      assert(Buffer.compare(bytes.subarray(SECTORS), expected) === 0, where);
      bytes.set(flipped, SECTORS);
    };
    eachFlip(bytes, 0, 512, check);
    eachFlip(bytes, 4096, 4608, check);
    eachFlip(bytes, SECTORS, bytes.length, check);
    if (folder === "clean") { // The zeros beside the slots are the same in each file.
      eachFlip(bytes, 512, 4096, check);
      eachFlip(bytes, 4608, SECTORS, check);
    }
    assertEquals(bytes, whole);
  }
});

Deno.test("Any flipped bit of a redo file makes it worth nothing", () => {
  const bytes = goldenFiles("redo").get("redo")!;
  const disk = new MemoryDisk(GOLDEN_MS);
  disk.put(CHECKPOINT, goldenFiles("redo").get("checkpoint")!);
  const mark = CheckpointFile.open(disk.io, GOLDEN_FOLDER).latest!.file!;
  assert(isRedoOf(bytes, mark, REDO));
  eachFlip(bytes, 0, bytes.length, (at, bit) => {
    assert(!isRedoOf(bytes, mark, REDO), `byte ${at} bit ${bit}`);
  });
  for (let length = 0; length < bytes.length; length++) {
    assert(!isRedoOf(bytes.slice(0, length), mark, REDO), `${length} bytes`);
  }
  assert(isRedoOf(bytes, mark, REDO));
});
