/**
 * What a failed sync leaves behind: pages that the kernel shows and the disk does not hold.
 *
 * To write them again in place is not enough. ext4 keeps blocks whose first writing failed as
 * mapped but unwritten: the pages are then synced with success, and read as zeros once they have
 * left memory. Cut off and written again, they are new pages, which get new blocks.
 */

import type { IoFile } from "./io.ts";

/**
 * Cuts off the end of a file and writes it again, so that a later sync can make it durable.
 *
 * @param write one write to the file at an offset, which is its end; returns the bytes written
 * @throws the operating system's error; what is missing then is an end like that of a power loss
 */
export function writeAnew(
  file: IoFile,
  from: number,
  write: (bytes: Uint8Array, offset: number) => number,
): void {
  const { size } = file.stat();
  if (size <= from) return;
  const bytes = new Uint8Array(size - from);
  const read = file.readAt(bytes, from);
  file.truncate(from);
  for (let done = 0; done < read;) done += write(bytes.subarray(done, read), from + done);
}
