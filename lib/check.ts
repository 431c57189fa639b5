/**
 * `kube-event-pipe check`: whether the promise holds on this disk. Reads the destination, the files
 * rotated out of it and the state folder; takes no lock and writes nothing, so it works beside a
 * running instance.
 */

import { type LinesReport, reportLines } from "./check_lines.ts";
import { checkText } from "./check_text.ts";
import type { Io } from "./io.ts";
import { openLineFiles, statOf } from "./line_files.ts";
import type { IdentityMode } from "./protocol.ts";
import { readState, type StateReport } from "./state_report.ts";
import { shownCount } from "./state_text.ts";
import type { Outcome } from "./status.ts";

/** What the command line says. */
export interface CheckOptions {
  /** As for a run; null where it was not given: the file that the checkpoint names. */
  destination: string | null;
  /** The state folder. */
  persistencePath: string;
  /** By what two lines are the same occurrence. */
  identity: IdentityMode;
  /** Files rotated out of the destination, plain or gzip. */
  files: string[];
  /** Print a {@linkcode CheckReport} as JSON. */
  json: boolean;
}

/** What `check --json` prints. */
export interface CheckReport {
  /** Whether `problems` is empty. */
  isWell: boolean;
  /** Repeated and torn lines, and those of the state, each as a phrase for people. */
  problems: string[];
  destination: {
    /** The file that was read; null where there is none. */
    path: string | null;
    /** Why nothing was read of it, for people; null where it was read. */
    unread: string | null;
    /** Whether the file that was read is the one of the checkpoint. */
    isCheckpointFile: boolean;
  };
  lines: LinesReport;
  state: StateReport;
}

/**
 * Checks all of it.
 *
 * @throws UsageError where a file that was named is missing; IoError where one cannot be read; as
 * {@linkcode readState}
 */
export async function check(io: Io, options: CheckOptions): Promise<Outcome> {
  // Before the destination: its size is then at least the checkpoint's offset.
  const state = await readState(io, options.persistencePath);
  const destination = destinationOf(io, options.destination, state);
  const paths = [...options.files, ...(destination.path === null ? [] : [destination.path])];
  const files = openLineFiles(io, paths, "check");
  try {
    const checkpointFile = state.checkpoint?.file ?? null;
    const lines = await reportLines(files, options.identity, checkpointFile);
    const problems = [...problemsOf(lines), ...state.problems];
    const isWell = problems.length === 0;
    const report: CheckReport = { isWell, problems, destination, lines, state };
    return { text: options.json ? JSON.stringify(report) : checkText(report), isWell };
  } finally {
    for (const file of files) file.release();
  }
}

function problemsOf({ repeated, torn }: LinesReport): string[] {
  return [
    ...(repeated.count > 0 ? [`${shownCount(repeated.count)} repeated occurrence(s)`] : []),
    ...(torn.count > 0 ? [`${shownCount(torn.count)} torn line(s)`] : []),
  ];
}

function destinationOf(
  io: Io,
  given: string | null,
  state: StateReport,
): CheckReport["destination"] {
  const unread = (why: string) => ({ path: null, unread: why, isCheckpointFile: false });
  if (given === "-") return unread("standard output cannot be read back");
  const file = state.checkpoint?.file ?? null;
  const path = given ?? file?.found?.path ?? file?.path;
  if (path === undefined) {
    return unread("no --destination was given, and no checkpoint names a file");
  }
  const stat = statOf(io, path);
  if (stat?.kind === "fifo") return unread(`the FIFO ${path} cannot be read back`);
  if (stat === null && given === null) {
    return unread(`${path}, which the checkpoint names, is not there`);
  }
  const found = file?.found;
  return {
    path,
    unread: null,
    isCheckpointFile: found?.dev === stat?.dev && found?.ino === stat?.ino,
  };
}
