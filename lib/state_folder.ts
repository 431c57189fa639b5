/**
 * The state folder (--persistence-path): that it can be used, and that nobody else uses it.
 *
 * It holds `lock`, `checkpoint`, the `.bloom` files of the ring, and while a repair runs `redo`.
 */

import { codeOf, messageOf, StateError, UsageError } from "./errors.ts";
import type { Io, IoFile } from "./io.ts";
import { log } from "./log.ts";
import { folderOf, nameOf, pathIn } from "./paths.ts";

/** Names that it holds, also those that they have while they are made or once they are damaged. */
const STATE_NAME = /^lock$|(^checkpoint|^redo|^removed-\d+\.lines|\.bloom)(\.new|\.damaged)?$/;

/**
 * Refuses a destination that is one of the state's own files: lines would go among what they must
 * not destroy, and after a rotation the checkpoint would be gone.
 *
 * @throws UsageError where it is; StateError where the folder cannot be looked at
 */
export function refuseStateFile(io: Io, folder: string, destination: string): void {
  if (destination === "-" || !STATE_NAME.test(nameOf(destination))) return;
  const [state, other] = inStateFolder(
    folder,
    () => [io.stat(folder), io.stat(folderOf(destination))],
  );
  if (!state || !other || state.dev !== other.dev || state.ino !== other.ino) return;
  throw new UsageError(
    `The destination ${JSON.stringify(destination)} bears a name of the state's own files in ` +
      `${JSON.stringify(folder)}. Give it another name, or another folder: --destination.`,
  );
}

/**
 * Takes the lock of a state folder. It is held until the file is closed or the process ends,
 * however that comes.
 *
 * @param pid is written into the lock file, for the message of a second instance
 * @throws UsageError where the folder is missing; StateError where it cannot be written or where
 * another process holds it
 */
export async function lockStateFolder(io: Io, folder: string, pid: number): Promise<IoFile> {
  const lock = openLock(io, folder);
  try {
    if (!await lock.lock()) {
      throw new StateError(
        `The persistence path ${JSON.stringify(folder)} is in use by ${
          holderOf(io, folder)
        }. Two ` +
          "instances cannot share one state: stop that one, or give this one another " +
          "--persistence-path and --destination.",
      );
    }
    return signed(lock, pid);
  } catch (error) {
    lock.close();
    throw error instanceof StateError ? error : cannotWrite(JSON.stringify(folder), error);
  }
}

/**
 * The same for a standby: where another process holds the lock, that is said, and its end is
 * waited for. Nothing in the folder is read or written meanwhile but the other one's process id.
 *
 * @param onWait called when it is
 * @returns the lock, and whether it was waited for
 */
export async function awaitStateFolder(
  io: Io,
  folder: string,
  pid: number,
  onWait: () => void,
): Promise<{ lock: IoFile; hasWaited: boolean }> {
  for (let hasWaited = false;;) {
    const lock = openLock(io, folder);
    try {
      if (!await lock.lock()) {
        if (!hasWaited) {
          log.info(
            `Standby: the persistence path ${JSON.stringify(folder)} is in use by ` +
              `${holderOf(io, folder)}. Waiting for its end.`,
          );
          onWait();
        }
        hasWaited = true;
        await lock.waitForLock();
      }
      // Who made the folder anew meanwhile has another lock.
      const now = io.stat(lockPath(folder));
      const { dev, ino } = lock.stat();
      if (now?.dev === dev && now.ino === ino) return { lock: signed(lock, pid), hasWaited };
      lock.close();
    } catch (error) {
      lock.close();
      throw cannotWrite(JSON.stringify(folder), error);
    }
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

function lockPath(folder: string): string {
  return pathIn(folder, "lock");
}

/** Opens the lock file, or makes it. */
function openLock(io: Io, folder: string): IoFile {
  const quoted = JSON.stringify(folder);
  const kind = kindOf(io, folder);
  if (kind !== "directory") {
    throw new UsageError(
      `The persistence path ${quoted} ${kind === null ? "does not exist" : "is no directory"}. ` +
        "Make the folder, or change --persistence-path (KUBE_EVENT_PIPE_PERSISTENCE_PATH).",
    );
  }
  try {
    return io.open(lockPath(folder), { mode: "write", create: 0o600 });
  } catch (error) {
    throw cannotWrite(quoted, error);
  }
}

/** Puts our process id into a lock that is ours. */
function signed(lock: IoFile, pid: number): IoFile {
  lock.truncate(0);
  lock.writeAt(new TextEncoder().encode(`${pid}\n`), 0);
  return lock;
}

/** Who holds the lock, for a message. */
function holderOf(io: Io, folder: string): string {
  const text = new Uint8Array(32);
  // By a handle of its own: that of the lock may still be busy with the wait for it.
  const file = io.open(lockPath(folder), { mode: "read" });
  try {
    const pid = new TextDecoder().decode(text.subarray(0, file.readAt(text, 0))).trim();
    return /^\d+$/.test(pid) ? `process ${pid}` : "another process";
  } finally {
    file.close();
  }
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
