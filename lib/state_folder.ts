/**
 * The state folder (--persistence-path): that it can be used, and that nobody else uses it.
 *
 * It holds `lock`, `checkpoint`, the `.bloom` files of the ring, and while a repair runs `redo`.
 */

import { codeOf, messageOf, StateError, UsageError } from "./errors.ts";
import type { Io, IoFile } from "./io.ts";
import { pathIn } from "./paths.ts";

/**
 * Takes the lock of a state folder. It is held until the file is closed or the process ends,
 * however that comes.
 *
 * @param pid is written into the lock file, for the message of a second instance
 * @throws UsageError where the folder is missing; StateError where it cannot be written or where
 * another process holds it
 */
export async function lockStateFolder(io: Io, folder: string, pid: number): Promise<IoFile> {
  const quoted = JSON.stringify(folder);
  const kind = kindOf(io, folder);
  if (kind !== "directory") {
    throw new UsageError(
      `The persistence path ${quoted} ${kind === null ? "does not exist" : "is no directory"}. ` +
        "Make the folder, or change --persistence-path (KUBE_EVENT_PIPE_PERSISTENCE_PATH).",
    );
  }
  let lock: IoFile;
  try {
    lock = io.open(pathIn(folder, "lock"), { mode: "write", create: 0o600 });
  } catch (error) {
    throw cannotWrite(quoted, error);
  }
  try {
    if (!await lock.lock()) throw inUse(quoted, lock);
    lock.truncate(0);
    lock.writeAt(new TextEncoder().encode(`${pid}\n`), 0);
    return lock;
  } catch (error) {
    lock.close();
    throw error instanceof StateError ? error : cannotWrite(quoted, error);
  }
}

/**
 * Does what a start does with the files of the state folder.
 *
 * @throws StateError where the operating system refuses; what else `action` throws
 */
export function inStateFolder<T>(folder: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw codeOf(error) === undefined ? error : cannotWrite(JSON.stringify(folder), error);
  }
}

function kindOf(io: Io, folder: string): string | null {
  try {
    return io.stat(folder)?.kind ?? null;
  } catch (error) {
    throw cannotWrite(JSON.stringify(folder), error);
  }
}

function inUse(quoted: string, lock: IoFile): StateError {
  const text = new Uint8Array(32);
  const pid = new TextDecoder().decode(text.subarray(0, lock.readAt(text, 0))).trim();
  const holder = /^\d+$/.test(pid) ? `process ${pid}` : "another process";
  return new StateError(
    `The persistence path ${quoted} is in use by ${holder}. Two instances cannot share one state: ` +
      "stop that one, or give this one another --persistence-path and --destination.",
  );
}

function cannotWrite(quoted: string, error: unknown): StateError {
  return new StateError(
    `The persistence path ${quoted} cannot be used: ${messageOf(error)}. ${remedyOf(error)}`,
  );
}

function remedyOf(error: unknown): string {
  switch (codeOf(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return "Make room on its disk.";
    case "EROFS":
      return "Mount its disk for writing, or change --persistence-path.";
    default:
      return "Give the user of this process read and write permission on it, or change " +
        "--persistence-path.";
  }
}
