/**
 * `kube-event-pipe import FILE...`: the events of lines that were written before, by this program
 * or by another one, become known to the ring, so that a switch writes none of them again.
 *
 * Order: the lines are made durable, then their keys go into the ring, then the ring is made
 * durable, file by file; only then is anything said. What stops it in between leaves a ring that
 * knows less, which another run makes up for, and never a key whose line is gone. The destination
 * is not touched. As in any ring, the generations made here stay until a complete LIST has shown
 * what of them the API server can still show (lib/refresh.ts).
 */

import { add, type Findings, type OddLine, oddLine } from "./check_lines.ts";
import { CheckpointFile } from "./checkpoint.ts";
import { UsageError } from "./errors.ts";
import { withoutForeignFields } from "./event_fields.ts";
import type { Generation } from "./generation.ts";
import { importText } from "./import_text.ts";
import type { Io } from "./io.ts";
import { FOREIGN_NAMES_MAX } from "./limits.ts";
import { openLineFiles } from "./line_files.ts";
import { LineKeys } from "./line_keys.ts";
import type { Line, LineFile } from "./line_reader.ts";
import { LANES_OF } from "./protocol.ts";
import { generationsBudgeted, Ring, type RingOptions } from "./ring.ts";
import type { Settings } from "./settings.ts";
import { inStateFolder, lockStateFolder } from "./state_folder.ts";
import type { Outcome } from "./status.ts";
import { surely } from "./trouble.ts";

/** What the command line says: of the settings, those of the run that follows. */
export interface ImportOptions extends
  Pick<
    Settings,
    | "persistencePath"
    | "filterCapacity"
    | "filterErrorRate"
    | "batchCount"
    | "batchDurationSec"
    | "identity"
  > {
  /** Files of lines, plain or gzip. */
  files: string[];
  /** Print an {@linkcode ImportReport} as JSON. */
  json: boolean;
}

/** What `import --json` prints. `lines` = `added` + `known` + `notUnderstood.count`. */
export interface ImportReport {
  /** Whether every line was understood. */
  isWell: boolean;
  /** In the order of reading. */
  files: { path: string; isGzip: boolean; bytes: number; lines: number }[];
  lines: number;
  /** Lines of events that the ring did not know. */
  added: number;
  /** Lines of events that the ring knew already, from a line before or from another run. */
  known: number;
  /** Lines of events with fields that no Event has; they are known without them too. */
  reshaped: { count: number; fields: string[] };
  /** Lines that are no events: what they tell may be written again. */
  notUnderstood: Findings<OddLine>;
  /** The ring afterwards. */
  ring: { folder: string; generations: number; keys: number };
}

/**
 * Imports all files.
 *
 * @param pid stands in the lock file meanwhile
 * @throws UsageError where a file is missing, holds more than the ring may take, or is the
 * destination of a run that crashed; StateError where the state is in use or unusable; IoError
 */
export async function importLines(
  io: Io,
  options: ImportOptions,
  pid: number,
): Promise<Outcome> {
  const folder = options.persistencePath;
  const files = openLineFiles(io, options.files, "import");
  const toClose: (() => void)[] = files.map((file) => () => file.release());
  try {
    const lock = await lockStateFolder(io, folder, pid);
    toClose.push(() => lock.close());
    const checkpoints = inStateFolder(folder, () => CheckpointFile.open(io, folder));
    toClose.push(() => checkpoints.release());
    const ring = inStateFolder(folder, () => Ring.open(io, { ...options, folder }));
    toClose.push(() => ring.release());
    const report = await new Import(io, ring, checkpoints, { ...options, folder }).read(files);
    const text = options.json ? JSON.stringify(report) : importText(report);
    return { text, isWell: report.isWell };
  } finally {
    for (const close of toClose.reverse()) close(); // The lock goes after what it is for.
  }
}

class Import {
  readonly #io: Io;
  readonly #ring: Ring;
  readonly #checkpoints: CheckpointFile;
  readonly #options: RingOptions;
  readonly #keys = new LineKeys();
  readonly #lanes: number;
  readonly #before: ReadonlySet<Generation>;
  readonly #report: ImportReport;

