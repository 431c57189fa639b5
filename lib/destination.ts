/** Which kind of destination a path is, and its opening. */

import { IoError, messageOf, UsageError } from "./errors.ts";
import { FileDestination } from "./file_destination.ts";
import type { FileStat, Io } from "./io.ts";
import { FifoDestination, StdoutDestination } from "./pipe_destination.ts";
import { Trouble } from "./trouble.ts";

/** Where lines go. */
export type Destination = FileDestination | FifoDestination | StdoutDestination;

/**
 * Opens a destination: `-` is standard output, a FIFO is opened when its first line comes, anything
 * else is a regular file, made where it is not there.
 *
 * @throws UsageError, StateError, IoError as {@linkcode FileDestination.open}
 */
export async function openDestination(io: Io, path: string): Promise<Destination> {
  if (path === "-") return new StdoutDestination(io);
  const kind = destinationKind(io, path);
  if (kind === "fifo") return new FifoDestination(io, path);
  if (kind === "other") {
    throw new UsageError(
      `Cannot use the destination ${JSON.stringify(path)}: it is a device or a socket. Name a ` +
        "regular file, a FIFO, or - for standard output.",
    );
  }
  return await FileDestination.open(io, path);
}

/** What the path of a destination leads to; undefined = nothing. @throws IoError */
export function destinationKind(io: Io, path: string): FileStat["kind"] | undefined {
  try {
    return io.stat(path)?.kind;
  } catch (error) {
    throw new IoError(`Cannot open the destination ${JSON.stringify(path)}: ${messageOf(error)}`);
  }
}

/** The regular file, where the destination is one. */
export function fileOf(destination: Destination): FileDestination | null {
  return destination.kind === "file" ? destination : null;
}

/** Bytes of whole lines in the regular file; 0 for a pipe. */
export function offsetOf(destination: Destination): number {
  return fileOf(destination)?.offset ?? 0;
}

/**
 * Opens the path of a destination anew. Where that cannot be done now it may be soon: the operator
 * is at work on it.
 *
 * @param open opens the destination as its path is now
 * @returns the old one where the path leads to its file again
 * @throws Abandoned
 */
export async function reopenDestination(
  io: Io,
  old: Destination,
  open: () => Promise<Destination>,
  abandon: AbortSignal,
): Promise<Destination> {
  const trouble = new Trouble(io, `reopen ${old.path}`);
  const file = fileOf(old);
  for (;;) {
    try {
      if (file !== null && !file.unlinked() && file.pathState() === "same") return old;
      return await open();
    } catch (error) {
      await trouble.pause(error, abandon);
    }
  }
}
