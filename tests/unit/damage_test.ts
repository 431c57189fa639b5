import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { crc32 } from "node:zlib";
import { CheckpointFile, readSlots } from "../../lib/checkpoint.ts";
import { StateError } from "../../lib/errors.ts";
import { readState } from "../../lib/state_report.ts";
import {
  GOLDEN_DESTINATION,
  GOLDEN_FOLDER,
  GOLDEN_MS,
  GOLDEN_NAMES,
  goldenExpected,
  goldenFiles,
} from "../golden/golden.ts";
import { loggedBy } from "../support/logged.ts";
import { MemoryDisk } from "../support/memory_io.ts";
import { Rig, type RigOptions, sampleEvent } from "../support/rig.ts";
import { randomKeys, randomUint32, testSeed } from "../support/temp.ts";

const SLOT = 64 * 1024;
const CHECKPOINT = `${GOLDEN_FOLDER}/checkpoint`;
const FIRST_BLOOM = "1800000000.bloom";
const SECTORS = 8192;

Deno.test("A checkpoint file cut anywhere, or a slot that reads as zeros, is damage", () => {
  const disk = new MemoryDisk(GOLDEN_MS);
  const whole = goldenFiles("unclean").get("checkpoint")!;
  disk.put(CHECKPOINT, whole);
  const file = disk.io.open(CHECKPOINT, { mode: "write" });
  const { latest, sequence } = readSlots(file, CHECKPOINT);
  assertEquals(sequence % 2, 0, "the newest one stands in the first slot");
  for (const size of [2 * SLOT - 1, 2 * SLOT - 512, SLOT + 512, SLOT + 1, SLOT]) {
    file.truncate(size);
    assertEquals(readSlots(file, CHECKPOINT), { latest, sequence, damaged: 1 }, `${size} bytes`);
  }
  for (const size of [SLOT - 1, 512, 1, 0]) {
    file.truncate(size);
    assertEquals(readSlots(file, CHECKPOINT).damaged, 2, `${size} bytes`);
    assertEquals(readSlots(file, CHECKPOINT).latest, null, `${size} bytes`);
  }
  for (const slot of [0, 1]) {
    file.writeAt(whole, 0);
    file.writeAt(new Uint8Array(SLOT), slot * SLOT);
    const read = readSlots(file, CHECKPOINT);
    assertEquals([read.damaged, read.sequence], [1, slot === 0 ? sequence - 1 : sequence]);
  }
});

Deno.test("A clean stop is not believed beside a damaged slot, which may be the newer one", async () => {
  // A start after a clean stop, killed within its first line: the newer slot is not clean.
  const disk = diskOf("clean", () => {});
  const rig = await startOn(disk, "clean");
  await rig.feed([sampleEvent(3000)]);
  await rig.kill();
  const whole = disk.read(GOLDEN_DESTINATION).slice();
  const destination = disk.io.open(GOLDEN_DESTINATION, { mode: "append" });
  destination.append(whole.subarray(0, 100));
  const file = disk.io.open(CHECKPOINT, { mode: "write" });
  const { sequence, latest } = readSlots(file, CHECKPOINT);
  assertEquals(latest!.clean, false);
  file.writeAt(new Uint8Array(100), (sequence % 2) * SLOT);
  assertEquals(readSlots(file, CHECKPOINT).sequence, sequence - 1);
  assertEquals(readSlots(file, CHECKPOINT).latest!.clean, false);
  const { result: again } = await loggedBy(() => startOn(disk, "clean"));
  await again.stop();
  assertEquals(again.report.lines, 1);
  assertEquals(disk.read(GOLDEN_DESTINATION), whole, "the torn line is cut");
});

Deno.test("A slot that was never written is no damage", async () => {
  const disk = new MemoryDisk(GOLDEN_MS);
  const made = CheckpointFile.open(disk.io, GOLDEN_FOLDER);
  const file = disk.io.open(CHECKPOINT, { mode: "read" });
  assertEquals(readSlots(file, CHECKPOINT), { latest: null, sequence: 0, damaged: 0 });
  made.write({ watches: [], file: null, clean: false, timeMs: 1 });
  await made.seal();
  assertEquals(readSlots(file, CHECKPOINT).damaged, 0);
  assertEquals(readSlots(file, CHECKPOINT).sequence, 1);
});

type Files = Map<string, Uint8Array>;
type Damage = (files: Files) => void;

/** Turns a bit of a file round at each of these offsets. */
function flip(name: string, ...offsets: number[]): Damage {
  return (files) => {
    for (const at of offsets) files.get(name)![at]! ^= 4;
  };
}

