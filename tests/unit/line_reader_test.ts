import { assert, assertEquals, assertRejects } from "@std/assert";
import { gzipSync } from "node:zlib";
import { IoError } from "../../lib/errors.ts";
import type { Io } from "../../lib/io.ts";
import { LineFile } from "../../lib/line_reader.ts";
import { lookingIo } from "../support/looking_io.ts";
import { randomUint32, testSeed, withTempFolder } from "../support/temp.ts";

/** A line as a test wants to see it. */
interface Seen {
  text: string;
  offset: number;
  isUnfinished: boolean;
}

async function linesOf(path: string, io: Io = lookingIo(), most = Infinity): Promise<Seen[]> {
  const file = LineFile.open(io, path)!;
  const seen: Seen[] = [];
  try {
    await file.eachLine(({ bytes, start, end, offset, length, isUnfinished }) => {
      assertEquals(length, end - start);
      const text = new TextDecoder().decode(bytes.subarray(start, end));
      seen.push({ text, offset, isUnfinished });
      return seen.length < most;
    });
  } finally {
    file.release();
  }
  return seen;
}

Deno.test("eachLine() gives each line whole, wherever the pieces of the file end, plain and gzip", async () => {
  const next = randomUint32(testSeed());
  await withTempFolder(async (folder) => {
    for (let round = 0; round < 20; round++) {
      const expected: Seen[] = [];
      let text = "";
      for (let number = 0; number < 1 + next() % 50; number++) {
        // Some lines are empty, some end just where a piece of 64 KiB does, some span several.
        const lengths = [0, next() % 500, 65_535 - text.length % 65_536, next() % 300_000];
        const line = String.fromCharCode(97 + number % 26).repeat(lengths[next() % 4]!);
        expected.push({ text: line, offset: text.length, isUnfinished: false });
        text += `${line}\n`;
      }
      if (next() % 2 === 0) {
        expected.push({ text: "unfinished", offset: text.length, isUnfinished: true });
        text += "unfinished";
      }
      for (const name of ["plain", "packed"]) {
        const bytes = new TextEncoder().encode(text);
        Deno.writeFileSync(`${folder}/${name}`, name === "plain" ? bytes : gzipSync(bytes));
        assertEquals(await linesOf(`${folder}/${name}`), expected);
        assertEquals(await linesOf(`${folder}/${name}`, lookingIo(), 3), expected.slice(0, 3));
      }
    }
  });
});

Deno.test("eachLine() does not read what was appended since the file was opened", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/lines`;
    Deno.writeTextFileSync(path, "one\ntwo\n");
    let appended = false;
    const io = lookingIo({
      onRead: () => {
        if (appended) return;
        appended = true;
        Deno.writeTextFileSync(path, "three\n", { append: true });
      },
    });
    assertEquals((await linesOf(path, io)).map(({ text }) => text), ["one", "two"]);
    assert(appended);
  });
});

Deno.test("eachLine() waits a moment for the end of a last line, and forgets one that is taken back", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/lines`;
    const begin = `one\n${"x".repeat(100_000)}`;
    const meanwhile = async (onSleep: () => void) => {
      Deno.writeTextFileSync(path, begin);
      let sleeps = 0;
      const seen = await linesOf(path, lookingIo({ onSleep: () => ++sleeps === 2 && onSleep() }));
      return seen.map(({ text, offset, isUnfinished }) => [text.length, offset, isUnfinished]);
    };
    const append = (text: string) => () => Deno.writeTextFileSync(path, text, { append: true });
    assertEquals(await meanwhile(append("yz\nfour\nfi")), [[3, 0, false], [100_002, 4, false]]);
    assertEquals(await meanwhile(() => Deno.truncateSync(path, 4)), [[3, 0, false]]);
    assertEquals(await meanwhile(() => Deno.truncateSync(path, 0)), [[3, 0, false]]);
    assertEquals(await meanwhile(append("yz")), [[3, 0, false], [100_000, 4, true]]);
  });
});

Deno.test("A line beyond all bounds costs no more memory than the bound, and has its true length", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/lines`;
    const bound = 32 * 1024 * 1024;
    Deno.writeFileSync(path, new Uint8Array(bound + 100_000).fill(0x20));
    Deno.writeTextFileSync(path, "\nnext\n", { append: true });
    const file = LineFile.open(lookingIo(), path)!;
    const seen: number[][] = [];
    await file.eachLine(({ start, end, length, offset }) => {
      seen.push([end - start, length, offset]);
      return true;
    });
    file.release();
    assertEquals(seen, [[bound, bound + 100_000, 0], [4, 4, bound + 100_001]]);
  });
});

Deno.test("A gzip file that is cut short or damaged is refused by name; several in a row are one", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/lines.gz`;
    const whole = new Uint8Array(gzipSync(new TextEncoder().encode("one\ntwo\n".repeat(1000))));
    const flipped = whole.slice();
    flipped[whole.length - 6]! ^= 1; // in the checksum
    const twice = new Uint8Array(2 * whole.length);
    twice.set(whole);
    twice.set(whole, whole.length);
    const cutInSecond = twice.subarray(0, twice.length - 3);
    for (const bytes of [whole.subarray(0, whole.length - 3), flipped, cutInSecond]) {
      Deno.writeFileSync(path, bytes);
      await assertRejects(() => linesOf(path), IoError, `Cannot unpack the file "${path}": `);
    }
    Deno.writeFileSync(path, twice);
    assertEquals((await linesOf(path)).length, 4000);
  });
});

Deno.test("A file that cannot be read is named, also where it is packed", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/lines`;
    for (const bytes of [new TextEncoder().encode("one\n"), new Uint8Array(gzipSync("one\n"))]) {
      Deno.writeFileSync(path, bytes);
      for (const good of [0, 1]) { // The first read tells what kind it is.
        let reads = 0;
        const io = lookingIo({
          onRead: () => {
            if (reads++ < good) return;
            throw Object.assign(new Error("Input/output error (os error 5)"), { code: "EIO" });
          },
        });
        const error = await assertRejects(async () => await linesOf(path, io), IoError);
        assertEquals(
          error.message,
          `Cannot read the file "${path}": Input/output error (os error 5).`,
        );
      }
    }
    assertEquals(LineFile.open(lookingIo(), `${folder}/none`), null);
  });
});
