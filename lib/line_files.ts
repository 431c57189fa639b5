/** The files of lines that the command line names, opened for reading. */

import { IoError, messageOf, UsageError } from "./errors.ts";
import type { FileStat, Io } from "./io.ts";
import { LineFile } from "./line_reader.ts";

/**
 * Opens the files, each once whatever names lead to it, before anybody rotates them.
 *
 * @param what is to be done with them, for the message
 * @throws UsageError where one is missing or no regular file; IoError where it cannot be read
 */
export function openLineFiles(io: Io, paths: string[], what: "check" | "import"): LineFile[] {
  const files: LineFile[] = [];
  try {
    for (const path of paths) {
      const file = open(io, path, what);
      if (files.some(({ dev, ino }) => dev === file.dev && ino === file.ino)) file.release();
      else files.push(file);
    }
    return files;
  } catch (error) {
    for (const file of files) file.release();
    throw error;
  }
}

/** @throws IoError */
export function statOf(io: Io, path: string): FileStat | null {
  try {
    return io.stat(path);
  } catch (error) {
    throw new IoError(`Cannot read the file ${JSON.stringify(path)}: ${messageOf(error)}.`);
  }
}

function open(io: Io, path: string, what: string): LineFile {
  const quoted = JSON.stringify(path);
  const kind = statOf(io, path)?.kind ?? "none";
  const file = kind === "file" ? LineFile.open(io, path) : null;
  if (file !== null) return file;
  if (kind === "file" || kind === "none") {
    throw new UsageError(`Cannot ${what} ${quoted}: there is no such file. Name those that exist.`);
  }
  throw new UsageError(`Cannot ${what} ${quoted}: it is no regular file. Name files of lines.`);
}