function cut(name: string, size: number): Damage {
  return (files) => files.set(name, files.get(name)!.slice(0, size));
}

function zeros(name: string, from: number, end: number): Damage {
  return (files) => files.get(name)!.fill(0, from, end);
}

function put(name: string, bytes: Uint8Array): Damage {
  return (files) => files.set(name, bytes);
}

/** Where the sector with the most keys begins, and how many it has. */
function fullestSector(bytes: Uint8Array): { at: number; keys: number } {
  const sectors = [];
  for (let at = SECTORS; at < bytes.length; at += 512) sectors.push({ at, keys: bytes[at + 4]! });
  return sectors.toSorted((a, b) => b.keys - a.keys)[0]!;
}

/** A golden folder on the machine that wrote it: the destination is the file of the checkpoint. */
function diskOf(folder: string, damage: Damage): MemoryDisk {
  const files = goldenFiles(folder);
  const disk = new MemoryDisk(GOLDEN_MS + 60_000);
  disk.put(CHECKPOINT, files.get("checkpoint")!);
  const file = disk.io.open(CHECKPOINT, { mode: "read" });
  const mark = readSlots(file, CHECKPOINT).latest!.file!;
  disk.io.remove(CHECKPOINT);
  damage(files);
  for (const [name, bytes] of files) {
    const path = `${GOLDEN_FOLDER}/${name}`;
    disk.put(path, bytes, path === GOLDEN_DESTINATION ? mark : {});
  }
  return disk;
}

function startOn(disk: MemoryDisk, folder: string, options: RigOptions = {}): Promise<Rig> {
  const { settings, watches } = goldenExpected(folder);
  return Rig.start(GOLDEN_FOLDER, { ...settings, watches, io: disk.io, ...options });
}

/** `status`, with no time between two looks at what is damaged. */
async function problemsOf({ io }: MemoryDisk): Promise<string[]> {
  return (await readState({ ...io, sleep: () => Promise.resolve() }, GOLDEN_FOLDER)).problems;
}

function linesOn(disk: MemoryDisk, path = GOLDEN_DESTINATION): string[] {
  return new TextDecoder().decode(disk.read(path)).split("\n").slice(0, -1);
}

/** The lines that a start finds in a folder, by its name. */
const events = new Map<string, string[]>();
for (const folder of GOLDEN_NAMES) {
  const whole = diskOf(folder, () => {});
  await (await startOn(whole, folder)).stop();
  events.set(folder, linesOn(whole));
}

/** What becomes of a folder: a start, the events of its lines once more, a stop. */
async function live(folder: string, damage: Damage) {
  const disk = diskOf(folder, damage);
  const known = events.get(folder)!;
  const problems = await problemsOf(disk);
  const { result: rig, warnings } = await loggedBy(async () => {
    const rig = await startOn(disk, folder);
    await rig.feed(known);
    await rig.stop();
    return rig;
  });
  const after = linesOn(disk);
  for (const event of known) assert(after.includes(event), `lost: ${event}`);
  const broken = after.filter((line) => !known.includes(line)).length;
  const repeats = after.length - broken - known.length;
  return { disk, rig, problems, warnings, repeats, broken };
}

interface Row {
  what: string;
  folder?: string;
  damage: Damage;
  /** What `status` says before the start. */
  problems?: string[];
  /** The WARNINGs of the start. */
  warnings?: RegExp[];
  /** Lines that stand twice after all events came once more. */
  repeats?: number;
  /** Lines that are left torn. */
  broken?: number;
  /** Files of the state folder that are there after the stop, and those that are not. */
  leaves?: string[];
  removes?: string[];
}

const { at: SECTOR, keys: SECTOR_KEYS } = fullestSector(goldenFiles("clean").get(FIRST_BLOOM)!);
const BLOOM_SIZE = goldenFiles("clean").get(FIRST_BLOOM)!.length;
const LAST_KEYS = goldenFiles("clean").get(FIRST_BLOOM)![BLOOM_SIZE - 512 + 4]!;
const EMPTIED = [
  /^1 damaged place\(s\) in \/golden\/1800000000\.bloom: emptied\. .* none is lost\.$/,
];
const HEAD = { problems: ["1 damaged header place(s)"], warnings: EMPTIED };
const SLOTS = { folder: "unclean", problems: ["1 damaged checkpoint slot(s)"] };
const SLOT_WARNING = [/^1 damaged slot\(s\) in \/golden\/checkpoint\. The other one is used\.$/];
const NO_SLOT = [/^2 damaged slot\(s\) in \/golden\/checkpoint\. No checkpoint is left/];
const NO_CHECKPOINT = {
  folder: "unclean",
  problems: ["no checkpoint beside the generations"],
  warnings: [/^No checkpoint beside 1 generation\(s\) in \/golden: /],
  ...{ repeats: 4, broken: 1 },
};
const REDO_WARNING =
  /^The redo file of \/golden is damaged, or of another destination: .*redo\.damaged/;

