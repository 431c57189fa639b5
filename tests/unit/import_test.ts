/** `import` on real folders: what it reads, what the ring knows then, and what it refuses. */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { gzipSync } from "node:zlib";
import { StateError, UsageError } from "../../lib/errors.ts";
import { importLines, type ImportOptions, type ImportReport } from "../../lib/import.ts";
import { realIo } from "../../lib/real_io.ts";
import { readState } from "../../lib/state_report.ts";
import { linesOf, Rig, type RigOptions, sampleEvent, storedCheckpoint } from "../support/rig.ts";
import { withTempFolder } from "../support/temp.ts";

/** Settings of the import that are those of the rig. */
const RIG = {
  filterCapacity: 10_000,
  filterErrorRate: 1e-9,
  batchCount: 3,
  batchDurationSec: 3600,
};

function importing(
  folder: string,
  files: string[],
  options: Partial<ImportOptions> = {},
): ReturnType<typeof importLines> {
  const all = { persistencePath: folder, ...RIG, identity: "content", files, json: false } as const;
  return importLines(realIo, { ...all, ...options }, 4711);
}

/** Imports files; what it says for programs. */
async function reported(
  folder: string,
  files: string[],
  options: Partial<ImportOptions> = {},
): Promise<ImportReport> {
  return JSON.parse((await importing(folder, files, { ...options, json: true })).text);
}

/** Writes lines to a file, and gives its path. */
function fileOf(path: string, lines: string[]): string {
  Deno.writeTextFileSync(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}

/** Starts with the imported state, meets these events, and gives the lines that it wrote. */
async function writtenOf(
  folder: string,
  events: string[],
  options: RigOptions = {},
): Promise<string[]> {
  const rig = await Rig.start(folder, options);
  await rig.feed(events);
  await rig.stop();
  return linesOf(`${folder}/events.jsonl`);
}

const events = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => sampleEvent(from + index));

Deno.test("import: what a line told is not written again, whatever the line's shape; news is", async () => {
  await withTempFolder(async (folder) => {
    const all = events(0, 7);
    const parsed = all.map((line) => JSON.parse(line));
    const python = JSON.stringify(parsed[1], null, 1).replaceAll("\n", "");
    const path = fileOf(`${folder}/old.jsonl`, [
      all[0]!,
      python,
      JSON.stringify({ verb: "UPDATED", event: parsed[2], old_event: parsed[3] }),
      JSON.stringify({ ...parsed[4], date: 1.5, clusterName: "prod" }),
      JSON.stringify({
        ...parsed[5],
        involvedObject: { ...parsed[5].involvedObject, labels: { a: "b" }, deleted: false },
      }),
    ]);
    const report = await reported(folder, [path]);
    assertEquals([report.isWell, report.lines, report.added, report.known], [true, 5, 5, 0]);
    assertEquals(report.reshaped, {
      count: 2,
      fields: ["date", "clusterName", "involvedObject.labels", "involvedObject.deleted"],
    });
    // Of number 3, only what it was before the update stands there.
    assertEquals(await writtenOf(folder, all), [all[3], all[6]]);
  });
});

Deno.test("import: files of several gzip members and plain ones, each once; a second run knows all", async () => {
  await withTempFolder(async (folder) => {
    const pack = (from: number, to: number) =>
      gzipSync(events(from, to).map((line) => `${line}\n`).join(""));
    const packed = `${folder}/old.jsonl.1.gz`;
    Deno.writeFileSync(packed, new Uint8Array([...pack(0, 50), ...pack(50, 120)]));
    const plain = fileOf(`${folder}/old.jsonl`, events(100, 150));
    const first = await importing(folder, [packed, plain, plain]);
    assert(first.isWell);
    const sizes = [packed, plain].map((path) => Deno.statSync(path).size.toLocaleString("en-US"));
    assertEquals(first.text.split("\n"), [
      "Lines of 2 file(s): 170 line(s), 170 event(s), 150 of them new, 20 known already, " +
      "0 line(s) not understood",
      `  ${packed}: 120 line(s), ${sizes[0]} bytes of gzip`,
      `  ${plain}: 50 line(s), ${sizes[1]} bytes`,
      `The ring in ${folder} holds 1 generation(s) with 150 key(s), all of them durable`,
      "All is imported: 170 event(s) will not be written again",
    ]);
    const again = await reported(folder, [packed, plain]);
    assertEquals([again.added, again.known, again.ring.keys], [0, 170, 150]);
    assertEquals(await writtenOf(folder, events(0, 151)), events(150, 151));
  });
});

