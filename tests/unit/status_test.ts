import { assert, assertEquals, assertRejects } from "@std/assert";
import { crc32 } from "node:zlib";
import { CheckpointFile } from "../../lib/checkpoint.ts";
import { IoError, StateError, UsageError } from "../../lib/errors.ts";
import type { Io } from "../../lib/io.ts";
import { readState, type StateReport } from "../../lib/state_report.ts";
import { status, statusText } from "../../lib/status.ts";
import { realIo } from "../../lib/real_io.ts";
import { flipBit, lookingIo } from "../support/looking_io.ts";
import { Rig, type RigOptions, sampleEvent } from "../support/rig.ts";
import { randomUint32, testSeed, withTempFolder } from "../support/temp.ts";

/** Runs `body` with the state that a run of so many events left, cleanly stopped. */
async function withState(
  body: (folder: string, bloom: string) => Promise<void>,
  options: RigOptions & { events?: number; kill?: boolean } = {},
): Promise<void> {
  await withTempFolder(async (folder) => {
    const rig = await Rig.start(folder, options);
    const events = Array.from({ length: options.events ?? 20 }, (_, n) => sampleEvent(n));
    await rig.feed(events);
    await rig.commit.checkpoint();
    if (options.kill) await rig.kill();
    else await rig.stop();
    await body(folder, `${folder}/${bloomsIn(folder)[0]}`);
  });
}

function bloomsIn(folder: string): string[] {
  return realIo.list(folder).filter((name) => name.endsWith(".bloom")).sort();
}

function read(folder: string): Promise<StateReport> {
  return readState(lookingIo(), folder);
}

Deno.test("status tells the whole state of a run that stopped cleanly", async () => {
  await withState(async (folder) => {
    Deno.writeTextFileSync(`${folder}/lock`, "4711\n");
    const state = await read(folder);
    assertEquals(state.problems, []);
    assert(state.isWell);
    assertEquals(state.lastProcess, 4711);
    const { checkpoint, generations: [generation, ...others] } = state;
    assert(checkpoint !== null && generation !== undefined);
    assertEquals(others, []);
    const { size, ino, dev } = realIo.stat(`${folder}/events.jsonl`)!;
    assertEquals(checkpoint.clean, true);
    assertEquals(checkpoint.watches.map(({ position }) => position.rv), ["1"]);
    assertEquals(checkpoint.file, {
      path: `${folder}/events.jsonl`,
      ino,
      offset: size,
      state: "same",
      found: { path: `${folder}/events.jsonl`, dev, ino, size },
      bytesBehind: 0,
    });
    assert(checkpoint.ageMs >= 0 && checkpoint.ageMs < 60_000);
    assertEquals(generation.keys, 20);
    assertEquals(generation.capacity, 10_000);
    assertEquals(generation.closedMs, null);
    assertEquals([state.keys, state.damagedSlots], [20, 0]);
    assert(state.expectedFalsePositives < state.allowedFalsePositives);
  });
});

Deno.test("status --json prints the report, and what it prints for people ends with the verdict", async () => {
  await withState(async (folder) => {
    const options = { persistencePath: folder, json: true };
    const outcome = await status(lookingIo(), options);
    const { timeMs: _, ...printed } = JSON.parse(outcome.text) as StateReport;
    const { timeMs: __, ...state } = await read(folder);
    const ageless = { ...state, checkpoint: { ...state.checkpoint!, ageMs: 0 } };
    assertEquals({ ...printed, checkpoint: { ...printed.checkpoint!, ageMs: 0 } }, ageless);
    assert(outcome.isWell);
    const text = await status(lookingIo(), { ...options, json: false });
    assert(text.text.endsWith("\nNo damage."), text.text);
  });
});

Deno.test("The generations of a ring come oldest first, each with its own times and keys", async () => {
  await withState(async (folder) => {
    const { generations, keys } = await read(folder);
    assertEquals(generations.map(({ sequence, keys }) => [sequence, keys]), [[1, 8], [2, 8], [
      3,
      4,
    ]]);
    assertEquals(generations.map(({ closedMs }) => closedMs === null), [false, false, true]);
    assertEquals(keys, 20);
  }, { filterCapacity: 8 });
});

Deno.test("One flipped bit anywhere in a generation is damage", async () => {
  const next = randomUint32(testSeed());
  await withState(async (folder, bloom) => {
    const whole = Deno.readFileSync(bloom);
    for (let round = 0; round < 100; round++) {
      const at = next() % whole.length;
      flipBit(bloom, at, next() % 8);
      const { isWell, generations: [generation], problems } = await read(folder);
      assert(!isWell, `byte ${at}`);
      const counts = [generation!.damagedHead, generation!.damagedSectors];
      assertEquals(counts, at < 8192 ? [1, 0] : [0, 1], `byte ${at}`);
      assertEquals(problems, [`1 damaged ${at < 8192 ? "header place" : "sector"}(s)`]);
      assert(statusText(await read(folder)).includes("DAMAGED"));
      Deno.writeFileSync(bloom, whole);
    }
    assert((await read(folder)).isWell);
  });
});

