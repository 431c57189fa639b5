import { assert, assertEquals, assertRejects } from "@std/assert";
import { gzipSync } from "node:zlib";
import { check, type CheckOptions, type CheckReport } from "../../lib/check.ts";
import { IoError, UsageError } from "../../lib/errors.ts";
import type { Io } from "../../lib/io.ts";
import { makeFifo } from "../support/fifo.ts";
import { flipBit, lookingIo } from "../support/looking_io.ts";
import { linesOf, Rig, sampleEvent } from "../support/rig.ts";
import { withTempFolder } from "../support/temp.ts";

/** Runs `body` with the state and destination that a run of these events left. */
async function withRun(
  events: string[],
  body: (folder: string, destination: string) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const rig = await Rig.start(folder);
    await rig.feed(events);
    await rig.stop();
    await body(folder, `${folder}/events.jsonl`);
  });
}

function sampleEvents(count: number): string[] {
  return Array.from({ length: count }, (_, n) => sampleEvent(n));
}

function optionsOf(folder: string, options: Partial<CheckOptions> = {}): CheckOptions {
  return {
    destination: null,
    persistencePath: folder,
    identity: "content",
    files: [],
    json: true,
    ...options,
  };
}

async function report(
  folder: string,
  options: Partial<CheckOptions> = {},
  io: Io = lookingIo(),
): Promise<CheckReport> {
  const outcome = await check(io, optionsOf(folder, options));
  const report = JSON.parse(outcome.text) as CheckReport;
  assertEquals(outcome.isWell, report.isWell);
  assertEquals(report.isWell, report.problems.length === 0);
  const { lines, occurrences, repeated, torn, other } = report.lines;
  assertEquals(lines, occurrences + repeated.count + torn.count + other.count);
  return report;
}

async function textOf(folder: string, options: Partial<CheckOptions> = {}): Promise<string[]> {
  const { text } = await check(lookingIo(), optionsOf(folder, { json: false, ...options }));
  return text.split("\n");
}

function append(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { append: true });
}

Deno.test("What a clean run leaves is well: each line once, whole, known to the checkpoint", async () => {
  await withRun(sampleEvents(1200), async (folder, destination) => {
    const { isWell, lines, destination: read } = await report(folder);
    assert(isWell);
    assertEquals(read, { path: destination, unread: null, isCheckpointFile: true });
    assertEquals([lines.lines, lines.occurrences], [1200, 1200]);
    const bytes = Deno.statSync(destination).size;
    assertEquals(lines.files, [
      { path: destination, isGzip: false, bytes, lines: 1200, linesBehind: 0 },
    ]);
    const text = await textOf(folder);
    assertEquals(
      text.at(-1),
      "All is well: 1,200 line(s), 1,200 occurrence(s), none repeated, none torn; " +
        "1 generation(s), no damage.",
    );
  });
});

Deno.test("A repeated occurrence is told with both places and its name, also across files", async () => {
  await withRun(sampleEvents(5), async (folder, destination) => {
    const lines = linesOf(destination);
    const older = `${folder}/events.jsonl-1.gz`;
    const own = JSON.parse(sampleEvent(77, 1, "shop"));
    const reordered = JSON.stringify({ ...own, metadata: { ...own.metadata, uid: "other" } });
    Deno.writeFileSync(older, gzipSync(`${JSON.stringify(own)}\n${lines[3]}\n`));
    append(destination, `${lines[0]}\n${reordered}\n${lines[0]}\n`);
    const { problems, lines: read } = await report(folder, { files: [older] });
    assertEquals(problems, ["4 repeated occurrence(s)"]);
    assertEquals(read.repeated.examples, [
      { place: `${destination}:4`, firstPlace: `${older}:2`, event: "default/pod-3.1" },
      { place: `${destination}:6`, firstPlace: `${destination}:1`, event: "default/pod-0.1" },
      { place: `${destination}:7`, firstPlace: `${older}:1`, event: "shop/pod-77.1" },
      { place: `${destination}:8`, firstPlace: `${destination}:1`, event: "default/pod-0.1" },
    ]);
    const text = await textOf(folder, { files: [older] });
    assert(text.includes(`  ${destination}:4 repeats ${older}:2: default/pod-3.1`));
    assertEquals(text.at(-1), "NOT WELL: 4 repeated occurrence(s)");
  });
});

