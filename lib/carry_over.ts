/** What a deleted destination file held alone goes to the file that takes its place. */

import { type Destination, fileOf } from "./destination.ts";
import type { FileDestination } from "./file_destination.ts";
import type { Io } from "./io.ts";
import { log } from "./log.ts";
import { Trouble } from "./trouble.ts";

/**
 * Appends the lines of a file without a name to another: those from `from` on, which no sync saw
 * while the file had a name. Their keys are still pending. The old file is closed before, since its
 * blocks may be what fills the disk.
 *
 * @throws Abandoned, IoError: then these lines are in no file
 */
export async function carryOver(
  io: Io,
  old: FileDestination,
  from: number,
  next: Destination,
  abandon: AbortSignal,
): Promise<void> {
  const file = fileOf(next);
  if (file === null) return;
  const bytes = old.read(from, old.offset);
  old.release();
  const trouble = new Trouble(io, `append to ${file.path}`);
  for (let done = 0; done < bytes.length;) {
    const { kept, error } = file.append(bytes.subarray(done));
    done += kept;
    if (error !== null) await trouble.wait(error, abandon);
  }
  trouble.over();
  log.info(`Wrote ${bytes.length} bytes again that stood only in the deleted ${old.path}.`);
}