/** Nothing is ever lost, and what may stand twice is bounded: docs/FORMAT.md has the same table. */
const TABLE: Row[] = [
  { what: "no damage", damage: () => {} },
  { what: "no damage, killed", folder: "unclean", damage: () => {} },
  { what: "no damage, in a redo", folder: "redo", damage: () => {} },
  { what: "header slot A", damage: flip(FIRST_BLOOM, 40), ...HEAD },
  { what: "header slot B", damage: flip(FIRST_BLOOM, 4096 + 40), ...HEAD },
  { what: "the magic of one slot", damage: flip(FIRST_BLOOM, 0), ...HEAD },
  { what: "one slot lost", damage: zeros(FIRST_BLOOM, 0, 512), ...HEAD },
  { what: "a pad", damage: flip(FIRST_BLOOM, 2000), ...HEAD },
  {
    what: "both header slots",
    damage: flip(FIRST_BLOOM, 40, 4096 + 40),
    problems: ["1 .bloom file(s) without a valid header"],
    warnings: [/^No valid header in .*1800000000\.bloom: renamed to .*\.bloom\.damaged\./],
    repeats: 20,
    leaves: [`${FIRST_BLOOM}.damaged`],
  },
  {
    what: "the magic of both slots: it counts as another program's",
    damage: flip(FIRST_BLOOM, 0, 4096),
    warnings: [/^Left alone: 1 \.bloom file\(s\)/],
    repeats: 20,
    leaves: [FIRST_BLOOM],
  },
  {
    what: "a sector",
    damage: flip(FIRST_BLOOM, SECTOR + 100),
    problems: ["1 damaged sector(s)"],
    warnings: EMPTIED,
    repeats: SECTOR_KEYS,
  },
  {
    what: "the checksum of a sector is zeros",
    damage: zeros(FIRST_BLOOM, SECTOR, SECTOR + 4),
    problems: ["1 damaged sector(s)"],
    warnings: EMPTIED,
    repeats: SECTOR_KEYS,
  },
  {
    what: "a sector from another place",
    damage: (files) => files.get(FIRST_BLOOM)!.copyWithin(SECTORS, SECTOR, SECTOR + 512),
    problems: ["1 damaged sector(s)"],
    warnings: EMPTIED,
    repeats: goldenFiles("clean").get(FIRST_BLOOM)![SECTORS + 4]!,
  },
  {
    what: "a sector of zeros: it counts as empty, and cannot be told",
    damage: zeros(FIRST_BLOOM, SECTOR, SECTOR + 512),
    repeats: SECTOR_KEYS,
  },
  {
    what: "a generation without its last sector",
    damage: cut(FIRST_BLOOM, BLOOM_SIZE - 512),
    problems: ["1 generation(s) cut short"],
    warnings: EMPTIED,
    repeats: LAST_KEYS,
  },
  {
    what: "a generation cut in its header",
    damage: cut(FIRST_BLOOM, 5000),
    problems: ["1 .bloom file(s) without a valid header"],
    warnings: [/^No valid header in /],
    repeats: 20,
    leaves: [`${FIRST_BLOOM}.damaged`],
  },
  {
    what: "a generation of no bytes: it counts as another program's",
    damage: cut(FIRST_BLOOM, 0),
    warnings: [/^Left alone: 1 \.bloom file\(s\)/],
    repeats: 20,
  },
  {
    what: "a sector of a closed generation",
    folder: "generations",
    damage: flip(FIRST_BLOOM, SECTORS + 300),
    problems: ["1 damaged sector(s)"],
    warnings: EMPTIED,
    repeats: 8,
  },
  {
    what: "the slot that says closed",
    folder: "generations",
    damage: flip(FIRST_BLOOM, 60),
    ...HEAD,
  },
  { what: "the newer slot", ...SLOTS, damage: flip("checkpoint", 100), warnings: SLOT_WARNING },
  {
    ...{ what: "the older slot", ...SLOTS },
    ...{ damage: flip("checkpoint", SLOT + 100), warnings: SLOT_WARNING },
  },
  {
    ...{ what: "zeros behind the body", ...SLOTS },
    ...{ damage: flip("checkpoint", SLOT - 1), warnings: SLOT_WARNING },
  },
  {
    ...{ what: "a sector of the newer slot", ...SLOTS },
    ...{ damage: zeros("checkpoint", 0, 512), warnings: SLOT_WARNING },
  },
  {
    ...{ what: "a checkpoint file cut in its second slot", ...SLOTS },
    ...{ damage: cut("checkpoint", SLOT + 100), warnings: SLOT_WARNING },
  },
  {
    what: "both slots: what stands behind the last one is not known",
    folder: "unclean",
    damage: flip("checkpoint", 100, SLOT + 100),
    problems: ["2 damaged checkpoint slot(s)"],
    warnings: NO_SLOT,
    repeats: 4,
    broken: 1,
  },
  {
    what: "a checkpoint file of no bytes",
    folder: "unclean",
    damage: cut("checkpoint", 0),
    problems: ["2 damaged checkpoint slot(s)"],
    warnings: NO_SLOT,
    repeats: 4,
    broken: 1,
  },
  { what: "no checkpoint file", damage: (files) => files.delete("checkpoint"), ...NO_CHECKPOINT },
  { what: "a checkpoint of zeros", damage: zeros("checkpoint", 0, 2 * SLOT), ...NO_CHECKPOINT },
  {
    what: "the checkpoint's newer slot in a redo",
    folder: "redo",
    damage: flip("checkpoint", 100),
    problems: ["1 damaged checkpoint slot(s)"],
    warnings: SLOT_WARNING,
    removes: ["redo"],
  },
  {
    what: "the redo file, half copied: what is not copied comes again",
    folder: "redo",
    damage: flip("redo", 1000),
    warnings: [REDO_WARNING],
    leaves: ["redo.damaged", "removed-1800000000.lines"],
    removes: ["redo"],
  },
  {
    what: "the redo file cut short",
    folder: "redo",
    damage: cut("redo", 20),
    warnings: [REDO_WARNING],
    leaves: ["redo.damaged"],
    removes: ["redo"],
  },
  {
    what: "a redo file beside a checkpoint that is gone",
    folder: "redo",
    damage: flip("checkpoint", 100, SLOT + 100),
    problems: ["2 damaged checkpoint slot(s)"],
    warnings: [...NO_SLOT, /^The redo file of \/golden is of no use: .*redo\.damaged/],
    repeats: 5,
    broken: 1,
    leaves: ["redo.damaged"],
    removes: ["redo"],
  },
  {
    what: "a generation half made",
    damage: put("1800000001.bloom.new", new Uint8Array(700).fill(7)),
    removes: ["1800000001.bloom.new"],
  },
  { what: "a redo file half made", damage: put("redo.new", new Uint8Array(700).fill(7)) },
  { what: "a checkpoint half made", damage: put("checkpoint.new", new Uint8Array(700)) },
  { what: "garbage in the lock file", damage: put("lock", new Uint8Array(5000).fill(0xff)) },
  { what: "no lock file", damage: (files) => files.delete("lock") },
  {
    what: "lines that an earlier start took out",
    damage: put("removed-1700000000.lines", new Uint8Array(10).fill(0xff)),
    leaves: ["removed-1700000000.lines"],
  },
];

