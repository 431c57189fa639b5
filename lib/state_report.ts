/**
 * All that the files of a state folder tell, in one plain object: read without the lock and
 * without a write, so also beside a running instance. How it reads for people is
 * lib/state_text.ts.
 */

import { type Checkpoint, readSlots } from "./checkpoint.ts";
import { messageOf, StateError, UsageError } from "./errors.ts";
import { type FileReport, reportFile } from "./file_report.ts";
import { type GenerationReport, readGeneration } from "./generation_report.ts";
import type { Io } from "./io.ts";
import { pathIn } from "./paths.ts";
import { readFrom } from "./read_only.ts";
import { lookAgain } from "./second_look.ts";

/** The last checkpoint. Its `watches` and `clean` are those of lib/checkpoint.ts. */
export interface CheckpointReport extends Pick<Checkpoint, "watches" | "clean" | "timeMs"> {
  /** Since it was written, ms; below 0 where the clock was set back. */
  ageMs: number;
  /** The regular file that lines go to; null where they go to standard output or a FIFO. */
  file: FileReport | null;
}

/** What `status --json` prints, and `check --json` as its field `state`. */
export interface StateReport {
  /** Whether `problems` is empty. */
  isWell: boolean;
  /** Damage, each as a phrase for people. That a run did not end cleanly is none. */
  problems: string[];
  /** The state folder, as it was given. */
  folder: string;
  /** When this was read, wall clock, ms since 1970. */
  timeMs: number;
  /** The process id in the lock file: of the last run, which may be going on. Null = none yet. */
  lastProcess: number | null;
  /** Null where there is none, or none that is valid. */
  checkpoint: CheckpointReport | null;
  /** Slots of the checkpoint file, of two, that were written once and are not valid now. */
  damagedSlots: number;
  /** The ring, oldest first. */
  generations: GenerationReport[];
  /** Keys in all generations. */
  keys: number;
  /** The chance, now, that the ring takes a new event for a known one: the sum of its parts. */
  expectedFalsePositives: number;
  /** The same when every generation is full. */
  allowedFalsePositives: number;
  /** `.bloom` files of this program without a valid header. */
  damagedFiles: string[];
  /** `.bloom` files that this program did not write; it leaves them alone. */
  foreignFiles: string[];
  /** `….damaged` files, a generation or a redo: set aside by an earlier start. */
  setAsideFiles: string[];
  /** `removed-….lines` files: what earlier starts took out of the destination. */
  removedLinesFiles: string[];
  /** Bytes of the `redo` file: a repair of the destination that the next start finishes. */
  redoBytes: number | null;
}

/**
 * Reads a state folder.
 *
 * @throws UsageError where the folder is missing; StateError where it holds no state, cannot be
 * listed, or where a newer release wrote it; IoError where a file cannot be read
 */
export async function readState(io: Io, folder: string): Promise<StateReport> {
  const names = namesIn(io, folder);
  const lastProcess = await readLock(io, folder);
  const { checkpoint, damagedSlots } = await readCheckpoint(io, folder);
  const bloomNames = names.filter((name) => name.endsWith(".bloom"));
  const { generations, damagedFiles, foreignFiles } = await readRing(io, folder, bloomNames);
  const report: Omit<StateReport, "isWell" | "problems"> = {
    folder,
    timeMs: io.nowMs(),
    lastProcess,
    checkpoint,
    damagedSlots,
    generations,
    keys: sum(generations, ({ keys }) => keys),
    expectedFalsePositives: sum(generations, (one) => one.expectedFalsePositives),
    allowedFalsePositives: sum(generations, (one) => one.allowedFalsePositives),
    damagedFiles,
    foreignFiles,
    setAsideFiles: names.filter((name) => name.endsWith(".damaged")),
    removedLinesFiles: names.filter((name) => /^removed-\d+\.lines$/.test(name)),
    redoBytes: names.includes("redo") ? io.stat(pathIn(folder, "redo"))?.size ?? null : null,
  };
  const problems = problemsOf(report);
  return { isWell: problems.length === 0, problems, ...report };
}

