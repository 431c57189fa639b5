/**
 * What every start does before a new line is written: makes the state and the destination agree.
 *
 * The destination's bytes behind the checkpoint's offset (its tail) are the journal of the lines
 * that were appended since. Their keys go into the ring here, after the tail was made whole and
 * durable. A crash in here starts it over: each step gives the same result when run again.
 */

import type { Checkpoint, CheckpointFile, WatchState } from "./checkpoint.ts";
import { codeOf, IoError, messageOf } from "./errors.ts";
import { tailHash } from "./file_destination.ts";
import type { Io, IoFile } from "./io.ts";
import { findFile, type Found } from "./known_file.ts";
import { FILE_READ_BYTES } from "./limits.ts";
import { LineKeys } from "./line_keys.ts";
import { log } from "./log.ts";
import { folderOf } from "./paths.ts";
import { type IdentityMode, LANES_OF } from "./protocol.ts";
import { applyRedo, writeRedo } from "./redo.ts";
import { compareRv } from "./resource_version.ts";
import type { Ring } from "./ring.ts";
import { inStateFolder } from "./state_folder.ts";
import { surely } from "./trouble.ts";

const NEWLINE = 0x0a;

/** What recovery did, for the log and the metrics. */
export interface RecoveryReport {
  /** Lines behind the checkpoint whose keys were added. */
  lines: number;
  /** The file of the checkpoint was not found; its tail may repeat. */
  fileMissing: boolean;
  /** Lines that were no JSON object and were taken out. */
  removedLines: number;
}

/**
 * Brings ring and checkpoint up to date with the destination of the last run.
 *
 * @throws StateError where another process appends to that file; IoError where it cannot be mended
 */
export async function recover(
  io: Io,
  ring: Ring,
  checkpoints: CheckpointFile,
  options: { folder: string; identity: IdentityMode },
): Promise<RecoveryReport> {
  const report: RecoveryReport = { lines: 0, fileMissing: false, removedLines: 0 };
  const last = checkpoints.latest;
  if (last === null) return report;
  if (!last.clean) {
    // The kernel may hold pages that the disk does not. What we act upon must be durable first.
    inStateFolder(options.folder, () => {
      ring.rewriteAll();
      checkpoints.rewriteAll();
    });
  }
  if (last.file === null) return report;
  const found = await findFile(io, last.file).catch((error) => {
    throw ioError(last.file!.path, error);
  });
  if (found === null) {
    if (last.clean) {
      log.info(`${last.file.path}, to which the last run wrote until its end, is gone or another.`);
      return report;
    }
    report.fileMissing = true;
    log.warning(
      `The destination of the last run, ${last.file.path} (inode ${last.file.ino}), was not found ` +
        "with the content it had. Lines written there after the last checkpoint may be written again.",
    );
    return report;
  }
  try {
    await mendTail(io, ring, checkpoints, found, last, options, report);
  } catch (error) {
    throw ioError(found.path, error);
  } finally {
    found.file.close();
  }
  return report;
}

function ioError(path: string, error: unknown): unknown {
  if (codeOf(error) === undefined) return error;
  return new IoError(`Cannot recover the destination ${path}: ${messageOf(error)}`);
}

async function mendTail(
  io: Io,
  ring: Ring,
  checkpoints: CheckpointFile,
  found: Found,
  last: Checkpoint,
  options: { folder: string; identity: IdentityMode },
  report: RecoveryReport,
): Promise<void> {
  const { file, path, mark } = found;
  applyRedo(io, options.folder, file, mark);
  const size = file.size();
  if (last.clean && size === mark.offset) return;
  // Written where it is once more, so that a sync surely reaches all of what is read from here on:
  // a sync that failed before may have left pages that the disk does not hold.
  rewriteInPlace(io, options.folder, found);
  const tail = examineTail(file, mark.offset, size);
  if (last.clean) {
    // All of ours was durable, so this is somebody else's: it stays as it is.
    log.info(`Somebody wrote ${size - mark.offset} byte(s) to ${path} since the last run.`);
  } else if (tail.badLines.length > 0) {
    report.removedLines = tail.badLines.length;
    inStateFolder(options.folder, () => writeRedo(io, options.folder, file, mark, tail));
    applyRedo(io, options.folder, file, mark);
    log.warning(
      `Taken out of ${path}: ${tail.badLines.length} line(s) that a power loss left broken; kept ` +
        `in ${options.folder}. Their events are written again.`,
    );
  } else if (tail.end < size) {
    file.truncate(tail.end);
    file.syncNow();
    log.info(`Cut ${size - tail.end} byte(s) of an unfinished line from the end of ${path}.`);
  }
  io.syncFolder(folderOf(path));
  const highest = addKeys(file, mark.offset, ring, options, report);
  inStateFolder(options.folder, () => ring.writeDirty());
  await surely("the ring", ring.sync());
  const { dev, ino, birthMs, size: mended } = file.stat();
  const offset = last.clean ? tail.end : mended;
  inStateFolder(options.folder, () => {
    checkpoints.write({
      ...last,
      // After a clean stop the positions say all; what others wrote may be of another cluster.
      watches: last.clean ? last.watches : last.watches.map((watch) => raised(watch, highest)),
      file: { path, dev, ino, birthMs, offset, tailHash: tailHash(file, offset) },
      clean: false,
      timeMs: io.nowMs(),
    });
  });
  await surely("the checkpoint", checkpoints.seal());
  if (report.lines > 0) {
    log.info(`Recovered ${report.lines} line(s) that ${path} held behind the last checkpoint.`);
  }
}