for (const row of TABLE) {
  Deno.test(`Damage: ${row.what}`, async () => {
    const { disk, problems, warnings, repeats, broken } = await live(
      row.folder ?? "clean",
      row.damage,
    );
    assertEquals(problems, row.problems ?? []);
    const expected = row.warnings ?? [];
    assertEquals(warnings.length, expected.length, warnings.join("\n"));
    for (const [index, text] of expected.entries()) assertMatch(warnings[index]!, text);
    assertEquals({ repeats, broken }, { repeats: row.repeats ?? 0, broken: row.broken ?? 0 });
    const names = disk.io.list(GOLDEN_FOLDER);
    for (const name of row.leaves ?? []) assert(names.includes(name), `${name} is gone`);
    for (const name of row.removes ?? []) assert(!names.includes(name), `${name} is left`);
    // What was damaged is whole again, or out of the way.
    assertEquals(await problemsOf(disk), []);
  });
}

Deno.test("A start on one random flipped bit says so, loses nothing and knows nothing more", async () => {
  const next = randomUint32(testSeed());
  for (let round = 0; round < 200; round++) {
    const folder = GOLDEN_NAMES[next() % GOLDEN_NAMES.length]!;
    const names = [...goldenFiles(folder).keys()].filter((name) =>
      name === "checkpoint" || name === "redo" || name.endsWith(".bloom")
    );
    const name = names[next() % names.length]!;
    const at = next() % goldenFiles(folder).get(name)!.length;
    const bit = next() % 8;
    const where = `${folder}/${name} byte ${at} bit ${bit}`;
    const { rig, problems, warnings, repeats, broken } = await live(
      folder,
      (files) => files.get(name)![at]! ^= 1 << bit,
    );
    assertEquals(warnings.length, 1, where);
    // A redo file is read by a start alone.
    assertEquals(problems.length, name === "redo" ? 0 : 1, where);
    assertEquals(broken, 0, where);
    assert(repeats <= (name.endsWith(".bloom") ? 20 : 0), `${where}: ${repeats} lines twice`);
    const strangers = randomKeys(next, 100);
    for (let index = 0; index < 100; index++) assert(!rig.ring.knows(strangers, 8 * index), where);
  }
});

