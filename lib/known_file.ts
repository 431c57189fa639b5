/** The file that a checkpoint names, and how it is known again. */

import type { FileMark } from "./checkpoint.ts";
import { codeOf, messageOf, StateError } from "./errors.ts";
import { TAIL_HASH_BYTES, tailHash } from "./file_destination.ts";
import type { FileStat, Io, IoFile } from "./io.ts";
import { log } from "./log.ts";
import { folderOf, pathIn } from "./paths.ts";

/** A file of a checkpoint, open and locked. */
export interface Found {
  path: string;
  file: IoFile;
  mark: FileMark;
}

/**
 * The file of the mark, locked: at its path, else renamed in the same folder, by inode and the hash
 * before the offset; where 4 KiB were hashed, path and hash alone (a restored file).
 *
 * @returns null where there is none, or where another process has the renamed one
 * @throws StateError where another process appends to the one at the path; errors of the disk
 */
export async function findFile(io: Io, mark: FileMark): Promise<Found | null> {
  for (const path of [mark.path, ...otherNames(io, mark)]) {
    const stat = statIfThere(io, path);
    if (stat === null || stat.kind !== "file" || stat.size < mark.offset) continue;
    if (!isSameFile(stat, mark) && mark.offset < TAIL_HASH_BYTES) continue;
    const file = openIfAllowed(io, path);
    if (file === null) continue;
    if (tailHash(file, mark.offset) === mark.tailHash) {
      if (await file.lock()) return { path, file, mark };
      file.close();
      if (path === mark.path) {
        throw new StateError(
          `Cannot recover the destination ${JSON.stringify(path)}: another process holds its ` +
            "lock. Stop that instance, or give this one another --destination.",
        );
      }
      continue;
    }
    file.close();
  }
  return null;
}

/** By the number of the inode, and when it was made: numbers of deleted files are used again. */
export function isSameFile(stat: FileStat, mark: FileMark): boolean {
  if (stat.ino !== mark.ino) return false;
  return stat.birthMs === null || mark.birthMs === null || stat.birthMs === mark.birthMs;
}

/** The other names in the folder that lead to the file of the mark. */
export function otherNames(io: Io, mark: FileMark): string[] {
  const folder = folderOf(mark.path);
  return (unlessMissing(() => io.list(folder)) ?? []).map((name) => pathIn(folder, name))
    .filter((path) => path !== mark.path && statIfThere(io, path)?.ino === mark.ino);
}

function statIfThere(io: Io, path: string): FileStat | null {
  return unlessMissing(() => io.stat(path));
}

function openIfAllowed(io: Io, path: string): IoFile | null {
  return unlessMissing(() => io.open(path, { mode: "write" }), (error) => {
    log.warning(`Cannot open ${path} to recover it: ${messageOf(error)}.`);
  });
}

/**
 * Rotated to a place or an owner that is not for us, a file counts as not found. Any other failure
 * is one of the disk: to go on without the file would write its tail again.
 */
const MISSING = new Set(["ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EPERM"]);

function unlessMissing<T>(look: () => T, onMissing?: (error: unknown) => void): T | null {
  try {
    return look();
  } catch (error) {
    if (!MISSING.has(codeOf(error) ?? "")) throw error;
    onMissing?.(error);
    return null;
  }
}
