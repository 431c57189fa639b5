import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import type { Io } from "../../lib/io.ts";
import { realIo } from "../../lib/real_io.ts";
import { Abandoned } from "../../lib/trouble.ts";
import { linesOf, Rig, sampleEvent, storedCheckpoint } from "../support/rig.ts";
import { until, withTempFolder } from "../support/temp.ts";

const many = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => sampleEvent(from + n));

Deno.test("A restart repeats nothing, and an empty state folder gives the same lines again", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    for (let start = 0; start < 3; start++) {
      const rig = await Rig.start(folder);
      await rig.feed(many(200));
      await rig.stop();
      assertEquals(linesOf(path), many(200));
    }
    for (const name of realIo.list(folder)) {
      if (name !== "events.jsonl") realIo.remove(`${folder}/${name}`);
    }
    const rig = await Rig.start(folder);
    await rig.feed(many(200));
    await rig.stop();
    assertEquals(linesOf(path), [...many(200), ...many(200)]);
  });
});

Deno.test("Repeats inside a batch, and of lines not yet synced, are written once", async () => {
  await withTempFolder(async (folder) => {
    const rig = await Rig.start(folder, { syncIntervalMs: 10_000 });
    await rig.feed([sampleEvent(1), sampleEvent(2), sampleEvent(1)]);
    await rig.feed([sampleEvent(2), sampleEvent(3), sampleEvent(3)]);
    await rig.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`), [1, 2, 3].map((n) => sampleEvent(n)));
  });
});

Deno.test("After a kill before any sync, recovery knows each line that the file holds", async () => {
  await withTempFolder(async (folder) => {
    const first = await Rig.start(folder, { syncIntervalMs: 10_000 });
    await first.feed(many(50));
    await first.kill();
    const second = await Rig.start(folder);
    assertEquals(second.report.lines, 50);
    await second.feed(many(60));
    await second.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`), many(60));
  });
});

Deno.test("Recovery knows the event in each line of the tail, whatever its shape", async () => {
  const shapes: ((event: string) => string)[] = [
    (event) => event,
    (event) => `{"k8s":${event}}`,
    (event) => `{"k8s":${event},"cluster":"prod"}`,
    (event) => `{"événement":${event},"cluster":"größe"}`,
    (event) => `{"verb":"UPDATED","event":${event},"old_event":${sampleEvent(100)}}`,
    (event) => event.replace('"uid":', '"managedFields":[{"manager":"kubelet"}],"uid":'),
  ];
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const written = many(30).map((event, n) => shapes[n % shapes.length]!(event));
    const first = await Rig.start(folder, { syncIntervalMs: 10_000 });
    await first.feed(written);
    await first.kill();
    const torn = `{"k8s":${sampleEvent(30).slice(0, 100)}`;
    Deno.writeTextFileSync(path, `${torn}\n{"k8s":{}}\n${torn}`, { append: true });
    const second = await Rig.start(folder);
    assertEquals([second.report.lines, second.report.removedLines], [30, 1]);
    // The old event is none that was written.
    await second.feed([...many(31), sampleEvent(100)]);
    await second.stop();
    const added = ['{"k8s":{}}', sampleEvent(30), sampleEvent(100)];
    assertEquals(linesOf(path), [...written, ...added]);
  });
});

Deno.test("The first position is in a checkpoint at once: a kill then loses no history (check 4.2.3)", async () => {
  await withTempFolder(async (folder) => {
    const rig = await Rig.start(folder);
    await rig.feed(many(3));
    const stored = () => storedCheckpoint(folder)?.watches.length;
    await until("the position is stored", () => stored() === 1, 2000);
    await rig.kill();
  });
});

Deno.test("A torn last line is cut at the next start and its event written whole", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const first = await Rig.start(folder, { syncIntervalMs: 10_000 });
    await first.feed(many(5));
    await first.kill();
    Deno.writeTextFileSync(path, sampleEvent(5).slice(0, 100), { append: true });
    const second = await Rig.start(folder);
    await second.feed(many(6));
    await second.stop();
    assertEquals(linesOf(path), many(6));
  });
});

Deno.test("What a tail's lines say of the versions met outlives a second kill", async () => {
  await withTempFolder(async (folder) => {
    const first = await Rig.start(folder, { syncIntervalMs: 10_000 });
    await first.feed(many(1));
    await first.commit.checkpoint();
    await first.feed(many(5));
    await first.kill();
    for (const start of ["after the kill", "after another"]) {
      const rig = await Rig.start(folder);
      await rig.kill();
      assertEquals(storedCheckpoint(folder)?.watches[0]?.position.highest, "1004", start);
    }
  });
});

