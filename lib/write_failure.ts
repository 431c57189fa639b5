/** The kinds of failures of a write to the destination, for counting. */

import { codeOf } from "./errors.ts";

/** Every kind. What does not pass by itself ends the process, and is no kind. */
export const WRITE_FAILURES = ["no_space", "read_only", "full", "no_reader", "other"] as const;

/** A kind of failure. */
export type WriteFailure = typeof WRITE_FAILURES[number];

const KINDS: Readonly<Record<string, WriteFailure>> = {
  ENOSPC: "no_space",
  EDQUOT: "no_space",
  EROFS: "read_only",
  EAGAIN: "full",
  // A FIFO that nobody reads, or that is gone.
  ENXIO: "no_reader",
  EPIPE: "no_reader",
  ENOENT: "no_reader",
};

/** The kind that an error of the operating system is of. */
export function writeFailureOf(error: unknown): WriteFailure {
  return KINDS[codeOf(error) ?? ""] ?? "other";
}

/** A count for each kind, at 0. */
export function noFailures(): Record<WriteFailure, number> {
  return { no_space: 0, read_only: 0, full: 0, no_reader: 0, other: 0 };
}