/** What is wrong, each as a phrase. */
function problemsOf(report: Omit<StateReport, "isWell" | "problems">): string[] {
  const { checkpoint, damagedSlots, generations, damagedFiles } = report;
  const problems: string[] = [];
  const count = (number: number, what: string) => {
    if (number > 0) problems.push(`${number.toLocaleString("en-US")} ${what}`);
  };
  count(damagedSlots, "damaged checkpoint slot(s)");
  if (checkpoint === null && damagedSlots === 0 && generations.length > 0) {
    problems.push("no checkpoint beside the generations");
  }
  const file = checkpoint?.file ?? null;
  // After a clean stop whoever owns the file may do with it what they like: nothing is behind it.
  const isLost = file !== null && (file.state === "missing" || file.state === "changed");
  if (isLost && !checkpoint!.clean) problems.push("the checkpoint's destination not found");
  count(sum(generations, (one) => one.damagedSectors), "damaged sector(s)");
  count(sum(generations, (one) => one.damagedHead), "damaged header place(s)");
  count(sum(generations, (one) => one.cutShort ? 1 : 0), "generation(s) cut short");
  count(damagedFiles.length, ".bloom file(s) without a valid header");
  return problems;
}

function sum(
  generations: GenerationReport[],
  value: (one: GenerationReport) => number,
): number {
  return generations.reduce((total, one) => total + value(one), 0);
}

/** Names of the files in the folder; refuses one that no run of ours ever used. */
function namesIn(io: Io, folder: string): string[] {
  const quoted = JSON.stringify(folder);
  const remedy = "Name the folder of the state with --persistence-path " +
    "(KUBE_EVENT_PIPE_PERSISTENCE_PATH).";
  let names: string[];
  try {
    const kind = io.stat(folder)?.kind;
    if (kind !== "directory") {
      const fault = kind === undefined ? "does not exist" : "is no directory";
      throw new UsageError(`The persistence path ${quoted} ${fault}. ${remedy}`);
    }
    names = io.list(folder).sort();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new StateError(
      `The persistence path ${quoted} cannot be read: ${messageOf(error)}. Run this as the user ` +
        "of the program that writes it, or as root.",
    );
  }
  const isState = (name: string) => name === "lock" || name === "checkpoint";
  if (!names.some((name) => isState(name) || name.endsWith(".bloom"))) {
    throw new StateError(`The persistence path ${quoted} holds no state. ${remedy}`);
  }
  return names;
}

async function readLock(io: Io, folder: string): Promise<number | null> {
  const text = await readFrom(io, pathIn(folder, "lock"), "the state file", (file) => {
    const bytes = new Uint8Array(32);
    return new TextDecoder().decode(bytes.subarray(0, file.readAt(bytes, 0))).trim();
  });
  return text !== null && /^\d+$/.test(text) ? Number(text) : null;
}

async function readCheckpoint(
  io: Io,
  folder: string,
): Promise<{ checkpoint: CheckpointReport | null; damagedSlots: number }> {
  const path = pathIn(folder, "checkpoint");
  const read = await readFrom(io, path, "the state file", (file) =>
    lookAgain(io, () => {
      const { latest, damaged } = readSlots(file, path);
      return { latest, damaged, file: latest?.file ? reportFile(io, latest.file) : null };
    }, (seen) => {
      // In a rotation the file is under another name for a moment, or another one named already.
      return seen.damaged === 0 && (seen.file === null || seen.file.state === "same");
    }));
  if (read === null) return { checkpoint: null, damagedSlots: 0 };
  const { latest, damaged, file } = read;
  if (latest === null) return { checkpoint: null, damagedSlots: damaged };
  const { watches, clean, timeMs } = latest;
  const ageMs = io.nowMs() - timeMs;
  return { checkpoint: { watches, clean, timeMs, ageMs, file }, damagedSlots: damaged };
}

async function readRing(
  io: Io,
  folder: string,
  names: string[],
): Promise<Pick<StateReport, "generations" | "damagedFiles" | "foreignFiles">> {
  const generations: GenerationReport[] = [];
  const damagedFiles: string[] = [];
  const foreignFiles: string[] = [];
  for (const name of names) {
    const read = await readGeneration(io, pathIn(folder, name), name);
    if (read === "foreign") foreignFiles.push(name);
    else if (read === "damaged") damagedFiles.push(name);
    else if (read !== null) generations.push(read);
  }
  generations.sort((a, b) => a.sequence - b.sequence);
  return { generations, damagedFiles, foreignFiles };
}