Deno.test("A hole of zeros in the tail is taken out, kept aside, and its event written again", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const before = await Rig.start(folder); // The first position asks for a checkpoint at once.
    await before.feed([sampleEvent(100)]);
    await before.stop();
    const first = await Rig.start(folder, { syncIntervalMs: 10_000 });
    await first.feed(many(5));
    await first.kill();
    const bytes = Deno.readFileSync(path);
    const third = bytes.indexOf(0x0a, bytes.indexOf(0x0a) + 1) + 1;
    bytes.fill(0, third + 20, third + 200);
    Deno.writeFileSync(path, bytes);
    const rig = await Rig.start(folder);
    assertEquals(rig.report.removedLines, 1);
    assertEquals(linesOf(path), [100, 0, 2, 3, 4].map((n) => sampleEvent(n)));
    await rig.feed(many(5));
    await rig.stop();
    assertEquals(linesOf(path), [100, 0, 2, 3, 4, 1].map((n) => sampleEvent(n)));
    const aside = realIo.list(folder).filter((name) => name.startsWith("removed-"));
    assertEquals(aside.length, 1);
  });
});

Deno.test("Rename and SIGHUP split the lines between two files, none lost, none twice", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const rig = await Rig.start(folder);
    await rig.feed(many(10));
    Deno.renameSync(path, `${path}.1`);
    await rig.commit.switchFile();
    await rig.feed(many(20));
    await rig.stop();
    assertEquals(linesOf(`${path}.1`), many(10));
    assertEquals(linesOf(path), many(10, 10));
    assertEquals(rig.fatal, []);
  });
});

Deno.test("A crash between the rename and SIGHUP finds the lines in the renamed file", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const first = await Rig.start(folder, { syncIntervalMs: 10_000 });
    await first.feed(many(10));
    Deno.renameSync(path, `${path}.1`);
    await first.kill();
    const second = await Rig.start(folder);
    assertEquals(second.report.lines, 10);
    await second.feed(many(20));
    await second.stop();
    assertEquals(linesOf(`${path}.1`), many(10));
    assertEquals(linesOf(path), many(10, 10));
  });
});

Deno.test("Lines that stood only in a deleted file are written to the one that takes its place", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const rig = await Rig.start(folder, { syncIntervalMs: 10_000 });
    await rig.feed(many(10));
    await rig.commit.sync(); // these ten were seen in a file with a name; they go with it
    await rig.feed(many(15));
    Deno.removeSync(path);
    await rig.commit.switchFile();
    await rig.feed(many(20));
    await rig.stop();
    assertEquals(linesOf(path), many(10, 10));
  });
});

Deno.test("A path that vanished is made again after 5 seconds, and appends wait for it", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const rig = await Rig.start(folder);
    await rig.feed(many(5));
    await rig.commit.sync();
    Deno.renameSync(path, `${path}.1`);
    await rig.feed(many(6));
    await until("the vanished path is noticed", () => !rig.commit.isReady);
    assertEquals(realIo.stat(path), null);
    await rig.feed(many(8)); // waits
    assert(realIo.stat(path) !== null);
    await rig.stop();
    assertEquals([...linesOf(`${path}.1`), ...linesOf(path)], many(8));
  });
});

/** Lets the first `allowed` bytes of appends through, then says ENOSPC until `more` is called. */
function smallDisk(allowed: number): { io: Io; more: (bytes: number) => void } {
  let left = allowed;
  return {
    more: (bytes) => left += bytes,
    io: {
      ...realIo,
      open(path, options) {
        const file = realIo.open(path, options);
        const append = file.append.bind(file);
        file.append = (bytes) => {
          if (left <= 0) {
            throw Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
          }
          const count = append(bytes.subarray(0, left));
          left -= count;
          return count;
        };
        return file;
      },
    },
  };
}

Deno.test("A full disk leaves whole lines only, and goes on by itself when there is room", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const line = sampleEvent(0).length + 1;
    const disk = smallDisk(Math.floor(3.5 * line));
    const rig = await Rig.start(folder, { io: disk.io });
    const fed = rig.feed(many(10));
    await until("three whole lines stand", () => linesOf(path).length === 3);
    assertEquals(linesOf(path), many(3));
    disk.more(100_000);
    await fed;
    await rig.stop();
    assertEquals(linesOf(path), many(10));
    assertEquals(rig.fatal, []);
  });
});

