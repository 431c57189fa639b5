/**
 * Whether the file that a checkpoint names is still there, by the rules of lib/known_file.ts: at
 * its path, else renamed in the same folder, by inode, birth and the hash before the offset; where
 * 4 KiB were hashed, path and hash alone (a restored file). Takes no lock, unlike recovery.
 */

import type { FileMark } from "./checkpoint.ts";
import { TAIL_HASH_BYTES, tailHash } from "./file_destination.ts";
import type { FileStat, Io } from "./io.ts";
import { isSameFile, otherNames } from "./known_file.ts";

/** The destination as the checkpoint knows it, and what became of it. */
export interface FileReport {
  /** As the checkpoint names it. */
  path: string;
  /** As the checkpoint names it. */
  ino: number;
  /** All bytes before it were durable whole lines at the checkpoint. */
  offset: number;
  /**
   * "same": at its path, with the content it had. "renamed": the same under another name of its
   * folder. "changed": its inode has other content before the offset, or ends before it.
   * "missing": none of these. "unreadable": there is a file at its path, but not for us.
   */
  state: "same" | "renamed" | "changed" | "missing" | "unreadable";
  /** The file of "same" and "renamed", else null. */
  found: { path: string; dev: number; ino: number; size: number } | null;
  /** Bytes that it has behind the offset: what a start would read again. Null without a file. */
  bytesBehind: number | null;
}

/** Looks for the file of a checkpoint. Never throws: what cannot be seen is not found. */
export function reportFile(io: Io, mark: FileMark): FileReport {
  const { path, ino, offset } = mark;
  const report: FileReport = {
    path,
    ino,
    offset,
    state: "missing",
    found: null,
    bytesBehind: null,
  };
  for (const candidate of [path, ...namesIn(io, mark)]) {
    const verdict = judge(io, candidate, mark);
    if (verdict === null) continue;
    if (typeof verdict === "string") {
      if (report.state === "missing") report.state = verdict;
      continue;
    }
    return {
      ...report,
      state: candidate === path ? "same" : "renamed",
      found: { path: candidate, dev: verdict.dev, ino: verdict.ino, size: verdict.size },
      bytesBehind: verdict.size - offset,
    };
  }
  return report;
}

/** The file where it is the one of the mark, else what is wrong with it; null = another one. */
function judge(io: Io, path: string, mark: FileMark): FileStat | "changed" | "unreadable" | null {
  const stat = statIfAllowed(io, path);
  if (stat === null || stat.kind !== "file") return null;
  const other = isSameFile(stat, mark) ? "changed" : null;
  if (stat.size < mark.offset) return other;
  if (other === null && mark.offset < TAIL_HASH_BYTES) return null;
  try {
    const file = io.open(path, { mode: "read" });
    try {
      return tailHash(file, mark.offset) === mark.tailHash ? stat : other;
    } finally {
      file.close();
    }
  } catch {
    return "unreadable";
  }
}

/** Where the folder is gone, or not for us, there are none. */
function namesIn(io: Io, mark: FileMark): string[] {
  try {
    return otherNames(io, mark);
  } catch {
    return [];
  }
}

function statIfAllowed(io: Io, path: string): FileStat | null {
  try {
    return io.stat(path);
  } catch {
    return null;
  }
}
