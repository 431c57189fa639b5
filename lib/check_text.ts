/** What `check` found, as text for people. Pure. */

import type { CheckReport } from "./check.ts";
import type { FileLines, Findings, LinesReport, OddLine } from "./check_lines.ts";
import { escapeControls } from "./log.ts";
import { shownCount, stateLines } from "./state_text.ts";

/** The report for people; its last line is the verdict. */
export function checkText(report: CheckReport): string {
  const { lines, state } = report;
  const { repeated, torn, other } = lines;
  const body = [
    ...destinationLines(report),
    `Lines of ${lines.files.length} file(s): ${countsText(lines)}`,
    ...lines.files.map(fileLine),
    ...findingLines("Repeated occurrences", repeated, ({ place, firstPlace, event }) => {
      return `${place} repeats ${firstPlace ?? "a line that is gone"}: ${event}`;
    }),
    ...findingLines("Torn or invalid lines", torn, oddText),
    ...findingLines("JSON objects that are no events", other, oddText),
  ];
  return [...stateLines(state), ...body.map(escapeControls), verdict(report)].join("\n");
}

function destinationLines({ destination, state }: CheckReport): string[] {
  const { path, unread, isCheckpointFile } = destination;
  if (unread !== null) return [`Destination not read: ${unread}`];
  const isExpected = isCheckpointFile || !state.checkpoint?.file;
  return isExpected ? [] : [`${path} is not the file that the checkpoint names`];
}

function countsText({ lines, occurrences, repeated, torn, other }: LinesReport): string {
  return `${shownCount(lines)} line(s), ${shownCount(occurrences)} occurrence(s), ` +
    `${shownCount(repeated.count)} repeated, ${shownCount(torn.count)} torn or invalid, ` +
    `${shownCount(other.count)} other object(s)`;
}

function fileLine({ path, isGzip, bytes, lines, linesBehind }: FileLines): string {
  return `  ${path}: ${shownCount(lines)} line(s), ${shownCount(bytes)} bytes` +
    (isGzip ? " of gzip" : "") +
    (linesBehind === null
      ? ""
      : `; the checkpoint's file, ${shownCount(linesBehind)} line(s) behind its offset`);
}

/** A title with the count, and a line for each example; nothing where there is none. */
export function findingLines<T>(
  title: string,
  { count, examples }: Findings<T>,
  text: (finding: T) => string,
): string[] {
  if (count === 0) return [];
  const which = count > examples.length ? `, the first ${examples.length} of them` : "";
  return [`${title}: ${shownCount(count)}${which}`, ...examples.map((one) => `  ${text(one)}`)];
}

/** Place, length and beginning of a line. */
export function oddText({ place, bytes, excerpt, isUnfinished }: OddLine): string {
  return `${place}: ${isUnfinished ? "unfinished last line of " : ""}${shownCount(bytes)} ` +
    `byte(s): ${excerpt}`;
}

function verdict({ isWell, problems, lines, state }: CheckReport): string {
  if (!isWell) return `NOT WELL: ${problems.join(", ")}`;
  return `All is well: ${shownCount(lines.lines)} line(s), ${shownCount(lines.occurrences)} ` +
    `occurrence(s), none repeated, none torn; ${state.generations.length} generation(s), no damage.`;
}