Deno.test("import: lines that are no events are told with their places, and unfinished ones are not known", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/old.jsonl`;
    const torn = '{"kind":"Event","meta';
    Deno.writeTextFileSync(
      path,
      `${sampleEvent(0)}\nI0102 glog {"verb":"ADDED"}\n{"a":1}\n${torn}\n\n${sampleEvent(1)}`,
    );
    const { text, isWell } = await importing(folder, [path]);
    assertEquals(isWell, false);
    const size = sampleEvent(1).length;
    assertEquals(text.split("\n").slice(2, 8), [
      "Not understood: 5",
      `  ${path}:2: 27 byte(s): I0102 glog {"verb":"ADDED"}`,
      `  ${path}:3: 7 byte(s): {"a":1}`,
      `  ${path}:4: ${torn.length} byte(s): ${torn}`,
      `  ${path}:5: 0 byte(s): `,
      `  ${path}:6: unfinished last line of ${size} byte(s): ${sampleEvent(1).slice(0, 80)}`,
    ]);
    assertEquals(
      text.split("\n").at(-1),
      "NOT ALL: what 5 line(s) tell was not understood and may be written again",
    );
    assertEquals(await writtenOf(folder, events(0, 2)), events(1, 2));
  });
});

Deno.test("import: five generations' worth of events, and a start forgets none of them", async () => {
  for (const batchCount of [1, 3]) {
    await withTempFolder(async (folder) => {
      const path = fileOf(`${folder}/old.jsonl`, events(0, 500));
      const options = { filterCapacity: 100, batchCount };
      const report = await reported(folder, [path], options);
      assertEquals([report.added, report.ring.generations], [500, 5]);
      assertEquals(await writtenOf(folder, events(0, 501), options), events(500, 501));
    });
  }
});

Deno.test("import: more than the ring may take is refused and taken back", async () => {
  await withTempFolder(async (folder) => {
    const path = fileOf(`${folder}/old.jsonl`, events(0, 1000));
    const error = await assertRejects(
      () => importing(folder, [path], { filterCapacity: 100 }),
      UsageError,
      "there are more events than 8 generations of 100 each hold (--filter-capacity)",
    );
    assertEquals(error.exitCode, 64);
    assertEquals((await readState(realIo, folder)).generations.length, 0);
    const report = await reported(folder, [path], { filterCapacity: 1000 });
    assertEquals([report.added, report.ring.generations], [1000, 1]);
  });
});

Deno.test("import: with name-count it is the name and the count that are known", async () => {
  await withTempFolder(async (folder) => {
    const path = fileOf(`${folder}/old.jsonl`, events(0, 3));
    const identity = "name-count" as const;
    assertEquals((await reported(folder, [path], { identity })).added, 3);
    const changed = sampleEvent(0).replace("Started container", "Restarted container");
    const counted = sampleEvent(1, 2);
    assertEquals(await writtenOf(folder, [changed, counted], { identity }), [counted]);
  });
});

Deno.test("import: into an empty folder, it leaves a clean state; into one with a checkpoint, that one", async () => {
  await withTempFolder(async (folder) => {
    const path = fileOf(`${folder}/old.jsonl`, events(0, 3));
    await importing(folder, [path]);
    const state = await readState(realIo, folder);
    assertEquals([state.isWell, state.problems], [true, []]);
    assertEquals([storedCheckpoint(folder)?.clean, storedCheckpoint(folder)?.file], [true, null]);
    assertEquals(await writtenOf(folder, events(2, 5)), events(3, 5));
    const before = storedCheckpoint(folder);
    const destination = Deno.readTextFileSync(`${folder}/events.jsonl`);
    await importing(folder, [fileOf(`${folder}/older.jsonl`, events(10, 13))]);
    assertEquals(storedCheckpoint(folder), before);
    assertEquals(Deno.readTextFileSync(`${folder}/events.jsonl`), destination);
    assertEquals(await writtenOf(folder, events(0, 13)), events(3, 10));
  });
});

Deno.test("import: the destination of a run that crashed is left to recovery; other files are not", async () => {
  await withTempFolder(async (folder) => {
    const destination = `${folder}/events.jsonl`;
    const rig = await Rig.start(folder);
    await rig.feed(events(0, 3));
    await rig.kill();
    await assertRejects(
      () => importing(folder, [destination]),
      UsageError,
      `Cannot import "${destination}": it is the destination of the last run, which did not end by`,
    );
    await importing(folder, [fileOf(`${folder}/old.jsonl`, events(5, 8))]);
    assertEquals(await writtenOf(folder, events(0, 9)), [
      ...events(0, 5),
      ...events(8, 9),
    ]);
  });
});

Deno.test("import: a state in use, and files that are not there, are refused", async () => {
  await withTempFolder(async (folder) => {
    const path = fileOf(`${folder}/old.jsonl`, events(0, 1));
    await assertRejects(
      () => importing(folder, [path, `${folder}/none`]),
      UsageError,
      `Cannot import "${folder}/none": there is no such file.`,
    );
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["old.jsonl"]);
    const rig = await Rig.start(folder);
    const error = await assertRejects(() => importing(folder, [path]), StateError);
    assertStringIncludes(error.message, `is in use by process ${Deno.pid}`);
    await rig.stop();
  });
});
