/**
 * What a failed sync leaves behind: pages that the kernel shows and the disk does not hold.
 *
 * To write them again in place is not enough. ext4 keeps blocks whose first writing failed as
 * mapped but unwritten: the pages are then synced with success, and read as zeros once they have
 * left memory. Cut off and written again, they are new pages, which get new blocks.
 */

import { messageOf } from "./errors.ts";
import type { IoFile } from "./io.ts";
import { log } from "./log.ts";

/**
 * After a failed sync: cuts off the end of a file and writes it again, so that the sync of the next
 * start can make it durable. Where that fails, it is said, and what is missing then is an end like
 * that of a power loss; so it is for lines alone that the ring does not know. For others there is
 * the redo file.
 *
 * @param append appends to the file; returns the bytes written
 */
export function writeAnew(
  file: IoFile,
  path: string,
  from: number,
  append: (bytes: Uint8Array) => number,
): void {
  try {
    const size = file.size();
    if (size <= from) return;
    const bytes = new Uint8Array(size - from);
    const read = file.readAt(bytes, from);
    file.truncate(from);
    for (let done = 0; done < read;) done += append(bytes.subarray(done, read));
  } catch (error) {
    log.warning(`Cannot write the unsynced end of ${path} again: ${messageOf(error)}.`);
  }
}
