import { assert, assertEquals } from "@std/assert";
import { CheckpointFile, readSlots } from "../../lib/checkpoint.ts";
import { Generation } from "../../lib/generation.ts";
import { isRedoOf } from "../../lib/redo.ts";
import { GOLDEN_FOLDER, GOLDEN_MS, goldenFiles } from "../golden/golden.ts";
import { MemoryDisk } from "../support/memory_io.ts";
import { randomUint32, testSeed } from "../support/temp.ts";

const SLOT = 64 * 1024;
const CHECKPOINT = `${GOLDEN_FOLDER}/checkpoint`;
const BLOOM = `${GOLDEN_FOLDER}/1800000000.bloom`;

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
    // Head and body bit by bit; in the zeros behind them one random bit of each 4 bytes.
    const used = bytes.subarray(slot * SLOT, (slot + 1) * SLOT).findLastIndex(Boolean) + 1;
    const end = slot * SLOT + used;
    eachFlip(bytes, slot * SLOT, end, check);
    for (let at = end; at < (slot + 1) * SLOT; at += 4) {
      const random = Math.min(at + next() % 4, (slot + 1) * SLOT - 1);
      const bit = next() % 8;
      bytes[random]! ^= 1 << bit;
      check(random, bit);
      bytes[random]! ^= 1 << bit;
    }
  }
  assertEquals(readSlots(file, CHECKPOINT), whole);
});

Deno.test("A checkpoint file cut anywhere, or a slot that reads as zeros, is damage", () => {
  const disk = new MemoryDisk(GOLDEN_MS);
  const whole = goldenFiles("unclean").get("checkpoint")!;
  disk.put(CHECKPOINT, whole);
  const file = disk.io.open(CHECKPOINT, { mode: "write" });
  const { latest, sequence } = readSlots(file, CHECKPOINT);
  assertEquals(sequence % 2, 0, "the newest one stands in the first slot");
  for (const size of [2 * SLOT - 1, 2 * SLOT - 512, SLOT + 512, SLOT + 1, SLOT]) {
    file.truncate(size);
    assertEquals(readSlots(file, CHECKPOINT), { latest, sequence, damaged: 1 }, `${size} bytes`);
  }
  for (const size of [SLOT - 1, 512, 1, 0]) {
    file.truncate(size);
    assertEquals(readSlots(file, CHECKPOINT).damaged, 2, `${size} bytes`);
    assertEquals(readSlots(file, CHECKPOINT).latest, null, `${size} bytes`);
  }
  for (const slot of [0, 1]) {
    file.writeAt(whole, 0);
    file.writeAt(new Uint8Array(SLOT), slot * SLOT);
    const read = readSlots(file, CHECKPOINT);
    assertEquals([read.damaged, read.sequence], [1, slot === 0 ? sequence - 1 : sequence]);
  }
});

Deno.test("A slot that was never written is no damage", async () => {
  const disk = new MemoryDisk(GOLDEN_MS);
  const made = CheckpointFile.open(disk.io, GOLDEN_FOLDER);
  const file = disk.io.open(CHECKPOINT, { mode: "read" });
  assertEquals(readSlots(file, CHECKPOINT), { latest: null, sequence: 0, damaged: 0 });
  made.write({ watches: [], file: null, clean: false, timeMs: 1 });
  await made.seal();
  assertEquals(readSlots(file, CHECKPOINT).damaged, 0);
  assertEquals(readSlots(file, CHECKPOINT).sequence, 1);
});

Deno.test("Any flipped bit of a generation is counted once, and sets no bit that was not set", () => {
  for (const folder of ["clean", "generations"]) {
    const disk = new MemoryDisk(GOLDEN_MS);
    disk.put(BLOOM, goldenFiles(folder).get("1800000000.bloom")!);
    const whole = disk.read(BLOOM).slice();
    const open = () => {
      const generation = Generation.open(disk.io, BLOOM);
      assert(generation instanceof Generation);
      return generation;
    };
    const { header, keys } = open();
    const keysIn = (sector: number) => whole[8192 + 512 * sector + 4]!;
    const bytes = disk.read(BLOOM);
    eachFlip(bytes, 0, bytes.length, (at, bit) => {
      const flipped = bytes.slice(8192);
      const opened = open();
      const where = `${folder} byte ${at} bit ${bit}`;
      assertEquals(opened.damaged, 1, where);
      // Of a closed generation one slot may be from before: then the ring closes it again.
      const { closedMs } = opened.header;
      assert(closedMs === header.closedMs || at < 8192 && closedMs === 0, where);
      assertEquals({ ...opened.header, closedMs }, { ...header, closedMs }, where);
      const lost = at < 8192 ? 0 : keysIn(Math.floor((at - 8192) / 512));
      assertEquals(opened.keys, keys - lost, where);
      // What it holds in memory is what it writes: the flipped sector is empty, all others are the
      // same. So no key is known that was not known before.
      opened.writeDirty();
      for (let index = 8192; index < bytes.length; index++) {
        const isFlipped = at >= 8192 && (at & ~511) === (index & ~511);
        if (bytes[index] !== (isFlipped ? 0 : whole[index])) {
          throw new Error(`${where}: byte ${index} is ${bytes[index]}, was ${whole[index]}`);
        }
      }
      bytes.set(flipped, 8192);
    });
    assertEquals(bytes, whole);
  }
});

Deno.test("Any flipped bit of a redo file makes it worth nothing", async () => {
  const bytes = goldenFiles("redo").get("redo")!;
  const disk = new MemoryDisk(GOLDEN_MS);
  disk.put(CHECKPOINT, goldenFiles("redo").get("checkpoint")!);
  const mark = CheckpointFile.open(disk.io, GOLDEN_FOLDER).latest!.file!;
  assert(isRedoOf(bytes, mark));
  eachFlip(bytes, 0, bytes.length, (at, bit) => {
    assert(!isRedoOf(bytes, mark), `byte ${at} bit ${bit}`);
  });
  for (let length = 0; length < bytes.length; length++) {
    assert(!isRedoOf(bytes.slice(0, length), mark), `${length} bytes`);
  }
  assert(isRedoOf(bytes, mark));
});