Deno.test("All sectors of a large generation are read, the last one too", async () => {
  await withState(async (folder, bloom) => {
    const { size } = realIo.stat(bloom)!;
    assert(size > 2 * 2048 * 512, "the file is read in three pieces at least");
    assertEquals((await read(folder)).keys, 20);
    flipBit(bloom, size - 1, 7);
    assertEquals((await read(folder)).problems, ["1 damaged sector(s)"]);
    assertEquals((await read(folder)).keys, 20);
  }, { filterCapacity: 400_000 });
});

Deno.test("One flipped bit anywhere in the checkpoint file is damage, and leaves the other slot", async () => {
  const next = randomUint32(testSeed());
  await withState(async (folder) => {
    const path = `${folder}/checkpoint`;
    const whole = Deno.readFileSync(path);
    for (let round = 0; round < 100; round++) {
      flipBit(path, next() % whole.length, next() % 8);
      const { isWell, damagedSlots, checkpoint } = await read(folder);
      assertEquals([isWell, damagedSlots, checkpoint === null], [false, 1, false]);
      Deno.writeFileSync(path, whole);
    }
    Deno.writeFileSync(path, whole.fill(0xff));
    const { damagedSlots, checkpoint, problems } = await read(folder);
    assertEquals([damagedSlots, checkpoint], [2, null]);
    assertEquals(problems, ["2 damaged checkpoint slot(s)"]);
  });
});

Deno.test("What looks damaged for a moment only, because it is being written, does not count", async () => {
  await withState(async (folder, bloom) => {
    for (
      const [path, at] of [[bloom, 100], [bloom, 5000], [bloom, 8192 + 7], ["checkpoint", 100]]
    ) {
      for (const looks of [1, 4]) {
        let left = looks;
        const io = lookingIo({
          onRead: (read, bytes, offset) => {
            const index = Number(at) - offset;
            if (!read.endsWith(String(path)) || index < 0 || index >= bytes.length || left === 0) {
              return;
            }
            left--;
            bytes[index]! ^= 1;
          },
        });
        assertEquals((await readState(io, folder)).problems, [], `${path} byte ${at}, ${looks}`);
        assertEquals(left, 0);
      }
    }
  });
});

Deno.test("Keys in a sector that was whole at the second look are counted, once", async () => {
  await withState(async (folder) => {
    let torn = false;
    const io = lookingIo({
      onRead: (path, bytes, offset) => {
        if (!path.endsWith(".bloom") || offset < 8192 || torn) return;
        torn = true;
        for (let start = 0; start < bytes.length; start += 512) bytes[start + 9]! ^= 1;
      },
    });
    const state = await readState(io, folder);
    assert(torn);
    assertEquals([state.keys, state.isWell], [20, true]);
  });
});

Deno.test("A generation cut short, one without a header and what is not ours are told apart", async () => {
  await withState(async (folder, bloom) => {
    Deno.writeTextFileSync(`${folder}/1600000000.bloom`, "the Python tool's");
    Deno.writeTextFileSync(`${folder}/1500000000.bloom.damaged`, "");
    Deno.writeTextFileSync(`${folder}/removed-1700000000.lines`, "");
    Deno.writeTextFileSync(`${folder}/redo`, "12345");
    Deno.writeTextFileSync(`${folder}/other.lines`, "");
    const state = await read(folder);
    assert(state.isWell, state.problems.join());
    assertEquals(state.foreignFiles, ["1600000000.bloom"]);
    assertEquals(state.setAsideFiles, ["1500000000.bloom.damaged"]);
    assertEquals(state.removedLinesFiles, ["removed-1700000000.lines"]);
    assertEquals(state.redoBytes, 5);
    const text = statusText(state);
    for (const name of ["1600000000.bloom", "1500000000.bloom.damaged", "removed-1700000000"]) {
      assert(text.includes(name), name);
    }
    assert(text.includes("A repair of the destination is unfinished (redo, 5 bytes)"));

    const whole = Deno.readFileSync(bloom);
    Deno.truncateSync(bloom, whole.length - 512);
    assertEquals((await read(folder)).problems, ["1 generation(s) cut short"]);
    Deno.writeFileSync(bloom, whole);
    flipBit(bloom, 4096 + 100);
    flipBit(bloom, 100);
    const headless = await read(folder);
    assertEquals(headless.problems, ["1 .bloom file(s) without a valid header"]);
    assertEquals(headless.generations, []);
  });
});

