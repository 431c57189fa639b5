/**
 * Makes the golden folders of the format that the tree writes: `deno run -A tests/golden/make.ts`
 * (with the flags of `deno task -q deps`). Only for a new format, into a folder of its own: what
 * stands in `v1` is what release 1 wrote, and is never made again.
 *
 * The shipped recorder runs over files in memory, so that inode numbers, times and seeds are the
 * same each time, and all but the process id in `lock`. What must be found is written from what was fed, not from what was read back.
 */

import { gzipSync } from "node:zlib";
import { identityHex } from "../../lib/identity.ts";
import type { Io } from "../../lib/io.ts";
import { LineKeys } from "../../lib/line_keys.ts";
import { LANES_OF, type Position } from "../../lib/protocol.ts";
import { MemoryDisk } from "../support/memory_io.ts";
import { Rig, type RigOptions, sampleEvent } from "../support/rig.ts";
import {
  type Expected,
  GOLDEN_DESTINATION,
  GOLDEN_FOLDER,
  GOLDEN_MS,
  GOLDEN_NAMES,
  goldenUrl,
  sha256,
} from "./golden.ts";

/** Ends a rig in the middle of a write. */
class PowerLoss extends Error {}

const WATCH = { server: "https://10.0.0.1:6443", namespace: null, fieldSelector: null };
const SETTINGS: Expected["settings"] = {
  filterCapacity: 400,
  batchCount: 3,
  batchDurationSec: 3600,
  identity: "content",
};
const GENERATION: Expected["ring"][number] = {
  name: "1800000000.bloom",
  sequence: 1,
  identity: "content",
  createdMs: GOLDEN_MS,
  closedMs: null,
  keys: 0,
  capacity: 400,
};
const NOTHING: Expected["recovered"] = { lines: 0, fileMissing: false, removedLines: 0 };
/** What a scene expects where it says nothing else. */
const USUAL = { settings: SETTINGS, watches: [WATCH], clean: true, recovered: NOTHING };

const events = (from: number, end: number) =>
  Array.from({ length: end - from }, (_, index) => sampleEvent(from + index));

/** Where a watch stands that met event `n` last. */
function positionAt(n: number, mode: RigOptions["identity"] = "content"): Position {
  const line = new TextEncoder().encode(sampleEvent(n));
  const keys = new LineKeys();
  keys.read(line, 0, line.length);
  const at = LANES_OF[mode];
  return {
    rv: `${1000 + n}`,
    witness: identityHex(keys.lanes.subarray(at, at + 4)),
    previous: `${1000 + n - 1}`,
    highest: `${1000 + n}`,
    listOwed: false,
  };
}

function start(io: Io, options: RigOptions = {}): Promise<Rig> {
  // So long that the only syncs are those of the checkpoints that a scene asks for.
  const quiet = { io, syncIntervalMs: 60_000, watches: [WATCH] };
  return Rig.start(GOLDEN_FOLDER, { ...SETTINGS, ...quiet, ...options });
}

type Found = Omit<Expected, "lines" | "sha256">;

/** Each leaves a folder on the disk; gives what must be found and the lines that must stand. */
const SCENES: Record<
  typeof GOLDEN_NAMES[number],
  (disk: MemoryDisk) => Promise<{ found: Found; lines: string[] }>