Deno.test("SIGHUP while the disk is full sends the rest to the new file", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const disk = smallDisk(Math.floor(3.5 * (sampleEvent(0).length + 1)));
    const rig = await Rig.start(folder, { io: disk.io });
    const fed = rig.feed(many(10));
    await until("three whole lines stand", () => linesOf(path).length === 3);
    Deno.renameSync(path, `${path}.1`);
    const switched = rig.commit.switchFile();
    disk.more(100_000);
    await switched;
    await fed;
    await rig.stop();
    assertEquals(linesOf(`${path}.1`), many(3));
    assertEquals(linesOf(path), many(7, 3));
  });
});

Deno.test("FILTER_CAPACITY=500 and 10,000 events lose none and repeat none after a restart", async () => {
  await withTempFolder(async (folder) => {
    const options = { filterCapacity: 500 };
    const rig = await Rig.start(folder, options);
    for (let from = 0; from < 10_000; from += 500) await rig.feed(many(500, from));
    await rig.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`).length, 10_000);
    assertGreater(rig.ring.generations.length, 19);
    const again = await Rig.start(folder, options);
    await again.feed(many(10_000));
    await again.stop();
    assertEquals(new Set(linesOf(`${folder}/events.jsonl`)).size, 10_000);
    assertEquals(linesOf(`${folder}/events.jsonl`).length, 10_000);
  });
});

Deno.test("A generation that is too old once it is made takes keys all the same, also those of a pipe", async () => {
  await withTempFolder(async (folder) => {
    let ms = 1_800_000_000_000;
    const io = { ...realIo, nowMs: () => ms += 2000 };
    const rig = await Rig.start(folder, { io, batchDurationSec: 1, syncIntervalMs: 60_000 });
    await rig.feed(many(3));
    await rig.commit.sync();
    assertEquals(rig.ring.keys, 3);
    assert(rig.ring.generations.length <= 4);
    await rig.commit.startGeneration(true);
    assertGreater(rig.commit.room, 0, "what a pipe waits for");
    await rig.feed(many(3));
    await rig.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`), many(3));
  });
});

Deno.test("An event met again while its key, remembered a moment ago, is leaving: it stays known", async () => {
  await withTempFolder(async (folder) => {
    let pieces = 0;
    let between = (_piece: number) => Promise.resolve();
    const sleep: Io["sleep"] = (ms, signal) =>
      ms === 0 ? between(++pieces) : realIo.sleep(ms, signal);
    const rig = await Rig.start(folder, {
      io: { ...realIo, sleep },
      filterCapacity: 2,
      batchCount: 1,
      syncIntervalMs: 60_000,
      atOnce: { keys: 1, sectors: 100 },
    });
    await rig.feed([]);
    await rig.commit.checkpoint(); // The one that the first position asks for.
    await rig.feed(many(4));
    between = async (piece) => {
      // Two keys have filled the first generation, and the third made it leave; the fourth is to
      // come, and until then all four count as pending.
      if (piece !== 3) return;
      assertEquals(rig.requests, [1]);
      await rig.feed(many(1));
    };
    await rig.commit.sync();
    assertEquals(pieces, 3);
    await rig.listed(1);
    assertEquals(rig.ring.generations.length, 2, "the first one was dropped");
    await rig.feed(many(1));
    await rig.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`), many(4));
  });
});

Deno.test("Events that are still alive outlive the generations that are dropped", async () => {
  await withTempFolder(async (folder) => {
    const clock = { ms: 1_800_000_000_000 };
    const io = { ...realIo, nowMs: () => clock.ms };
    const rig = await Rig.start(folder, { io, batchCount: 2, batchDurationSec: 60 });
    const alive = many(50);
    await rig.feed(alive);
    await rig.commit.sync();
    for (let hour = 1; hour <= 3; hour++) {
      clock.ms += 61_000;
      await rig.feed([sampleEvent(1000 + hour)]);
      await rig.commit.sync();
    }
    assertEquals(rig.requests, [1]);
    await rig.feed(alive); // the LIST
    await rig.listed(1);
    const names = realIo.list(folder).filter((name) => name.endsWith(".bloom"));
    assertEquals(names.length, rig.ring.generations.length);
    assert(rig.ring.generations.length < 4);
    await rig.kill();
    const again = await Rig.start(folder, { io, batchCount: 2, batchDurationSec: 60 });
    await again.feed(alive);
    await again.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`).length, 53);
  });
});