Deno.test("Beside a damaged slot that named a newer destination, lines of that one come again", async () => {
  const newer = `${GOLDEN_FOLDER}/newer.jsonl`;
  const disk = diskOf("clean", () => {});
  const restart = () => startOn(disk, "clean", { destination: newer });
  const rig = await restart();
  await rig.feed([sampleEvent(3000), sampleEvent(3001)]);
  await rig.kill();
  const file = disk.io.open(CHECKPOINT, { mode: "write" });
  file.writeAt(new Uint8Array(100), (readSlots(file, CHECKPOINT).sequence % 2) * SLOT);
  const { result: again, warnings } = await loggedBy(restart);
  await again.feed([...events.get("clean")!, sampleEvent(3000), sampleEvent(3001)]);
  await again.stop();
  assertEquals(warnings.length, 1);
  assertMatch(warnings[0]!, SLOT_WARNING[0]!);
  assertEquals(linesOn(disk), events.get("clean")!);
  const twice = [3000, 3001, 3000, 3001].map((n) => sampleEvent(n));
  assertEquals(linesOn(disk, newer), twice);
});

Deno.test("A redo file whose destination is gone is never applied to another one", async () => {
  const disk = diskOf("redo", (files) => files.delete("events.jsonl"));
  const { result: rig, warnings } = await loggedBy(() => startOn(disk, "redo"));
  assert(rig.report.fileMissing);
  assertMatch(warnings.at(-1)!, /^The redo file of \/golden is of no use: its destination is gone/);
  await rig.stop();
  const names = disk.io.list(GOLDEN_FOLDER);
  assertEquals([names.includes("redo"), names.includes("redo.damaged")], [false, true]);
});

/** Puts the right checksum of bytes [from, end) at `at`, which counts as zeros in it. */
function reseal(bytes: Uint8Array, from: number, end: number, at: number): void {
  const view = new DataView(bytes.buffer);
  view.setUint32(at, 0, true);
  view.setUint32(at, crc32(bytes.subarray(from, end)), true);
}

/** Gives the slot of [start, end), or the file, a format number that is not known. */
const NEWER: { what: string; folder: string; name: string; make: (bytes: Uint8Array) => void }[] = [
  ...[0, 4096].map((start) => ({
    ...{ what: `a header slot at ${start}`, folder: "clean", name: FIRST_BLOOM },
    make: (bytes: Uint8Array) => {
      bytes[start + 8] = 2;
      reseal(bytes, start, start + 508, start + 508);
    },
  })),
  ...[0, SLOT].map((start) => ({
    ...{ what: `a checkpoint slot at ${start}`, folder: "unclean", name: "checkpoint" },
    make: (bytes: Uint8Array) => {
      bytes[start + 8] = 2;
      reseal(bytes, start, start + SLOT, start + 20);
    },
  })),
  {
    ...{ what: "a redo file", folder: "redo", name: "redo" },
    make: (bytes) => {
      bytes[7] = 0x32;
      reseal(bytes, 0, bytes.length, 8);
    },
  },
];

for (const { what, folder, name, make } of NEWER) {
  Deno.test(`A newer format is refused with status 65 and left as it is: ${what}`, async () => {
    const disk = diskOf(folder, (files) => make(files.get(name)!));
    const path = `${GOLDEN_FOLDER}/${name}`;
    const before = [path, GOLDEN_DESTINATION].map((one) => disk.read(one).slice());
    const error = await assertRejects(() => startOn(disk, folder), StateError);
    assertEquals(error.exitCode, 65);
    assertMatch(
      error.message,
      /^Cannot use the state file "\/golden\/.+": a newer release wrote it \(format 2, .+\)\. Run that release, or another --persistence-path\.$/,
    );
    assert(error.message.includes(`"${path}"`));
    assertEquals([path, GOLDEN_DESTINATION].map((one) => disk.read(one)), before);
    if (name !== "redo") await assertRejects(() => problemsOf(disk), StateError, error.message);
  });
}
