/**
 * What the lines of a destination and of the files rotated out of it are, taken together: which
 * occurrences stand there more than once, and which lines are none of ours.
 *
 * Of each occurrence 16 bytes are remembered, in a set that needs 24 to 48 bytes a line in all
 * (measured: 43 at 4 million lines, 66 just after it grew); the files are read in pieces. Where a
 * repeated occurrence stood first is not remembered but looked up, in a second reading that only
 * happens where there is one.
 */

import type { Range } from "./event_grammar.ts";
import type { FileReport } from "./file_report.ts";
import { KeySet } from "./key_set.ts";
import { EXAMPLES_MAX, EXCERPT_BYTES } from "./limits.ts";
import { LineKeys } from "./line_keys.ts";
import type { Line, LineFile } from "./line_reader.ts";
import { type IdentityMode, LANES_OF } from "./protocol.ts";

/** Findings: how many, and the first 10. */
export interface Findings<T> {
  count: number;
  examples: T[];
}

/** A line whose occurrence stands in an earlier line too. */
export interface RepeatedLine {
  /** Where it stands: `file:line`, lines counted from 1. */
  place: string;
  /** Where it stood first; null where that file was cut meanwhile. */
  firstPlace: string | null;
  /** `namespace/name` of the event. */
  event: string;
}

/** A line that is no event. */
export interface OddLine {
  /** Where it stands: `file:line`, lines counted from 1. */
  place: string;
  /** Its length without the newline. */
  bytes: number;
  /** Its first 80 bytes as text, U+FFFD for what is none. */
  excerpt: string;
  /** No newline follows: its file ends within it. */
  isUnfinished: boolean;
}

/** One of the files. */
export interface FileLines {
  path: string;
  isGzip: boolean;
  /** On disk, when it was opened. */
  bytes: number;
  lines: number;
  /** Lines behind the checkpoint's offset; null where it is not the checkpoint's file. */
  linesBehind: number | null;
}

/** What the lines are. `lines` = `occurrences` + all counts of findings. */
export interface LinesReport {
  /** What two lines must share to be the same occurrence. */
  identity: IdentityMode;
  /** In the order of reading. */
  files: FileLines[];
  lines: number;
  /** Distinct occurrences. */
  occurrences: number;
  repeated: Findings<RepeatedLine>;
  /** No JSON objects, or without a newline at the end. */
  torn: Findings<OddLine>;
  /** JSON objects that are no events. */
  other: Findings<OddLine>;
}

/**
 * Reads all files, in this order.
 *
 * @param checkpointFile what became of the file that the checkpoint names
 * @throws IoError where one cannot be read
 */
export async function reportLines(
  files: LineFile[],
  identity: IdentityMode,
  checkpointFile: FileReport | null,
): Promise<LinesReport> {
  const tally = new Tally(identity);
  for (const file of files) {
    const found = checkpointFile?.found;
    const isCheckpointFile = found?.dev === file.dev && found.ino === file.ino;
    await tally.read(file, isCheckpointFile ? checkpointFile!.offset : null);
  }
  await tally.findFirstPlaces(files);
  return tally.report;
}

class Tally {
  readonly report: LinesReport;
  readonly #keys = new LineKeys();
  readonly #known = new KeySet();
  readonly #lanes: number;
  /** The keys of the repeated lines that are shown. */
  readonly #repeated: { key: Uint32Array; line: RepeatedLine }[] = [];

  constructor(identity: IdentityMode) {
    this.#lanes = LANES_OF[identity];
    this.report = {
      identity,
      files: [],
      lines: 0,
      occurrences: 0,
      repeated: { count: 0, examples: [] },
      torn: { count: 0, examples: [] },
      other: { count: 0, examples: [] },
    };
  }

  /** @param offset the checkpoint's, where this is its file */
  async read(file: LineFile, offset: number | null): Promise<void> {
    const { path, isGzip, size } = file;
    const counts: FileLines = { path, isGzip, bytes: size, lines: 0, linesBehind: null };
    if (offset !== null) counts.linesBehind = 0;
    this.report.files.push(counts);
    await file.eachLine((line) => {
      counts.lines++;
      if (offset !== null && line.offset >= offset) counts.linesBehind!++;
      this.#take(line, `${path}:${counts.lines}`);
      return true;
    });
    this.report.lines += counts.lines;
  }

  /** Reads again, until each repeated line that is shown has its first place. */
  async findFirstPlaces(files: LineFile[]): Promise<void> {
    let missing = this.#repeated;
    for (const file of files) {
      if (missing.length === 0) return;
      let number = 0;
      await file.eachLine((line) => {
        number++;
        if (this.#read(line) !== "event") return true;
        const found = missing.filter(({ key }) =>
          key.every((lane, index) => lane === this.#keys.lanes[this.#lanes + index])
        );
        for (const { line } of found) line.firstPlace = `${file.path}:${number}`;
        if (found.length > 0) missing = missing.filter((one) => !found.includes(one));
        return missing.length > 0;
      });
    }
  }

  #take(line: Line, place: string): void {
    const { report } = this;
    const kind = this.#read(line);
    if (kind === "broken") {
      add(report.torn, () => oddLine(line, place));
    } else if (kind === "other") {
      add(report.other, () => oddLine(line, place));
    } else if (this.#known.add(this.#keys.lanes, this.#lanes)) {
      report.occurrences++;
    } else {
      add(report.repeated, () => {
        const repeated = { place, firstPlace: null, event: eventOf(line.bytes, this.#keys.event) };
        const key = this.#keys.lanes.slice(this.#lanes, this.#lanes + 4);
        this.#repeated.push({ key, line: repeated });
        return repeated;
      });
    }
  }

  #read(line: Line): "event" | "other" | "broken" {
    // A whole object without its newline is not a whole line yet.
    return line.isUnfinished ? "broken" : this.#keys.read(line.bytes, line.start, line.end);
  }
}

/** Counts a finding, and keeps it where it is one of the first. */
export function add<T>(findings: Findings<T>, example: () => T): void {
  if (findings.count++ < EXAMPLES_MAX) findings.examples.push(example());
}

/** A line as it is shown. */
export function oddLine(line: Line, place: string): OddLine {
  const { bytes, start, end, length, isUnfinished } = line;
  const excerpt = textOf(bytes, start, Math.min(end, start + EXCERPT_BYTES));
  return { place, bytes: length, excerpt, isUnfinished };
}

/** Namespace and name of an event. */
function eventOf(bytes: Uint8Array, { start, end }: Range): string {
  const { metadata } = JSON.parse(textOf(bytes, start, end)) as {
    metadata: { namespace?: unknown; name?: unknown };
  };
  return `${metadata.namespace}/${metadata.name}`;
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return new TextDecoder().decode(bytes.subarray(start, end));
}
