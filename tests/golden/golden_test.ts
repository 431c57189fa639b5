import { assert, assertEquals } from "@std/assert";
import type { Io } from "../../lib/io.ts";
import { readState } from "../../lib/state_report.ts";
import { loggedBy } from "../support/logged.ts";
import { mappedIo } from "../support/mapped_io.ts";
import { batchOf, linesOf, Rig, sampleEvent } from "../support/rig.ts";
import { withTempFolder } from "../support/temp.ts";
import {
  type Expected,
  GOLDEN_FOLDER,
  GOLDEN_MS,
  GOLDEN_NAMES,
  goldenExpected,
  goldenFiles,
  sha256,
} from "./golden.ts";

/**
 * Lays a golden folder out on the disk, where all its files have other inodes and times than those
 * that its checkpoint names: a restored state, as after a move to another machine.
 */
async function withGolden(
  name: string,
  body: (io: Io, expected: Expected, place: string) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (place) => {
    for (const [file, bytes] of goldenFiles(name)) Deno.writeFileSync(`${place}/${file}`, bytes);
    // A minute later: no generation closes by its age.
    const io = { ...mappedIo(GOLDEN_FOLDER, place), nowMs: () => GOLDEN_MS + 60_000 };
    await body(io, goldenExpected(name), place);
  });
}

function start(io: Io, { settings, watches }: Expected): Promise<Rig> {
  return Rig.start(GOLDEN_FOLDER, { ...settings, io, watches });
}

for (const name of GOLDEN_NAMES) {
  Deno.test(`Golden v1 ${name}: status reads it, finds its destination and no damage`, async () => {
    await withGolden(name, async (io, expected) => {
      const state = await readState(io, GOLDEN_FOLDER);
      assertEquals(state.problems, []);
      const { checkpoint, generations } = state;
      assertEquals([checkpoint?.clean, checkpoint?.file?.state], [expected.clean, "same"]);
      // Known by path and hash alone.
      assert(checkpoint?.file?.ino !== checkpoint?.file?.found?.ino);
      assertEquals(checkpoint?.watches.map(({ position: _, ...watch }) => watch), expected.watches);
      for (const [index, generation] of expected.ring.entries()) {
        assertEquals({ ...generations[index], ...generation }, generations[index]);
      }
      assertEquals(generations.length, expected.ring.length);
    });
  });

  Deno.test(`Golden v1 ${name}: a start knows all lines, goes on where it stood, repeats none`, async () => {
    await withGolden(name, async (io, expected, place) => {
      const destination = `${place}/events.jsonl`;
      const { result: rig, warnings } = await loggedBy(() => start(io, expected));
      assertEquals(warnings, []);
      assertEquals({ ...rig.report, ...expected.recovered }, rig.report);
      assertEquals<unknown>(rig.positions, expected.positions);
      assertEquals(rig.ring.damaged, 0);
      const lines = linesOf(destination);
      const versions = lines.map((line) => JSON.parse(line).metadata.resourceVersion);
      assertEquals(versions, expected.lines);
      assertEquals(await sha256(Deno.readFileSync(destination)), expected.sha256);
      const { count, keys } = batchOf(lines);
      for (let index = 0; index < count; index++) assert(rig.ring.knows(keys, 8 * index));
      await rig.feed(lines);
      await rig.commit.checkpoint();
      assertEquals(await sha256(Deno.readFileSync(destination)), expected.sha256);
      await rig.feed([sampleEvent(5000)]);
      await rig.stop();
      assertEquals(linesOf(destination), [...lines, sampleEvent(5000)]);
      // Today's settings are those that the newest generation was made with: it is still open.
      assertEquals(rig.ring.generations.length, expected.ring.length);
      assertEquals((await readState(io, GOLDEN_FOLDER)).problems, []);
    });
  });
}

Deno.test("The golden folders stay small enough to stand in git", () => {
  let bytes = 0;
  for (const name of GOLDEN_NAMES) {
    const folder = new URL(`v1/${name}/`, import.meta.url);
    for (const file of Deno.readDirSync(folder)) {
      bytes += Deno.statSync(new URL(file.name, folder)).size;
    }
  }
  assert(bytes > 0 && bytes < 300_000, `${bytes} bytes`);
});
