/**
 * The `checkpoint` file: where every watch and the destination stood at the last checkpoint.
 *
 * Two slots of 64 KiB, written in turn, each with a checksum over all of it; the valid one with the
 * higher sequence counts. A torn write therefore leaves the other slot, which is the checkpoint
 * before. What stands in it was durable when it was written: lib/pipeline.ts keeps that order.
 */

import { crc32 } from "node:zlib";
import { invariant, newerFormat } from "./errors.ts";
import type { Io, IoFile } from "./io.ts";
import { pathIn } from "./paths.ts";
import type { Position } from "./protocol.ts";
import { isZero } from "./zeros.ts";

/** Version of the file format that this program writes; it refuses newer ones. */
export const CHECKPOINT_FORMAT = 1;

const MAGIC = "KEPCHKPT";
const SLOT_BYTES = 64 * 1024;
const HEAD_BYTES = 24;

/** A watch, named by what it watches, and where it stood. */
export interface WatchState {
  server: string;
  namespace: string | null;
  fieldSelector: string | null;
  position: Position;
}

/** The states of those watches that have a position. */
export function watchStates(
  watches: Omit<WatchState, "position">[],
  positions: (Position | null)[],
): WatchState[] {
  return watches.flatMap((watch, index) => {
    const position = positions[index] ?? null;
    return position === null ? [] : [{ ...watch, position }];
  });
}

/** The regular file that lines are appended to, and how far they are known to be durable. */
export interface FileMark {
  path: string;
  dev: number;
  ino: number;
  /** When the file was made, ms since 1970; null where its file system does not tell. */
  birthMs: number | null;
  /** All bytes before it are whole, durable lines whose keys are in the ring. */
  offset: number;
  /** Hash (hex) of the last `min(offset, 4096)` bytes before `offset`. */
  tailHash: string;
}

/** The content of a checkpoint. */
export interface Checkpoint {
  watches: WatchState[];
  /** null where lines go to standard output or a FIFO. */
  file: FileMark | null;
  /** The process ended by itself after this checkpoint; false where another may have come since. */
  clean: boolean;
  /** Wall clock, ms since 1970. */
  timeMs: number;
}

/** The checkpoint file, open. */
export class CheckpointFile {
  readonly #file: IoFile;
  /** The newest valid checkpoint; null where there is none. */
  latest: Checkpoint | null;
  /** Slots that were written once and are not valid now. */
  readonly damaged: number;
  #sequence: number;
  #written: Checkpoint | null = null;
  /** Each slot is put together here: taking 64 KiB anew costs more than filling it. */
  readonly #slot: Uint8Array;

  private constructor(file: IoFile, { latest, sequence, damaged }: Slots, slot: Uint8Array) {
    this.#file = file;
    this.latest = latest;
    this.#sequence = sequence;
    this.damaged = damaged;
    this.#slot = slot;
  }

