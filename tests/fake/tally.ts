/**
 * Counts what a destination holds against what it should hold: the judgement of the demo and of
 * every test, whichever API server the events came from.
 */
import { contentOf } from "./content.ts";

/** What {@linkcode tally} found. Nothing wrong = the three lists empty and `torn` 0. */
export interface Tally {
  /** Distinct occurrences that were expected. */
  occurrences: number;
  /** Lines read, torn ones included. */
  lines: number;
  /** Contents that no line bears. */
  lost: string[];
  /** Contents that a further line bears, once for each line too many. */
  repeated: string[];
  /** Contents that were never stored. */
  unexpected: string[];
  /** Lines that are no JSON object. */
  torn: number;
}

/**
 * Compares lines (without their newline) with the contents expected, as
 * {@linkcode contentOf} writes them; equal expected contents count once.
 */
export function tally(lines: Iterable<string>, expected: Iterable<string>): Tally {
  const wanted = new Set(expected);
  const met = new Set<string>();
  const result: Tally = {
    occurrences: wanted.size,
    lines: 0,
    lost: [],
    repeated: [],
    unexpected: [],
    torn: 0,
  };
  for (const line of lines) {
    result.lines++;
    const content = contentOfLine(line);
    if (content === null) result.torn++;
    else if (!wanted.has(content)) result.unexpected.push(content);
    else if (met.has(content)) result.repeated.push(content);
    else met.add(content);
  }
  for (const content of wanted) {
    if (!met.has(content)) result.lost.push(content);
  }
  return result;
}

/**
 * The lines of destinations' files, given whole. A last line without its newline is torn, however
 * complete it looks: it is handed on as a text that no JSON parser takes.
 */
export function* linesOf(...files: string[]): Generator<string> {
  for (const text of files) {
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      yield text.slice(start, end);
      start = end + 1;
    }
    if (start < text.length) yield `no newline after: ${text.slice(start)}`;
  }
}

/** The demo's last line, e.g. `5,000 occurrences written, 5,000 lines, 0 lost, 0 repeated`. */
export function tallyText(result: Tally): string {
  const number = (value: number) => value.toLocaleString("en-US");
  const parts = [
    `${number(result.occurrences)} occurrences written`,
    `${number(result.lines)} lines`,
    `${number(result.lost.length)} lost`,
    `${number(result.repeated.length)} repeated`,
  ];
  if (result.unexpected.length > 0) parts.push(`${number(result.unexpected.length)} unexpected`);
  if (result.torn > 0) parts.push(`${number(result.torn)} torn`);
  return parts.join(", ");
}

/** Whether every occurrence has exactly one whole line and there is no other line. */
export function isExact(result: Tally): boolean {
  return result.lost.length + result.repeated.length + result.unexpected.length + result.torn === 0;
}

function contentOfLine(line: string): string | null {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return contentOf(value);
  } catch {
    return null;
  }
}
