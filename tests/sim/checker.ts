/**
 * Whether the promise was kept. It knows what the API server held, when something was handed to
 * the program, what was done to the files from outside, and what is in them at the end.
 */

import type { Line } from "./history.ts";

/** A dealt line counts as durable after this long without trouble, ms of the false clock. */
export const SETTLED_MS = 4000;

/** Everything that the checker may look at. */
export interface Evidence {
  /** All lines that could be written. */
  lines: ReadonlyMap<string, Line>;
  /** What the API server shows at the end. */
  shownAtEnd: Line[];
  /** This occurrence and those after it were all there to be read, whatever crashed. */
  firstWatched: number;
  /** The newest that the API server got; those after it nobody could read. */
  lastOccurrence: number;
  /** Occurrences that were handed over, and no crash or trouble came for SETTLED_MS. */
  settled: ReadonlySet<number>;
  /** Occurrences that stood in a file when somebody deleted it. */
  deleted: ReadonlySet<number>;
  /** Contents of all destinations, by path. */
  files: ReadonlyMap<string, string>;
}

/** What is wrong; empty where all is well. */
export function check(evidence: Evidence): string[] {
  const wrong: string[] = [];
  const written = new Map<number, string>();
  for (const [path, text] of evidence.files) {
    if (text !== "" && !text.endsWith("\n")) wrong.push(`torn: ${path} ends in no newline`);
    for (const [index, one] of text.split("\n").entries()) {
      if (one === "") continue;
      const line = evidence.lines.get(one);
      const place = `${path}:${index + 1}`;
      if (line === undefined) wrong.push(`torn: ${place} is ${JSON.stringify(one.slice(0, 200))}`);
      else if (written.has(line.occurrence)) {
        wrong.push(`repeated: ${line.occurrence} at ${written.get(line.occurrence)} and ${place}`);
      } else written.set(line.occurrence, place);
    }
  }
  const wanted = new Set(evidence.shownAtEnd.map(({ occurrence }) => occurrence));
  for (const occurrence of evidence.settled) wanted.add(occurrence);
  for (const { occurrence } of evidence.lines.values()) {
    if (occurrence < evidence.firstWatched || occurrence > evidence.lastOccurrence) continue;
    wanted.add(occurrence);
  }
  for (const occurrence of wanted) {
    if (!written.has(occurrence) && !evidence.deleted.has(occurrence)) {
      wrong.push(`lost: ${occurrence}`);
    }
  }
  return wrong;
}