  /**
   * Opens the file of a state folder, or makes it, in full and synced before it gets its name. All
   * names in the folder are durable after it.
   *
   * @throws StateError where a newer release wrote it; the operating system's errors
   */
  static open(io: Io, folder: string): CheckpointFile {
    const path = pathIn(folder, "checkpoint");
    if (io.stat(path) === null) create(io, path);
    const file = io.open(path, { mode: "write" });
    try {
      // A crash may have come between a rename in this folder and its sync.
      io.syncFolder(folder);
      const slot = new Uint8Array(SLOT_BYTES);
      return new CheckpointFile(file, readSlots(file, path, slot), slot);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /**
   * Writes a checkpoint to the older slot. It counts after {@linkcode seal}.
   *
   * @throws the operating system's error; the checkpoint before stays valid
   */
  write(checkpoint: Checkpoint): void {
    const sequence = this.#sequence + 1;
    encodeSlot(checkpoint, sequence, this.#slot);
    this.#file.writeAt(this.#slot, (sequence % 2) * SLOT_BYTES);
    this.#written = checkpoint;
  }

  /** Syncs what {@linkcode write} wrote. After it resolves, recovery starts from there. */
  async seal(): Promise<void> {
    await this.#file.sync();
    if (this.#written === null) return;
    this.latest = this.#written;
    this.#written = null;
    this.#sequence++;
  }

  /** After an unclean stop: writes both slots again with what was read, and syncs each. */
  rewriteAll(): void {
    const { latest } = this;
    if (latest === null) return;
    for (let slot = 0; slot < 2; slot++) {
      this.#sequence++;
      encodeSlot(latest, this.#sequence, this.#slot);
      this.#file.writeAt(this.#slot, (this.#sequence % 2) * SLOT_BYTES);
      this.#file.syncNow();
    }
  }

  /** Closes the file. */
  release(): void {
    this.#file.close();
  }
}

/** What both slots say together. */
export interface Slots {
  /** The newest valid checkpoint; null where there is none. */
  latest: Checkpoint | null;
  /** Its sequence; 0 where there is none. */
  sequence: number;
  /** Slots that were written once and are not valid now. */
  damaged: number;
}

/**
 * Reads both slots of an open checkpoint file, and writes nothing.
 *
 * @param buffer as long as a slot; what is in it afterwards means nothing
 * @throws StateError where a newer release wrote it; the operating system's errors
 */
export function readSlots(
  file: IoFile,
  path: string,
  buffer: Uint8Array = new Uint8Array(SLOT_BYTES),
): Slots {
  const slots = [0, 1].map((slot) => readSlot(file, slot, path, buffer));
  const valid = slots.filter((slot) => typeof slot === "object")
    .toSorted((a, b) => b.sequence - a.sequence);
  const newest = valid[0];
  const sequence = newest?.sequence ?? 0;
  // The second write went to the other slot: from then on zeros are a slot that was lost.
  const isLost = (slot: typeof slots[number]) => slot === "zeros" && sequence > 1;
  const damaged = slots.filter((slot) => slot === "damaged" || isLost(slot)).length;
  const latest = newest?.checkpoint ?? null;
  // A damaged slot may be the newer one: then a later run was not as clean as this one.
  if (latest !== null && damaged > 0) latest.clean = false;
  return { latest, sequence, damaged };
}

function create(io: Io, path: string): void {
  const draft = `${path}.new`;
  const file = io.open(draft, { mode: "write", create: 0o600 });
  try {
    file.writeAt(new Uint8Array(2 * SLOT_BYTES), 0);
    file.syncNow();
  } finally {
    file.close();
  }
  io.rename(draft, path);
}

/** Makes a slot of `bytes`. */
function encodeSlot(checkpoint: Checkpoint, sequence: number, bytes: Uint8Array): void {
  const body = new TextEncoder().encode(JSON.stringify(checkpoint));
  invariant(body.length <= SLOT_BYTES - HEAD_BYTES, "a checkpoint fits its slot of 64 KiB");
  bytes.fill(0);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC), 0);
  view.setUint32(8, CHECKPOINT_FORMAT, true);
  view.setUint32(12, sequence, true);
  view.setUint32(16, body.length, true);
  bytes.set(body, HEAD_BYTES);
  // The checksum stands in the bytes that are zero while it is taken.
  view.setUint32(20, crc32(bytes), true);
}

function readSlot(
  file: IoFile,
  slot: number,
  path: string,
  bytes: Uint8Array,
): { checkpoint: Checkpoint; sequence: number } | "damaged" | "zeros" {
  // The file got its name when it was as long as it ever is.
  if (file.readAt(bytes, slot * SLOT_BYTES) < SLOT_BYTES) return "damaged";
  if (isZero(bytes)) return "zeros";
  const view = new DataView(bytes.buffer);
  const sum = view.getUint32(20, true);
  view.setUint32(20, 0, true);
  if (crc32(bytes) !== sum || new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) {
    return "damaged";
  }
  const format = view.getUint32(8, true);
  if (format > CHECKPOINT_FORMAT) {
    throw newerFormat(path, `format ${format}`, `${CHECKPOINT_FORMAT}`);
  }
  const body = bytes.subarray(HEAD_BYTES, HEAD_BYTES + view.getUint32(16, true));
  return {
    checkpoint: JSON.parse(new TextDecoder().decode(body)) as Checkpoint,
    sequence: view.getUint32(12, true),
  };
}
