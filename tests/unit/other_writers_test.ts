/** Somebody else writes into the destination, or cuts it, while we run and while we are down. */

import { assertEquals } from "@std/assert";
import { linesOf, Rig, sampleEvent, storedCheckpoint } from "../support/rig.ts";
import { until, withTempFolder } from "../support/temp.ts";

const events = (...numbers: number[]) => numbers.map((n) => sampleEvent(n));

function append(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { append: true });
}

for (const noticedBy of ["the next append", "a sync before it"]) {
  Deno.test(`Half a line of somebody else, noticed by ${noticedBy}, is ended before ours`, async () => {
    await withTempFolder(async (folder) => {
      const path = `${folder}/events.jsonl`;
      const rig = await Rig.start(folder);
      await rig.feed(events(1));
      await rig.commit.sync();
      append(path, "# half");
      if (noticedBy === "a sync before it") {
        await rig.commit.sync();
        await rig.commit.checkpoint();
      }
      await rig.feed(events(2, 3));
      await rig.stop();
      const again = await Rig.start(folder);
      await again.feed(events(1, 2, 3));
      await again.stop();
      assertEquals(linesOf(path), [...events(1), "# half", ...events(2, 3)]);
    });
  });
}

Deno.test("Half a line of somebody else before a kill: recovery finds each of ours, once", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const rig = await Rig.start(folder, { syncIntervalMs: 10_000 });
    await rig.feed(events(1));
    await rig.commit.checkpoint();
    append(path, "# half");
    await rig.commit.checkpoint(); // Its offset must not be in the middle of that line.
    await rig.feed(events(2, 3));
    await rig.kill();
    const again = await Rig.start(folder);
    await again.feed(events(1, 2, 3));
    await again.stop();
    // What is no event behind a checkpoint may be a power loss's: it is taken out and kept aside.
    assertEquals(linesOf(path), events(1, 2, 3));
    assertEquals(again.report.removedLines, 1);
  });
});

Deno.test("What somebody wrote after a clean stop stays as it is, half a line too", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const rig = await Rig.start(folder);
    await rig.feed(events(1));
    await rig.stop();
    append(path, `# note\n${sampleEvent(2)}\n# half`);
    const again = await Rig.start(folder);
    assertEquals(again.report.removedLines, 0);
    await again.feed(events(1, 2, 3));
    await again.kill();
    const third = await Rig.start(folder);
    await third.feed(events(1, 2, 3));
    await third.stop();
    assertEquals(linesOf(path), [...events(1), "# note", ...events(2), "# half", ...events(3)]);
  });
});

Deno.test("An event that somebody wrote after a clean stop says nothing of what our watches met", async () => {
  await withTempFolder(async (folder) => {
    const rig = await Rig.start(folder);
    await rig.feed(events(1));
    await rig.stop();
    const met = storedCheckpoint(folder)!.watches[0]!.position.highest;
    append(`${folder}/events.jsonl`, `${sampleEvent(2).replace('"1002"', '"9999999"')}\n`);
    const again = await Rig.start(folder);
    // Above all that the server has, it would count as proof that etcd went back.
    assertEquals(storedCheckpoint(folder)!.watches[0]!.position.highest, met);
    await again.stop();
  });
});

Deno.test("After copytruncate the next checkpoint comes at once: a kill then repeats no line", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const rig = await Rig.start(folder, { syncIntervalMs: 5 });
    await rig.feed(events(1, 2, 3));
    await rig.commit.checkpoint();
    Deno.truncateSync(path, 0);
    await rig.feed(events(4));
    const isStored = () => storedCheckpoint(folder)?.file?.offset === Deno.statSync(path).size;
    await until("the checkpoint knows", isStored, 3000);
    await rig.kill();
    const again = await Rig.start(folder);
    assertEquals(again.report.fileMissing, false);
    await again.feed(events(1, 2, 3, 4));
    await again.stop();
    assertEquals(linesOf(path), events(4));
  });
});

Deno.test("A file that is cut in the middle of a line: ours begin on a line of their own", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const rig = await Rig.start(folder);
    await rig.feed(events(1, 2));
    await rig.commit.sync();
    Deno.truncateSync(path, sampleEvent(1).length + 31);
    await rig.feed(events(3));
    await rig.stop();
    assertEquals(linesOf(path), [...events(1), sampleEvent(2).slice(0, 30), ...events(3)]);
  });
});
