import { assertEquals, assertThrows } from "@std/assert";
import { type Checkpoint, CheckpointFile } from "../../lib/checkpoint.ts";
import { StateError } from "../../lib/errors.ts";
import { realIo } from "../../lib/real_io.ts";
import { FIELD_SELECTOR_MAX, NAMESPACES_MAX } from "../../lib/settings.ts";
import { randomUint32, testSeed, withTempFolder } from "../support/temp.ts";

function sample(offset: number): Checkpoint {
  return {
    watches: [{
      server: "https://127.0.0.1:6443",
      namespace: null,
      fieldSelector: null,
      position: {
        rv: "12",
        witness: "00".repeat(16),
        previous: "11",
        highest: "12",
        listOwed: false,
      },
    }],
    file: { path: "/var/log/events.jsonl", dev: 1, ino: 2, birthMs: 3, offset, tailHash: "ab" },
    clean: false,
    timeMs: 1_700_000_000_000,
  };
}

async function write(checkpoints: CheckpointFile, checkpoint: Checkpoint): Promise<void> {
  checkpoints.write(checkpoint);
  await checkpoints.seal();
}

Deno.test("CheckpointFile gives back the checkpoint that was sealed last", async () => {
  await withTempFolder(async (folder) => {
    const made = CheckpointFile.open(realIo, folder);
    assertEquals(made.latest, null);
    for (let offset = 1; offset <= 5; offset++) await write(made, sample(offset));
    made.release();
    const again = CheckpointFile.open(realIo, folder);
    assertEquals(again.latest, sample(5));
    assertEquals(again.damaged, 0);
    await write(again, sample(6));
    again.release();
    const third = CheckpointFile.open(realIo, folder);
    assertEquals(third.latest, sample(6));
    third.release();
  });
});

Deno.test("A checkpoint of the most namespaces, with the longest names, fits its slot", async () => {
  await withTempFolder(async (folder) => {
    const rv = "9".repeat(39); // 128 bits, as KEP-5504 allows.
    const longest: Checkpoint = {
      ...sample(1),
      watches: Array.from({ length: NAMESPACES_MAX }, () => ({
        server: `https://${"h".repeat(253)}:65535`,
        namespace: "n".repeat(63),
        fieldSelector: "\\".repeat(FIELD_SELECTOR_MAX), // Two bytes each in JSON.
        position: {
          ...{ rv, previous: rv, highest: rv, passed: rv },
          ...{ witness: "0".repeat(32), listOwed: false, seenMs: 1_800_000_000_000 },
        },
      })),
    };
    longest.file!.path = `/${"é".repeat(2047)}`; // PATH_MAX bytes.
    const made = CheckpointFile.open(realIo, folder);
    await write(made, longest);
    made.release();
  });
});

Deno.test("One flipped bit anywhere in the checkpoint file is noticed, and leaves the other slot", async () => {
  const next = randomUint32(testSeed());
  await withTempFolder(async (folder) => {
    const made = CheckpointFile.open(realIo, folder);
    await write(made, sample(1));
    await write(made, sample(2));
    made.release();
    const path = `${folder}/checkpoint`;
    const whole = Deno.readFileSync(path);
    for (let round = 0; round < 300; round++) {
      const bytes = whole.slice();
      const at = next() % bytes.length;
      bytes[at]! ^= 1 << (next() % 8);
      Deno.writeFileSync(path, bytes);
      const opened = CheckpointFile.open(realIo, folder);
      assertEquals(opened.damaged, 1, `byte ${at}`);
      // Sequence 1 stands in the second slot, sequence 2 in the first.
      assertEquals(opened.latest, at < 64 * 1024 ? sample(1) : sample(2));
      opened.release();
    }
  });
});

Deno.test("A write that is torn at any sector leaves the checkpoint before it", async () => {
  await withTempFolder(async (folder) => {
    const made = CheckpointFile.open(realIo, folder);
    await write(made, sample(1));
    await write(made, sample(2));
    const path = `${folder}/checkpoint`;
    const before = Deno.readFileSync(path);
    await write(made, { ...sample(3), timeMs: 1 });
    made.release();
    const after = Deno.readFileSync(path);
    const torn = before.slice();
    torn.set(after.subarray(64 * 1024 + 512, 64 * 1024 + 1024), 64 * 1024 + 512);
    torn.set(after.subarray(64 * 1024, 64 * 1024 + 256), 64 * 1024);
    Deno.writeFileSync(path, torn);
    const opened = CheckpointFile.open(realIo, folder);
    assertEquals(opened.latest, sample(2));
    opened.release();
  });
});

Deno.test("A checkpoint of a newer format is refused with a sentence that names it", async () => {
  const { crc32 } = await import("node:zlib");
  await withTempFolder(async (folder) => {
    const made = CheckpointFile.open(realIo, folder);
    await write(made, sample(1));
    made.release();
    const path = `${folder}/checkpoint`;
    const bytes = Deno.readFileSync(path);
    const slot = bytes.subarray(64 * 1024);
    const view = new DataView(slot.buffer, slot.byteOffset);
    view.setUint32(8, 2, true);
    view.setUint32(20, 0, true);
    view.setUint32(20, crc32(slot), true);
    Deno.writeFileSync(path, bytes);
    assertThrows(() => CheckpointFile.open(realIo, folder), StateError, "a newer release wrote it");
  });
});
