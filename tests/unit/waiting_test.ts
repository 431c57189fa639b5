/**
 * Trouble that passes by itself or by an operator's hand, at each place where it may come: the
 * shipped classes on a real folder, with a disk that refuses what the test says.
 */

import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { codeOf, exitCodeOf, IoError } from "../../lib/errors.ts";
import { FileDestination } from "../../lib/file_destination.ts";
import type { Io, IoFile } from "../../lib/io.ts";
import { PENDING_KEYS_MAX } from "../../lib/limits.ts";
import { realIo } from "../../lib/real_io.ts";
import { linesOf, Rig, sampleEvent } from "../support/rig.ts";
import { until, withTempFolder } from "../support/temp.ts";

/** What the disk refuses, and how often it did. */
interface Trouble {
  code: string | null;
  refused: number;
}

type Kind = "make" | "append" | "write";
/** Where the trouble is. */
type Place = (kind: Kind, path: string) => boolean;

/** The real disk, except that what is done at the place fails while there is trouble. */
function troubled(trouble: Trouble, place: Place): Io {
  const unless = <T>(kind: Kind, path: string, action: () => T): T => {
    if (trouble.code === null || !place(kind, path)) return action();
    trouble.refused++;
    throw Object.assign(new Error(`${trouble.code} (of the test)`), { code: trouble.code });
  };
  return {
    ...realIo,
    open(path, options) {
      const open = () => realIo.open(path, options);
      const file: IoFile = realIo.stat(path) === null ? unless("make", path, open) : open();
      const append = file.append.bind(file);
      const writeAt = file.writeAt.bind(file);
      file.append = (bytes) => unless("append", path, () => append(bytes));
      file.writeAt = (bytes, offset) => unless("write", path, () => writeAt(bytes, offset));
      return file;
    },
  };
}

const events = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => sampleEvent(from + n));

const isDraft = (path: string) => path.endsWith(".bloom.new");

const PLACES: Record<string, Place> = {
  "the destination": (kind) => kind === "append",
  "the name of a generation": (kind, path) => kind === "make" && isDraft(path),
  "the bytes of a new generation": (kind, path) =>
    kind === "write" && isDraft(path) && realIo.stat(path) !== null,
  // Its handle keeps the name that it was opened with.
  "the ring": (kind, path) => kind === "write" && isDraft(path) && realIo.stat(path) === null,
  "the checkpoint": (kind, path) => kind === "write" && path.endsWith("/checkpoint"),
};

for (const code of ["ENOSPC", "EDQUOT", "EROFS"]) {
  for (const [name, place] of Object.entries(PLACES)) {
    Deno.test(`${code} of ${name} is waited out, and nothing is lost or repeated (fault 46)`, async () => {
      await withTempFolder(async (folder) => {
        const trouble: Trouble = { code: null, refused: 0 };
        const options = { io: troubled(trouble, place), filterCapacity: 10 };
        const rig = await Rig.start(folder, options);
        await rig.feed(events(0, 10));
        await rig.commit.checkpoint();
        trouble.code = code;
        await Promise.all([
          rig.feed(events(10, 30)).then(() => rig.commit.checkpoint()),
          until("it was refused twice", () => trouble.refused > 1).then(() => trouble.code = null),
        ]);
        assertEquals(rig.fatal, []);
        await rig.kill();
        const again = await Rig.start(folder);
        await again.feed(events(0, 40));
        await again.stop();
        assertEquals(linesOf(`${folder}/events.jsonl`), events(0, 40));
      });
    });
  }
}

Deno.test("An error that Deno knows by its number alone is one of the operating system", () => {
  assertEquals(codeOf(new Error("Disk quota exceeded (os error 122)")), "EDQUOT");
  assertEquals(codeOf(new Error("Structure needs cleaning (os error 117)")), "errno 117");
  assertEquals(exitCodeOf(new Error("Structure needs cleaning (os error 117)")), 74);
  assertEquals(codeOf(new IoError("Cannot sync it: No space left (os error 28).")), undefined);
  assertEquals(codeOf(new Error("of ours")), undefined);
});

/** Room that a file has left, bytes; null = enough. */
interface Room {
  left: number | null;
  refused: number;
}