Deno.test("Lines of any shape are compared by the events in them", async () => {
  await withRun(sampleEvents(3), async (folder, destination) => {
    const [first, second] = linesOf(destination);
    append(destination, `{"k8s":${sampleEvent(3)},"cluster":"prod"}\n`);
    append(destination, `{"verb":"UPDATED","event":${sampleEvent(4)},"old_event":${first}}\n`);
    const mixed = await report(folder);
    assertEquals([mixed.lines.occurrences, mixed.problems], [5, []]);
    append(destination, `{"k8s":${second},"cluster":"prod"}\n`);
    const { problems, lines } = await report(folder);
    assertEquals(problems, ["1 repeated occurrence(s)"]);
    assertEquals(lines.repeated.examples, [
      { place: `${destination}:6`, firstPlace: `${destination}:2`, event: "default/pod-1.1" },
    ]);
  });
});

Deno.test("Of many findings all are counted and the first ten shown", async () => {
  await withRun(sampleEvents(12), async (folder, destination) => {
    append(destination, `${linesOf(destination).join("\n")}\n${"torn\n".repeat(11)}`);
    const { lines: { repeated, torn }, problems } = await report(folder);
    assertEquals([repeated.count, repeated.examples.length], [12, 10]);
    assertEquals(repeated.examples[9]!.firstPlace, `${destination}:10`);
    assertEquals([torn.count, torn.examples.length], [11, 10]);
    assertEquals(torn.examples[9]!.place, `${destination}:34`);
    assertEquals(problems, ["12 repeated occurrence(s)", "11 torn line(s)"]);
    assert((await textOf(folder)).includes("Repeated occurrences: 12, the first 10 of them"));
  });
});

Deno.test("Torn and invalid lines are told with place and excerpt; other objects are no fault", async () => {
  await withRun(sampleEvents(2), async (folder, destination) => {
    const [first] = linesOf(destination);
    append(
      destination,
      `\0\0\0${first!.slice(0, 100)}\n{"a":"\x1b[31m"}\n{"kind":"Event"}\n[1]\n\n${first}`,
    );
    const { lines: { torn, other }, problems } = await report(folder);
    assertEquals(problems, ["5 torn line(s)"]);
    assertEquals(torn.examples, [
      {
        place: `${destination}:3`,
        bytes: 103,
        excerpt: `\0\0\0${first!.slice(0, 77)}`,
        isUnfinished: false,
      },
      // JSON has no raw control characters.
      { place: `${destination}:4`, bytes: 13, excerpt: '{"a":"\x1b[31m"}', isUnfinished: false },
      { place: `${destination}:6`, bytes: 3, excerpt: "[1]", isUnfinished: false },
      { place: `${destination}:7`, bytes: 0, excerpt: "", isUnfinished: false },
      // An event, but nobody knows whether it is all of the line: the next start cuts it.
      {
        place: `${destination}:8`,
        bytes: first!.length,
        excerpt: first!.slice(0, 80),
        isUnfinished: true,
      },
    ]);
    assertEquals(other.examples.map(({ place }) => place), [`${destination}:5`]);
    const text = await textOf(folder);
    assert(text.some((line) => line.endsWith(':4: 13 byte(s): {"a":"\\u001b[31m"}')));
    assert(
      text.some((line) => line.includes(`:8: unfinished last line of ${first!.length} byte(s): `)),
    );
    assertEquals(text.at(-1), "NOT WELL: 5 torn line(s)");
  });
  await withRun(sampleEvents(2), async (folder, destination) => {
    append(destination, '{"kind":"Event"}\n');
    assert((await report(folder)).isWell);
    assert((await textOf(folder)).includes("JSON objects that are no events: 1"));
  });
});

Deno.test("A last line that is finished in a moment is a line, and one taken back is none", async () => {
  const line = sampleEvent(99);
  for (
    const [onSleep, lines] of [
      [(path: string) => append(path, `${line.slice(50)}\n`), 3],
      [(path: string, size: number) => Deno.truncateSync(path, size), 2],
    ] as const
  ) {
    await withRun(sampleEvents(2), async (folder, destination) => {
      const { size } = Deno.statSync(destination);
      append(destination, line.slice(0, 50));
      const io = lookingIo({ onSleep: () => onSleep(destination, size) });
      const read = await report(folder, {}, io);
      assertEquals([read.isWell, read.lines.lines], [true, lines]);
    });
  }
});

Deno.test("--identity decides what a repetition is", async () => {
  await withRun([sampleEvent(1, 3, "shop"), sampleEvent(1, 3, "cafe")], async (folder) => {
    assertEquals((await report(folder)).problems, []);
    const byName = await report(folder, { identity: "name-count" });
    assertEquals(byName.problems, ["1 repeated occurrence(s)"]);
    assertEquals(byName.lines.repeated.examples[0]!.firstPlace, `${folder}/events.jsonl:1`);
  });
});

