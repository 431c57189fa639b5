/** Files that are only looked at, with errors that name them. */

import { codeOf, IoError, messageOf } from "./errors.ts";
import type { Io, IoFile } from "./io.ts";

/**
 * Opens a file for reading.
 *
 * @param what it is, for the message: "the state file"
 * @returns null where there is none
 * @throws IoError where it cannot be opened
 */
export function openToRead(io: Io, path: string, what: string): IoFile | null {
  try {
    return io.open(path, { mode: "read" });
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw readError(path, what, error);
  }
}

/**
 * Opens a file, reads what `body` wants to know of it, and closes it.
 *
 * @returns null where there is no such file
 * @throws IoError where it cannot be opened or read; what `body` throws of its own
 */
export async function readFrom<T>(
  io: Io,
  path: string,
  what: string,
  body: (file: IoFile) => T | Promise<T>,
): Promise<T | null> {
  const file = openToRead(io, path, what);
  if (file === null) return null;
  try {
    return await body(file);
  } catch (error) {
    throw codeOf(error) === undefined ? error : readError(path, what, error);
  } finally {
    file.close();
  }
}

/** That a file cannot be read, why, and what to do. */
export function readError(path: string, what: string, error: unknown): IoError {
  const isRefused = ["EACCES", "EPERM"].includes(codeOf(error) ?? "");
  return new IoError(
    `Cannot read ${what} ${JSON.stringify(path)}: ${messageOf(error)}.` +
      (isRefused ? " Run this as the user of the program that writes it, or as root." : ""),
  );
}