/** The real disk, where one file finds no room: btrfs needs some even for a cut. */
function withRoom(path: string, room: Room): Io {
  const full = () => {
    room.refused++;
    return Object.assign(new Error("EDQUOT (of the test)"), { code: "EDQUOT" });
  };
  return {
    ...realIo,
    open(name, options) {
      const file = realIo.open(name, options);
      if (name !== path) return file;
      const append = file.append.bind(file);
      const truncate = file.truncate.bind(file);
      file.append = (bytes) => {
        if (room.left === null) return append(bytes);
        if (room.left === 0) throw full();
        const written = append(bytes.subarray(0, room.left));
        room.left -= written;
        return written;
      };
      file.truncate = (size) => {
        if (room.left !== null) throw full();
        truncate(size);
      };
      return file;
    },
  };
}

for (const between of ["nothing", "a checkpoint", "copytruncate", "a stop", "a kill"]) {
  Deno.test(`A torn line that even cannot be cut is cut later; in between: ${between}`, async () => {
    await withTempFolder(async (folder) => {
      const path = `${folder}/events.jsonl`;
      const room: Room = { left: null, refused: 0 };
      const rig = await Rig.start(folder, { io: withRoom(path, room) });
      await rig.feed(events(0, 3));
      await rig.commit.checkpoint();
      room.left = 1000;
      const feeding = rig.feed(events(3, 10)).catch(() => {});
      await until("the cut was refused twice", () => room.refused > 2);
      if (between === "a checkpoint") await rig.commit.checkpoint();
      if (between === "copytruncate") Deno.truncateSync(path, 0);
      if (between === "a stop") await rig.stop();
      if (between === "a kill") await rig.kill();
      room.left = null;
      assertEquals(rig.fatal, []);
      if (between === "a stop" || between === "a kill") {
        rig.fatal.push(new Error("of the test: it ended")); // Ends the feeding.
        const again = await Rig.start(folder);
        await again.feed(events(0, 13));
        await again.stop();
      } else {
        await feeding;
        await rig.stop();
      }
      await feeding;
      const whole = linesOf(path);
      const expected = events(0, 13);
      assertEquals(whole, between === "copytruncate" ? expected.slice(-whole.length) : expected);
      assert(whole.length > 5);
    });
  });
}

Deno.test("What somebody wrote behind a torn line that cannot be cut yet is not cut", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const room: Room = { left: 8, refused: 0 };
    const file = await FileDestination.open(withRoom(path, room), path);
    const encoder = new TextEncoder();
    const first = file.append(encoder.encode("whole\ntorn\n"));
    assertEquals([first.kept, codeOf(first.error)], [6, "EDQUOT"]);
    Deno.writeTextFileSync(path, "# marker\n", { append: true });
    room.left = null;
    const second = file.append(encoder.encode("torn\n"));
    assertEquals(second.kept, 0);
    assertInstanceOf(second.error, IoError);
    file.release();
    assertEquals(Deno.readTextFileSync(path), "whole\nto# marker\n");
  });
});

Deno.test("EIO is not waited out: the next start goes on from there", async () => {
  await withTempFolder(async (folder) => {
    const trouble: Trouble = { code: null, refused: 0 };
    const rig = await Rig.start(folder, { io: troubled(trouble, (kind) => kind === "append") });
    await rig.feed(events(0, 10));
    trouble.code = "EIO";
    await assertRejects(() => rig.feed(events(10, 10)), IoError, "Cannot append to");
    await rig.kill();
    assertEquals(trouble.refused, 1);
    const again = await Rig.start(folder);
    await again.feed(events(0, 20));
    await again.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`), events(0, 20));
  });
});

Deno.test("While the state has no room, so many lines go out as memory holds; then they wait", async () => {
  await withTempFolder(async (folder) => {
    const trouble: Trouble = { code: null, refused: 0 };
    const io = troubled(trouble, (kind) => kind === "make");
    const rig = await Rig.start(folder, { io, filterCapacity: 4 * PENDING_KEYS_MAX });
    trouble.code = "ENOSPC";
    const step = 4096;
    let fed = 0;
    let feeding: Promise<string>;
    do {
      assert(fed <= 2 * PENDING_KEYS_MAX, `${fed} lines went out`);
      feeding = rig.feed(events(fed, step)).then(() => "went");
      fed += step;
    } while (await Promise.race([feeding, realIo.sleep(500).then(() => "waits")]) === "went");
    assert(fed > PENDING_KEYS_MAX);
    trouble.code = null;
    await feeding;
    await rig.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`), events(0, fed));
  });
});