Deno.test("Generations without a checkpoint are damage; a state that never got that far is none", async () => {
  await withState(async (folder, bloom) => {
    Deno.removeSync(`${folder}/checkpoint`);
    const state = await read(folder);
    assertEquals([state.checkpoint, state.problems], [
      null,
      ["no checkpoint beside the generations"],
    ]);
    Deno.removeSync(bloom);
    Deno.writeTextFileSync(`${folder}/lock`, "1\n");
    assert((await read(folder)).isWell);
    CheckpointFile.open(realIo, folder).release();
    const fresh = await read(folder);
    assertEquals([fresh.isWell, fresh.checkpoint, fresh.damagedSlots], [true, null, 0]);
  });
});

Deno.test("A generation that is dropped while the folder is read is left out", async () => {
  await withState(async (folder) => {
    const [first] = bloomsIn(folder);
    const io = { ...lookingIo(), list: () => ["checkpoint", "1.bloom", first!] };
    const { generations, isWell } = await readState(io, folder);
    assertEquals([generations.map(({ name }) => name), isWell], [[first!], true]);
  });
});

Deno.test("The checkpoint's file is found at its path or renamed beside it, and its bytes behind are told", async () => {
  await withState(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const offset = realIo.stat(path)!.size;
    Deno.writeTextFileSync(path, "one line\n", { append: true });
    const fileNow = async () => (await read(folder)).checkpoint!.file!;
    assertEquals((await fileNow()).bytesBehind, 9);
    Deno.renameSync(path, `${path}.1`);
    Deno.writeTextFileSync(path, "");
    const renamed = await fileNow();
    assertEquals([renamed.state, renamed.bytesBehind, renamed.offset], ["renamed", 9, offset]);
    assertEquals(renamed.found!.path, `${path}.1`);
    assert((await read(folder)).isWell);
    // A restored copy has another inode; more than 4 KiB before the offset are proof enough.
    Deno.removeSync(path);
    Deno.copyFileSync(`${path}.1`, path);
    assertEquals((await fileNow()).state, "same");
  }, { kill: true });
});

Deno.test("A copy of a short file is not the checkpoint's: too little was hashed to know it again", async () => {
  await withState(async (folder) => {
    const path = `${folder}/events.jsonl`;
    Deno.copyFileSync(path, `${folder}/copy`);
    Deno.renameSync(`${folder}/copy`, path);
    assertEquals((await read(folder)).checkpoint!.file!.state, "missing");
  }, { events: 3, kill: true });
  await withState(async (folder) => {
    // A file made later can get the number of one that was deleted.
    const io = lookingIo();
    const stat: Io["stat"] = (path) => {
      const stat = io.stat(path);
      return stat === null ? null : { ...stat, birthMs: (stat.birthMs ?? 0) + 1 };
    };
    const state = await readState({ ...io, stat }, folder);
    assertEquals(state.checkpoint!.file!.state, "missing");
  }, { events: 3, kill: true });
});

Deno.test("A destination that is gone, cut or changed counts, unless the run had stopped cleanly", async () => {
  for (const kill of [true, false]) {
    const problems = kill ? ["the checkpoint's destination not found"] : [];
    await withState(async (folder) => {
      const path = `${folder}/events.jsonl`;
      const whole = Deno.readTextFileSync(path);
      const judged = async () => {
        const state = await read(folder);
        assertEquals(state.problems, problems);
        return state.checkpoint!.file!.state;
      };
      Deno.truncateSync(path, whole.length - 1);
      assertEquals(await judged(), "changed");
      Deno.writeTextFileSync(path, whole.slice(0, -2) + "X\n");
      assertEquals(await judged(), "changed");
      Deno.removeSync(path);
      Deno.mkdirSync(path);
      assertEquals(await judged(), "missing");
    }, { kill });
  }
});

Deno.test("A rotation that happens just now is looked at again", async () => {
  await withState(async (folder) => {
    const path = `${folder}/events.jsonl`;
    Deno.renameSync(path, `${folder}/elsewhere`);
    const io = lookingIo({ onSleep: () => Deno.renameSync(`${folder}/elsewhere`, path) });
    assertEquals((await readState(io, folder)).checkpoint!.file!.state, "same");
  }, { kill: true });
});

