/**
 * The `redo` file: a repair of the destination that must happen whole or not at all.
 *
 * Taking broken lines out of the middle of the tail moves the good lines behind them. A crash
 * half-way would leave some of them twice or torn. A tail whose sync failed must be cut off and
 * written anew (lib/unsynced.ts); a crash in between would lose lines that the ring knows. So the
 * new tail is first written to this file and synced; from then on every start copies it over until
 * that is done. Copying it twice is harmless: it always writes the same bytes to the same place.
 */

import { crc32 } from "node:zlib";
import type { FileMark } from "./checkpoint.ts";
import { newerFormat } from "./errors.ts";
import type { Io, IoFile } from "./io.ts";
import { log } from "./log.ts";
import { pathIn } from "./paths.ts";

const NAME = "redo";
const MAGIC = "KEPREDO";
/** Version of the file format that this program writes, a digit behind the magic. */
const FORMAT = "1";
/** magic (8), checksum (4), pad (4), inode (8), offset (8), then the bytes of the new tail. */
const HEAD_BYTES = 32;

/**
 * Makes the redo file: the tail behind the mark without the ranges in `badLines`. What is taken
 * out, if anything, goes to a file of its own first.
 */
export function writeRedo(
  io: Io,
  folder: string,
  file: IoFile,
  mark: FileMark,
  tail: { end: number; badLines: { start: number; end: number }[] },
): void {
  const old = new Uint8Array(tail.end - mark.offset);
  file.readAt(old, mark.offset);
  const removed: Uint8Array[] = [];
  const kept: Uint8Array[] = [];
  let from = 0;
  for (const { start, end } of tail.badLines) {
    kept.push(old.subarray(from, start - mark.offset));
    removed.push(old.subarray(start - mark.offset, end - mark.offset));
    from = end - mark.offset;
  }
  kept.push(old.subarray(from));
  if (removed.length > 0) {
    writeWhole(io, folder, `removed-${Math.floor(io.nowMs() / 1000)}.lines`, removed);
  }
  const head = new Uint8Array(HEAD_BYTES);
  const view = new DataView(head.buffer);
  head.set(new TextEncoder().encode(MAGIC + FORMAT));
  view.setFloat64(16, mark.ino, true);
  view.setFloat64(24, mark.offset, true);
  view.setUint32(8, [head, ...kept].reduce((sum, bytes) => crc32(bytes, sum), 0), true);
  writeWhole(io, folder, NAME, [head, ...kept]);
}

/**
 * Does what the redo file of the folder says, where there is one for this file; then removes it.
 *
 * @throws StateError where a newer release wrote it; the operating system's errors
 */
export function applyRedo(io: Io, folder: string, file: IoFile, mark: FileMark): void {
  const path = pathIn(folder, NAME);
  const stat = io.stat(path);
  if (stat === null) return;
  const redo = io.open(path, { mode: "read" });
  const bytes = new Uint8Array(stat.size);
  try {
    redo.readAt(bytes, 0);
  } finally {
    redo.close();
  }
  if (!isRedoOf(bytes, mark, path)) {
    return setAsideRedo(io, folder, "is damaged, or of another destination");
  }
  // Cut off first, so that what a failed sync left is written anew: see lib/unsynced.ts.
  file.truncate(mark.offset);
  file.writeAt(bytes.subarray(HEAD_BYTES), mark.offset);
  file.syncNow();
  io.remove(path);
  io.syncFolder(folder);
}

/**
 * Puts a redo file out of the way that cannot be used: a later start must not take it for its own,
 * and what it holds may be the only whole copy of some lines.
 *
 * @param fault what is wrong with it
 */
export function setAsideRedo(io: Io, folder: string, fault: string): void {
  const path = pathIn(folder, NAME);
  if (io.stat(path) === null) return;
  io.rename(path, `${path}.damaged`);
  io.syncFolder(folder);
  log.warning(
    `The redo file of ${folder} ${fault}: renamed to ${path}.damaged. Lines of the ` +
      "destination's end may stand in that file alone; their events are written again.",
  );
}

/**
 * Whether this is a whole redo file for the destination of the mark.
 *
 * @throws StateError where a newer release wrote it
 */
export function isRedoOf(bytes: Uint8Array, mark: FileMark, path: string): boolean {
  if (bytes.length < HEAD_BYTES) return false;
  const head = bytes.slice(0, HEAD_BYTES);
  const view = new DataView(head.buffer);
  const sum = view.getUint32(8, true);
  view.setUint32(8, 0, true);
  const name = new TextDecoder().decode(head.subarray(0, 8));
  const isWhole = crc32(bytes.subarray(HEAD_BYTES), crc32(head)) === sum && name.startsWith(MAGIC);
  if (!isWhole) return false;
  const format = name.slice(MAGIC.length);
  if (format !== FORMAT) throw newerFormat(path, `format ${format}`, FORMAT);
  return view.getFloat64(16, true) === mark.ino && view.getFloat64(24, true) === mark.offset;
}

/** A file appears under its name only when all of it is durable. */
function writeWhole(io: Io, folder: string, name: string, parts: Uint8Array[]): void {
  const path = pathIn(folder, name);
  const file = io.open(`${path}.new`, { mode: "write", create: 0o600 });
  try {
    file.truncate(0);
    let offset = 0;
    for (const part of parts) {
      file.writeAt(part, offset);
      offset += part.length;
    }
    file.syncNow();
  } finally {
    file.close();
  }
  io.rename(`${path}.new`, path);
  io.syncFolder(folder);
}
