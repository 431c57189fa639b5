/**
 * The wait of a standby (--standby): a second instance on the same state takes over when the first
 * one ends, however that comes.
 *
 * What is waited for are locks of the kernel, in flock(2) on another thread: it costs no CPU and
 * ends at once. Meanwhile nothing is read, written or asked of the API server, and a stop signal
 * ends the process as it stands.
 */

import { destinationKind } from "./destination.ts";
import type { Io, IoFile } from "./io.ts";
import { log } from "./log.ts";
import { openToRead } from "./read_only.ts";
import type { Settings } from "./settings.ts";
import { awaitStateFolder } from "./state_folder.ts";

/**
 * Waits until nobody else has the state folder and the destination.
 *
 * @param onWait called once it is known that the state folder has to be waited for
 * @returns the lock of the state folder, and whether anything was waited for
 * @throws UsageError, StateError, IoError as a start without the wait
 */
export async function waitForTurn(
  io: Io,
  { persistencePath, destination }: Pick<Settings, "persistencePath" | "destination">,
  pid: number,
  onWait: () => void,
): Promise<{ lock: IoFile; hasWaited: boolean }> {
  const { lock, hasWaited } = await awaitStateFolder(io, persistencePath, pid, onWait);
  const hasWaitedForFile = await waitForFile(io, destination);
  if (hasWaited || hasWaitedForFile) log.info("Standby: taking over.");
  return { lock, hasWaited: hasWaited || hasWaitedForFile };
}

/**
 * Waits until nobody appends to the destination: an instance with another state, or the one that
 * has just died and not closed all of its files. The start takes the lock itself.
 *
 * @returns whether it waited
 */
async function waitForFile(io: Io, path: string): Promise<boolean> {
  if (path === "-") return false;
  for (let hasWaited = false;;) {
    if (destinationKind(io, path) !== "file") return hasWaited;
    const file = openToRead(io, path, "the destination");
    if (file === null) return hasWaited;
    try {
      if (await file.lock()) return hasWaited;
      if (!hasWaited) {
        log.info(
          `Standby: another process appends to ${JSON.stringify(path)}. Waiting for its end.`,
        );
      }
      hasWaited = true;
      await file.waitForLock();
    } finally {
      file.close(); // The path may lead to another file by now, so it is looked at again.
    }
  }
}