/** Whole lines from `from` on, as byte ranges of a buffer that is valid during the call. */
export function eachLine(
  file: IoFile,
  from: number,
  visit: (bytes: Uint8Array, start: number, end: number, offset: number) => void,
): void {
  let buffer = new Uint8Array(FILE_READ_BYTES);
  let kept = 0;
  for (let offset = from;;) {
    if (kept === buffer.length) {
      const larger = new Uint8Array(2 * buffer.length);
      larger.set(buffer);
      buffer = larger;
    }
    const read = file.readAt(buffer.subarray(kept), offset + kept);
    if (read === 0) return;
    const filled = kept + read;
    let start = 0;
    for (;;) {
      const end = buffer.subarray(0, filled).indexOf(
        NEWLINE,
        Math.max(start, start === 0 ? kept : 0),
      );
      if (end < 0) break;
      visit(buffer, start, end, offset + start);
      start = end + 1;
    }
    buffer.copyWithin(0, start, filled);
    kept = filled - start;
    offset += start;
  }
}

/** What stands behind the checkpoint's offset. */
export interface Tail {
  /** End of the last whole line. */
  end: number;
  /** Ranges, newline included, of the lines that are no JSON objects. */
  badLines: { start: number; end: number }[];
}

function examineTail(file: IoFile, from: number, size: number): Tail {
  const keys = new LineKeys();
  const tail: Tail = { end: Math.min(from, size), badLines: [] };
  eachLine(file, from, (bytes, start, end, offset) => {
    tail.end = offset + (end - start) + 1;
    if (keys.read(bytes, start, end) === "broken") {
      tail.badLines.push({ start: offset, end: tail.end });
    }
  });
  return tail;
}

/** Writes the tail where it is once more and syncs it. */
function rewriteInPlace(io: Io, folder: string, { file, path, mark }: Found): void {
  const buffer = new Uint8Array(FILE_READ_BYTES);
  let end = mark.offset;
  for (;;) {
    const read = file.readAt(buffer, end);
    if (read === 0) break;
    file.writeAt(buffer.subarray(0, read), end);
    end += read;
  }
  try {
    file.syncNow();
  } catch (error) {
    // It must be cut off and written anew (lib/unsynced.ts), whole or not at all: the ring may know
    // these lines, and who reads them again would not write them. So the next start does it.
    try {
      writeRedo(io, folder, file, mark, { end, badLines: [] });
    } catch (failure) {
      const what = `Cannot keep the end of ${path} in ${folder}: ${messageOf(failure)}`;
      log.warning(`${what}. What the disk did not take of it may be lost.`);
    }
    throw error;
  }
}

/**
 * Adds the keys of the lines from an offset on.
 *
 * @returns the highest resourceVersion of the lines; null where there are none
 */
function addKeys(
  file: IoFile,
  from: number,
  ring: Ring,
  { folder, identity }: { folder: string; identity: IdentityMode },
  report: RecoveryReport,
): string | null {
  const keys = new LineKeys();
  let highest: string | null = null;
  eachLine(file, from, (bytes, start, end) => {
    if (keys.read(bytes, start, end) !== "event") return;
    report.lines++;
    const rv = keys.resourceVersion;
    if (highest === null || compareRv(rv, highest) === 1) highest = rv;
    if (ring.knows(keys.lanes, 0)) return;
    if (ring.needsGeneration(true)) inStateFolder(folder, () => ring.startGeneration());
    ring.add(keys.lanes, LANES_OF[identity]);
  });
  return highest;
}

/** The watch, with the lines of the tail among what it has met: resumed, it shows them again. */
function raised(watch: WatchState, highest: string | null): WatchState {
  const { position } = watch;
  const isBehind = highest !== null && compareRv(position.highest, highest) === -1;
  return isBehind ? { ...watch, position: { ...position, highest } } : watch;
}
