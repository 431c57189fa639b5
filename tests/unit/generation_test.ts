import { crc32 } from "node:zlib";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { shapeFor } from "../../lib/bloom.ts";
import { StateError } from "../../lib/errors.ts";
import { Generation, type GenerationHeader } from "../../lib/generation.ts";
import { crc32OfNumber } from "../../lib/generation_format.ts";
import { IDENTITY_VERSION } from "../../lib/identity.ts";
import { realIo } from "../../lib/real_io.ts";
import { randomKeys, randomUint32, testSeed, withTempFolder } from "../support/temp.ts";

function header(capacity = 500): GenerationHeader {
  return {
    sequence: 7,
    identityVersion: IDENTITY_VERSION,
    identityMode: "content",
    shape: shapeFor(capacity, 1e-10),
    capacity,
    errorRate: 1e-10,
    createdMs: 1_700_000_000_000,
    closedMs: 0,
    seed: realIo.randomBytes(16),
  };
}

function make(folder: string, capacity?: number): Generation {
  return Generation.create(realIo, folder, `${folder}/1.bloom`, header(capacity));
}

function open(folder: string): Generation {
  const opened = Generation.open(realIo, `${folder}/1.bloom`);
  assert(opened instanceof Generation);
  return opened;
}

Deno.test("A generation knows after reopening what was written and synced, and its counts", async () => {
  const next = randomUint32(testSeed());
  await withTempFolder(async (folder) => {
    const keys = randomKeys(next, 500);
    const made = make(folder);
    for (let index = 0; index < 500; index++) made.add(keys, 8 * index);
    made.writeDirty();
    await made.sync();
    assertEquals(made.dirtySectors, 0);
    made.release();
    const again = open(folder);
    assertEquals(again.keys, 500);
    assertEquals(again.damaged, 0);
    assertEquals({ ...again.header, seed: [...again.header.seed] }, {
      ...made.header,
      seed: [...made.header.seed],
    });
    for (let index = 0; index < 500; index++) assert(again.mayContain(keys, 8 * index));
    const strangers = randomKeys(next, 500);
    for (let index = 0; index < 500; index++) assert(!again.mayContain(strangers, 8 * index));
    again.release();
  });
});

Deno.test("A generation written in pieces, keys added in between, is the one written at once", async () => {
  const next = randomUint32(testSeed());
  await withTempFolder((folder) => {
    const keys = randomKeys(next, 2000);
    const made = make(folder, 2000);
    let added = 0;
    let pieces = 0;
    const addSome = (count: number) => {
      for (const end = Math.min(added + count, 2000); added < end; added++) {
        made.add(keys, 8 * added);
      }
    };
    for (addSome(500); made.dirtySectors > 0; pieces++) {
      const before = made.dirtySectors;
      made.writeDirty(1 + pieces % 3);
      assertEquals(made.dirtySectors, Math.max(0, before - 1 - pieces % 3));
      addSome(20);
    }
    assertEquals(added, 2000);
    assert(pieces > 75, `${pieces} pieces`);
    const inPieces = Deno.readFileSync(`${folder}/1.bloom`);
    made.rewriteAll(); // The header's sequence moves by it: only the sectors are compared.
    assertEquals(inPieces.subarray(8192), Deno.readFileSync(`${folder}/1.bloom`).subarray(8192));
    made.release();
    const again = open(folder);
    assertEquals([again.keys, again.damaged], [2000, 0]);
    for (let index = 0; index < 2000; index++) assert(again.mayContain(keys, 8 * index));
    again.release();
  });
});

Deno.test("A closed generation is closed after reopening, also when the other header slot is torn", async () => {
  await withTempFolder((folder) => {
    const made = make(folder);
    made.close(1_700_000_001_234);
    made.release();
    const closed = open(folder);
    assertEquals(closed.header.closedMs, 1_700_000_001_234);
    closed.release();
    const file = realIo.open(`${folder}/1.bloom`, { mode: "write" });
    file.writeAt(new Uint8Array(100), 4096); // the slot that close() did not write
    file.close();
    const torn = open(folder);
    assertEquals(torn.header.closedMs, 1_700_000_001_234);
    assertEquals(torn.damaged, 1);
    torn.release();
  });
});

Deno.test("One flipped bit anywhere in the file is noticed, and costs at most its own sector", async () => {
  const next = randomUint32(testSeed());
  await withTempFolder((folder) => {
    const keys = randomKeys(next, 500);
    const made = make(folder);
    for (let index = 0; index < 500; index++) made.add(keys, 8 * index);
    made.writeDirty();
    made.release();
    const path = `${folder}/1.bloom`;
    const whole = Deno.readFileSync(path);
    const sectors = made.header.shape.sectors;
    for (let round = 0; round < 2000; round++) {
      const bytes = whole.slice();
      const at = next() % bytes.length;
      bytes[at]! ^= 1 << (next() % 8);
      Deno.writeFileSync(path, bytes);
      const opened = open(folder);
      assertEquals(opened.damaged, 1, `byte ${at}`);
      let forgotten = 0;
      for (let index = 0; index < 500; index++) {
        if (!opened.mayContain(keys, 8 * index)) forgotten++;
      }
      if (at < 8192) assertEquals(forgotten, 0);
      else assert(forgotten <= 3 * 500 / sectors, `${forgotten} keys of ${sectors} sectors`);
      opened.release();
    }
  });
});

Deno.test("A file without any valid header is damaged, one without our mark is foreign", async () => {
  await withTempFolder((folder) => {
    const path = `${folder}/1.bloom`;
    make(folder).release();
    const whole = Deno.readFileSync(path);
    const damaged = whole.slice();
    damaged[100]! ^= 1;
    damaged[4196]! ^= 1;
    Deno.writeFileSync(path, damaged);
    assertEquals(Generation.open(realIo, path), "damaged");
    Deno.writeFileSync(path, new TextEncoder().encode("the Python tool's filter"));
    assertEquals(Generation.open(realIo, path), "foreign");
    Deno.writeFileSync(path, new Uint8Array());
    assertEquals(Generation.open(realIo, path), "foreign");
  });
});

Deno.test("A generation of a newer format is refused with a sentence that names it", async () => {
  await withTempFolder((folder) => {
    const newer = { ...header(), identityVersion: IDENTITY_VERSION + 1 };
    Generation.create(realIo, folder, `${folder}/1.bloom`, newer).release();
    assertThrows(
      () => Generation.open(realIo, `${folder}/1.bloom`),
      StateError,
      "a newer release wrote it",
    );
  });
});

Deno.test("A generation that cannot be made leaves nothing behind", async () => {
  await withTempFolder(async (folder) => {
    const failing = {
      ...realIo,
      rename: () => {
        throw Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
      },
    };
    await assertRejects(
      () =>
        Promise.resolve().then(() =>
          Generation.create(failing, folder, `${folder}/1.bloom`, header())
        ),
      Error,
      "No space left",
    );
    assertEquals(realIo.list(folder), []);
  });
});

Deno.test("crc32OfNumber() says what zlib says of the four bytes", () => {
  const bits = Array.from({ length: 32 }, (_, bit) => (1 << bit) >>> 0);
  const numbers = [0, 0xffffffff, 0x12345678, ...bits, ...bits.map((bit) => ~bit >>> 0)];
  for (const number of numbers) {
    const bytes = Uint8Array.of(number, number >>> 8, number >>> 16, number >>> 24);
    for (const before of numbers) {
      assertEquals(crc32OfNumber(number, before), crc32(bytes, before) >>> 0);
    }
  }
});