Deno.test("No generation is dropped while the destination's file is deleted: a kill repeats nothing", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const clock = { ms: 1_800_000_000_000 };
    let syncing: Promise<void> | null = null;
    const io: Io = {
      ...realIo,
      nowMs: () => clock.ms,
      open(opened, options) {
        const file = realIo.open(opened, options);
        if (opened !== path) return file;
        const sync = file.sync.bind(file);
        file.sync = async () => {
          await syncing;
          await sync();
        };
        return file;
      },
    };
    const options = { io, batchCount: 2, batchDurationSec: 60, syncIntervalMs: 10_000 };
    const at = (rv: string) => [{ rv, witness: null, previous: rv, highest: rv, listOwed: false }];
    const rig = await Rig.start(folder, options);
    const old = sampleEvent(1);
    await rig.feed([old], at("5001"));
    await rig.commit.sync();
    for (let hour = 1; hour <= 3; hour++) {
      clock.ms += 61_000;
      await rig.feed([sampleEvent(1000 + hour)], at(`${6000 + hour}`));
      const slow = Promise.withResolvers<void>();
      if (hour === 3) syncing = slow.promise;
      const synced = rig.commit.sync();
      // It is annotated, then deleted: a WATCH from 6003 shows it again, no LIST does.
      if (hour === 3) await rig.feed([old], at("7000"));
      slow.resolve();
      await synced;
    }
    assertEquals(rig.requests, [1]);
    Deno.removeSync(path);
    const generations = rig.ring.generations.length;
    const dropped = rig.commit.drop(new Set(rig.ring.due()));
    await until("it is found deleted", () => !rig.commit.isReady);
    await rig.commit.checkpoint();
    assertEquals(rig.ring.generations.length, generations);
    await rig.kill();
    await assertRejects(() => dropped, Abandoned);
    // The file's lines are gone with it; what recovery says of the position is what is asked for.
    const again = await Rig.start(folder, options);
    assertEquals(again.positions[0]?.rv, "6003");
    await again.feed([old]);
    await again.stop();
    assertEquals(linesOf(path), []);
  });
});

Deno.test("Generations that wait for a deleted destination are dropped when it is made again", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const clock = { ms: 1_800_000_000_000 };
    const io = { ...realIo, nowMs: () => clock.ms };
    const rig = await Rig.start(folder, { io, batchCount: 2, batchDurationSec: 60 });
    for (let hour = 0; hour <= 3; hour++) {
      clock.ms += 61_000;
      await rig.feed([sampleEvent(hour)]);
      await rig.commit.sync();
    }
    Deno.removeSync(path);
    await rig.feed([sampleEvent(0)]); // Known, but the positions move.
    const dropped = rig.listed(1);
    await until("it is found deleted", () => !rig.commit.isReady);
    assertEquals(rig.ring.generations.length, 4);
    await rig.commit.switchFile();
    await dropped;
    assertEquals(rig.ring.generations.length < 4, true);
    await rig.stop();
  });
});

Deno.test("A stop while generations wait for a deleted destination ends at once, and drops none", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const clock = { ms: 1_800_000_000_000 };
    const io = { ...realIo, nowMs: () => clock.ms };
    const rig = await Rig.start(folder, { io, batchCount: 2, batchDurationSec: 60 });
    for (let hour = 0; hour <= 3; hour++) {
      clock.ms += 61_000;
      await rig.feed([sampleEvent(hour)]);
      await rig.commit.sync();
    }
    Deno.removeSync(path);
    await rig.feed([sampleEvent(0)]); // Known, but the positions move.
    const dropped = rig.commit.drop(new Set(rig.ring.due()));
    await until("it is found deleted", () => !rig.commit.isReady);
    await Promise.all([rig.stop(), assertRejects(() => dropped, Abandoned)]);
    assertEquals(rig.ring.generations.length, 4);
  });
});

Deno.test("Each generation is tested with its own identity mode after the mode was changed", async () => {
  await withTempFolder(async (folder) => {
    const first = await Rig.start(folder);
    await first.feed(many(20));
    await first.stop();
    const second = await Rig.start(folder, { identity: "name-count" });
    await second.feed(many(25));
    // Under name-count the same name and count in another namespace is known, as in Python.
    await second.feed([sampleEvent(24, 1, "other")]);
    await second.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`), many(25));
    const third = await Rig.start(folder);
    await third.feed(many(30));
    await third.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`), many(30));
  });
});