Deno.test("A missing folder, one without a state and a file that cannot be read are refused by name", async () => {
  await withTempFolder(async (folder) => {
    await assertRejects(
      () => read(`${folder}/none`),
      UsageError,
      `The persistence path "${folder}/none" does not exist. Name the folder of the state with ` +
        "--persistence-path (KUBE_EVENT_PIPE_PERSISTENCE_PATH).",
    );
    Deno.writeTextFileSync(`${folder}/file`, "");
    await assertRejects(() => read(`${folder}/file`), UsageError, "is no directory");
    await assertRejects(() => read(folder), StateError, `"${folder}" holds no state.`);
  });
  await withState(async (folder) => {
    const io = lookingIo();
    const failing = {
      ...io,
      open: (path: string) => {
        if (!path.endsWith("checkpoint")) return io.open(path, { mode: "read" });
        throw Object.assign(new Error("Permission denied (os error 13)"), { code: "EACCES" });
      },
    };
    await assertRejects(
      () => readState(failing, folder),
      IoError,
      `Cannot read the state file "${folder}/checkpoint": Permission denied (os error 13). Run ` +
        "this as the user of the program that writes it, or as root.",
    );
    const broken = lookingIo({
      onRead: (path) => {
        if (!path.endsWith(".bloom")) return;
        throw Object.assign(new Error("Input/output error (os error 5)"), { code: "EIO" });
      },
    });
    await assertRejects(() => readState(broken, folder), IoError, '.bloom": Input/output error');
  });
});

Deno.test("A state that a newer release wrote is refused", async () => {
  await withState(async (folder, bloom) => {
    const bytes = Deno.readFileSync(bloom);
    const view = new DataView(bytes.buffer);
    view.setUint32(8, 2, true);
    view.setUint32(508, crc32(bytes.subarray(0, 508)), true);
    Deno.writeFileSync(bloom, bytes);
    await assertRejects(() => read(folder), StateError, "a newer release wrote it");
  });
});

Deno.test("statusText() is one fact a line, and no name of a file can forge one", () => {
  const generation = {
    sequence: 7,
    identity: "content" as const,
    createdMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    closedMs: Date.UTC(2026, 0, 2, 4, 4, 5),
    capacity: 1_000_000,
    expectedFalsePositives: 1.234e-10,
    allowedFalsePositives: 1.25e-10,
    damagedSectors: 0,
    damagedHead: 0,
    cutShort: false,
  };
  const state: StateReport = {
    isWell: false,
    problems: ["2 damaged sector(s)", "1 damaged header place(s)"],
    folder: "/var/lib/pipe",
    timeMs: Date.UTC(2026, 0, 2, 5),
    lastProcess: 4711,
    checkpoint: {
      watches: [{
        server: "https://10.0.0.1:6443",
        namespace: "shop",
        fieldSelector: "type=Warning",
        position: { rv: "12", witness: null, previous: "11", highest: "12", listOwed: true },
      }],
      clean: false,
      timeMs: Date.UTC(2026, 0, 2, 4, 57),
      ageMs: 180_000,
      file: {
        path: "/var/log/events\n.jsonl",
        ino: 99,
        offset: 123_456,
        state: "missing",
        found: null,
        bytesBehind: null,
      },
    },
    damagedSlots: 1,
    generations: [
      { ...generation, name: "1.bloom", keys: 1_000_000 },
      {
        ...generation,
        name: "2.bloom",
        sequence: 8,
        identity: "name-count",
        closedMs: null,
        keys: 1234,
        damagedSectors: 2,
        damagedHead: 1,
        cutShort: true,
      },
    ],
    keys: 1_001_234,
    expectedFalsePositives: 1.234e-10,
    allowedFalsePositives: 2.5e-10,
    damagedFiles: [],
    foreignFiles: ["a.bloom", "b.bloom", "c.bloom", "d.bloom"],
    setAsideFiles: [],
    removedLinesFiles: [],
    redoBytes: null,
  };
  assertEquals(statusText(state).split("\n"), [
    "State in /var/lib/pipe, last run: process 4711",
    "Checkpoint: 2026-01-02T04:57:00Z, 3 min ago, not a clean stop (it runs, or was killed); " +
    "1 DAMAGED slot(s)",
    "  Watch: https://10.0.0.1:6443, namespace shop, type=Warning: at resourceVersion 12, resumes " +
    "from 11, a LIST is owed",
    "  Destination: /var/log/events\\n.jsonl (inode 99), offset 123,456: NOT THERE, nor renamed in " +
    "its folder",
    "Ring: 2 generation(s), 1,001,234 key(s); expected false positives 1.2e-10, when all are full " +
    "2.5e-10",
    "  1.bloom: #7, made 2026-01-02T03:04:05Z, closed 2026-01-02T04:04:05Z, 1,000,000 of 1,000,000 " +
    "keys (100.0 %), 1.2e-10",
    "  2.bloom: #8, made 2026-01-02T03:04:05Z, open, 1,234 of 1,000,000 keys (0.1 %), 1.2e-10, " +
    "identity name-count; DAMAGED: 2 sector(s), 1 header place(s), cut short",
    "4 .bloom file(s) of another program, left alone: a.bloom, b.bloom, c.bloom, ...",
    "NOT WELL: 2 damaged sector(s), 1 damaged header place(s)",
  ]);
});