  constructor(io: Io, ring: Ring, checkpoints: CheckpointFile, options: RingOptions) {
    this.#io = io;
    this.#ring = ring;
    this.#checkpoints = checkpoints;
    this.#options = options;
    this.#lanes = LANES_OF[options.identity];
    this.#before = new Set(ring.generations);
    this.#report = {
      isWell: true,
      files: [],
      lines: 0,
      added: 0,
      known: 0,
      reshaped: { count: 0, fields: [] },
      notUnderstood: { count: 0, examples: [] },
      ring: { folder: options.folder, generations: 0, keys: 0 },
    };
  }

  async read(files: LineFile[]): Promise<ImportReport> {
    for (const file of files) this.#refuseTail(file);
    const { latest, damaged } = this.#checkpoints;
    // Without a checkpoint, a start would miss the one that belongs to the generations made here.
    const isNew = latest === null && damaged === 0 && this.#ring.generations.length === 0;
    if (isNew) await this.#writeCheckpoint(false);
    // An import, or a run, that was killed may have left pages that the disk does not hold: what is
    // known already must be as durable as what is added.
    inStateFolder(this.#options.folder, () => this.#ring.rewriteAll());
    for (const file of files) await this.#readFile(file);
    if (isNew) await this.#writeCheckpoint(true);
    const report = this.#report;
    report.isWell = report.notUnderstood.count === 0;
    report.ring.generations = this.#ring.generations.length;
    report.ring.keys = this.#ring.keys;
    return report;
  }

  /** Recovery may still cut lines of that file, and a cut line must not be known. */
  #refuseTail({ path, dev, ino }: LineFile): void {
    const last = this.#checkpoints.latest;
    if (last === null || last.clean || last.file?.dev !== dev || last.file.ino !== ino) return;
    throw new UsageError(
      `Cannot import ${
        JSON.stringify(path)
      }: it is the destination of the last run, which did not ` +
        "end by itself. The next start reads it; import it afterwards, or not at all.",
    );
  }

  async #readFile(file: LineFile): Promise<void> {
    const { path, isGzip, size } = file;
    const counts = { path, isGzip, bytes: size, lines: 0 };
    this.#report.files.push(counts);
    // Lines that a power loss can still take must not be known.
    file.syncNow();
    await file.eachLine((line) => {
      counts.lines++;
      this.#take(line, `${path}:${counts.lines}`);
      return true;
    });
    this.#report.lines += counts.lines;
    inStateFolder(this.#options.folder, () => this.#ring.writeDirty());
    await surely("the ring", this.#ring.sync());
  }

  #take(line: Line, place: string): void {
    const { bytes, start, end } = line;
    // A line without its newline may be half of one; whoever appends next may cut it.
    if (line.isUnfinished || this.#keys.read(bytes, start, end) !== "event") {
      add(this.#report.notUnderstood, () => oddLine(line, place));
      return;
    }
    const plain = withoutForeignFields(bytes, this.#keys.event);
    let isNew = this.#add();
    if (plain !== null) {
      this.#noteForeign(plain.foreign);
      if (this.#keys.read(plain.bytes, 0, plain.bytes.length) === "event" && this.#add()) {
        isNew = true;
      }
    }
    if (isNew) this.#report.added++;
    else this.#report.known++;
  }

  #noteForeign(names: string[]): void {
    const { reshaped } = this.#report;
    reshaped.count++;
    for (const name of names) {
      if (reshaped.fields.length === FOREIGN_NAMES_MAX) return;
      if (!reshaped.fields.includes(name)) reshaped.fields.push(name);
    }
  }

  /** Adds the event that was read last; false where the ring knew it. */
  #add(): boolean {
    const { folder } = this.#options;
    if (this.#ring.knows(this.#keys.lanes, 0)) return false;
    if (this.#ring.needsGeneration(true)) {
      this.#refuseTooMany();
      inStateFolder(folder, () => this.#ring.startGeneration());
    }
    this.#ring.add(this.#keys.lanes, this.#lanes);
    return true;
  }

  /** With each generation memory grows, and so does the rate of new events taken for known. */
  #refuseTooMany(): void {
    const { batchCount, filterCapacity, folder } = this.#options;
    const made = new Set(this.#ring.generations.filter((one) => !this.#before.has(one)));
    const most = generationsBudgeted(batchCount);
    if (made.size < most) return;
    inStateFolder(folder, () => this.#ring.drop(made));
    throw new UsageError(
      `Cannot import so much: there are more events than ${most} generations of ` +
        `${filterCapacity} each hold (--filter-capacity). Nothing that the API server has ` +
        "forgotten needs to be imported: name the files of the last hours (an event lives for an " +
        "hour after its last write, where --event-ttl does not say otherwise), or raise " +
        "--filter-capacity here and for the runs after it.",
    );
  }

  async #writeCheckpoint(clean: boolean): Promise<void> {
    inStateFolder(this.#options.folder, () => {
      this.#checkpoints.write({ watches: [], file: null, clean, timeMs: this.#io.nowMs() });
    });
    await surely("the checkpoint", this.#checkpoints.seal());
  }
}