Deno.test("A file that two names lead to is read once", async () => {
  await withRun(sampleEvents(3), async (folder, destination) => {
    Deno.linkSync(destination, `${folder}/hard`);
    Deno.symlinkSync(destination, `${folder}/soft`);
    const files = [`${folder}/hard`, destination, `${folder}/soft`];
    const { isWell, lines, destination: read } = await report(folder, { files, destination });
    assertEquals([isWell, lines.lines, read.isCheckpointFile], [true, 3, true]);
    assertEquals(lines.files.map(({ path, linesBehind }) => [path, linesBehind]), [[files[0]!, 0]]);
  });
});

Deno.test("Lines behind the checkpoint's offset are counted, in its file alone", async () => {
  await withRun(sampleEvents(3), async (folder, destination) => {
    append(destination, `${sampleEvent(50)}\n${sampleEvent(51)}\n`);
    const old = `${folder}/old`;
    Deno.writeTextFileSync(old, `${sampleEvent(60)}\n`);
    const { lines: { files }, state } = await report(folder, { files: [old] });
    assertEquals(files.map(({ lines, linesBehind }) => [lines, linesBehind]), [[1, null], [5, 2]]);
    assertEquals(state.checkpoint!.file!.bytesBehind, 2 * (sampleEvent(50).length + 1));
    const text = await textOf(folder);
    assert(
      text.some((line) => line.endsWith("the checkpoint's file, 2 line(s) behind its offset")),
    );
  });
});

Deno.test("Without --destination the checkpoint's file is read, renamed or not; what is gone is said", async () => {
  await withRun(sampleEvents(3), async (folder, destination) => {
    Deno.renameSync(destination, `${destination}.1`);
    const renamed = await report(folder);
    assertEquals(renamed.destination, {
      path: `${destination}.1`,
      unread: null,
      isCheckpointFile: true,
    });
    assertEquals([renamed.isWell, renamed.lines.lines], [true, 3]);
    Deno.removeSync(`${destination}.1`);
    const gone = await report(folder);
    const unread = `${destination}, which the checkpoint names, is not there`;
    assertEquals(gone.destination, { path: null, unread, isCheckpointFile: false });
    assertEquals([gone.isWell, gone.lines.lines], [true, 0]);
    assert((await textOf(folder)).includes(`Destination not read: ${unread}`));
  });
});

Deno.test("A --destination that is not the checkpoint's file is read, and that is said", async () => {
  await withRun(sampleEvents(3), async (folder) => {
    const other = `${folder}/other.jsonl`;
    Deno.writeTextFileSync(other, `${sampleEvent(1)}\n`);
    const { destination, lines } = await report(folder, { destination: other });
    assertEquals([destination.isCheckpointFile, lines.lines], [false, 1]);
    const text = await textOf(folder, { destination: other });
    assert(text.includes(`${other} is not the file that the checkpoint names`));
  });
});

Deno.test("Of standard output and a FIFO nothing is read", async () => {
  await withRun(sampleEvents(3), async (folder) => {
    makeFifo(`${folder}/fifo`);
    for (const destination of ["-", `${folder}/fifo`]) {
      const { destination: read, lines, isWell } = await report(folder, { destination });
      assertEquals([read.path, lines.lines, isWell], [null, 0, true]);
      assert(read.unread!.endsWith("cannot be read back"));
    }
  });
});

Deno.test("Damage of the state makes what is well not well", async () => {
  await withRun(sampleEvents(3), async (folder, destination) => {
    flipBit(`${folder}/checkpoint`, 5);
    append(destination, "torn\n");
    const { problems } = await report(folder);
    assertEquals(problems, ["1 torn line(s)", "1 damaged checkpoint slot(s)"]);
    const text = await textOf(folder);
    assertEquals(text.at(-1), "NOT WELL: 1 torn line(s), 1 damaged checkpoint slot(s)");
  });
});

Deno.test("A file that is named and missing, a directory or unreadable is refused by name", async () => {
  await withRun(sampleEvents(1), async (folder, destination) => {
    const none = `${folder}/none`;
    for (const options of [{ destination: none }, { files: [none] }]) {
      await assertRejects(
        () => report(folder, options),
        UsageError,
        `Cannot check "${none}": there is no such file.`,
      );
    }
    await assertRejects(
      () => report(folder, { files: [folder] }),
      UsageError,
      `Cannot check "${folder}": it is no regular file.`,
    );
    const io = lookingIo();
    const open: Io["open"] = (path, options) => {
      if (path !== destination) return io.open(path, options);
      throw Object.assign(new Error("Permission denied (os error 13)"), { code: "EACCES" });
    };
    await assertRejects(
      () => report(folder, {}, { ...io, open }),
      IoError,
      `Cannot read the file "${destination}": Permission denied (os error 13). Run this as the user`,
    );
  });
});