> = {
  async clean({ io }) {
    const rig = await start(io);
    await rig.feed(events(0, 20), [positionAt(19)]);
    await rig.stop();
    const found = { ...USUAL, ring: [{ ...GENERATION, keys: 20 }], positions: [positionAt(19)] };
    return { found, lines: events(0, 20) };
  },

  async unclean(disk) {
    const rig = await start(disk.io);
    await rig.feed(events(0, 12), [positionAt(11)]);
    await rig.commit.checkpoint();
    await rig.feed(events(12, 16), [positionAt(15)]);
    await rig.commit.checkpoint();
    await rig.feed(events(16, 20), [positionAt(19)]);
    await rig.kill();
    appendTorn(disk.io, sampleEvent(20).slice(0, 100));
    const found = {
      ...USUAL,
      ring: [{ ...GENERATION, keys: 16 }],
      clean: false,
      recovered: { ...NOTHING, lines: 4 },
      positions: [{ ...positionAt(15), highest: "1019" }],
    };
    return { found, lines: events(0, 20) };
  },

  async generations({ io }) {
    const settings = { ...SETTINGS, filterCapacity: 8 };
    const rig = await start(io, settings);
    const listed = { rv: "2000", witness: null, previous: "2000", highest: "2000", listOwed: true };
    await rig.feed(events(0, 30), [listed]);
    await rig.stop();
    const ring = [8, 8, 8, 6].map((keys, index) => ({
      ...{ ...GENERATION, keys, capacity: 8 },
      ...{ name: `${1_800_000_000 + index}.bloom`, sequence: index + 1 },
      closedMs: index === 3 ? null : GOLDEN_MS,
    }));
    return { found: { ...USUAL, settings, ring, positions: [listed] }, lines: events(0, 30) };
  },

  async "name-count"({ io }) {
    const watches = ["default", "shop"].map((namespace) => ({
      ...{ ...WATCH, namespace },
      fieldSelector: "type!=Normal",
    }));
    const first = await start(io, { watches });
    await first.feed(events(0, 10), [positionAt(9), positionAt(8)]);
    await first.stop();
    const settings = { ...SETTINGS, identity: "name-count" as const };
    const second = await start(io, { ...settings, watches });
    const positions = [positionAt(19, "name-count"), positionAt(18, "name-count")];
    await second.feed(events(10, 20), positions);
    await second.stop();
    const other = { name: "1800000001.bloom", sequence: 2, identity: "name-count" as const };
    const ring = [{ ...GENERATION, keys: 10, closedMs: GOLDEN_MS }, {
      ...{ ...GENERATION, keys: 10 },
      ...other,
    }];
    return { found: { ...USUAL, settings, watches, ring, positions }, lines: events(0, 20) };
  },

  async redo(disk) {
    const rig = await start(disk.io);
    await rig.feed(events(0, 12), [positionAt(11)]);
    await rig.commit.checkpoint();
    await rig.feed(events(12, 22), [positionAt(21)]);
    await rig.kill();
    makeHole(disk, 14);
    await start(dyingInRedo(disk.io)).then(
      () => Promise.reject(new Error("It was to die in the redo")),
      (error) => error instanceof PowerLoss ? null : Promise.reject(error),
    );
    const found = {
      ...USUAL,
      ring: [{ ...GENERATION, keys: 12 }],
      clean: false,
      recovered: { ...NOTHING, lines: 9 },
      positions: [{ ...positionAt(11), highest: "1021" }],
    };
    return { found, lines: [...events(0, 14), ...events(15, 22)] };
  },
};

function appendTorn(io: Io, text: string): void {
  const file = io.open(GOLDEN_DESTINATION, { mode: "append" });
  file.append(new TextEncoder().encode(text));
  file.close();
}

/** What a power loss leaves of a line in the tail: zeros in its middle. */
function makeHole(disk: MemoryDisk, line: number): void {
  const file = disk.io.open(GOLDEN_DESTINATION, { mode: "write" });
  const text = new TextDecoder().decode(disk.read(GOLDEN_DESTINATION));
  file.writeAt(new Uint8Array(200), text.indexOf(sampleEvent(line)) + 50);
  file.close();
}

/** Copies 60 % of the redo file's tail, then nothing any more. */
function dyingInRedo(io: Io): Io {
  return {
    ...io,
    open(path, options) {
      const file = io.open(path, options);
      if (path !== GOLDEN_DESTINATION) return file;
      const writeAt = file.writeAt.bind(file);
      file.writeAt = (bytes, offset) => {
        if (io.stat(`${GOLDEN_FOLDER}/redo`) === null) return writeAt(bytes, offset);
        writeAt(bytes.subarray(0, Math.floor(0.6 * bytes.length)), offset);
        throw new PowerLoss();
      };
      return file;
    },
  };
}

for (const name of GOLDEN_NAMES) {
  const disk = new MemoryDisk(GOLDEN_MS);
  const { found, lines } = await SCENES[name](disk);
  const folder = goldenUrl(name);
  Deno.mkdirSync(folder, { recursive: true });
  for (const [path, bytes] of disk.contents()) {
    const file = `${path.slice(GOLDEN_FOLDER.length + 1)}.gz`;
    // A folder that is there stays what it is.
    Deno.writeFileSync(new URL(file, folder), gzipSync(bytes, { level: 9 }), { createNew: true });
  }
  const text = lines.map((line) => `${line}\n`).join("");
  const expected: Expected = {
    ...found,
    lines: lines.map((line) => JSON.parse(line).metadata.resourceVersion),
    sha256: await sha256(new TextEncoder().encode(text)),
  };
  const json = `${JSON.stringify(expected, null, 2)}\n`;
  Deno.writeTextFileSync(new URL("expected.json", folder), json);
}
