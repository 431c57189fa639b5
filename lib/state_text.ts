/** A state report as lines for people. Pure. */

import type { FileReport } from "./file_report.ts";
import type { GenerationReport } from "./generation_report.ts";
import { escapeControls } from "./log.ts";
import type { CheckpointReport, StateReport } from "./state_report.ts";

/** The report in about ten lines, and one for each generation. */
export function stateLines(state: StateReport): string[] {
  const run = state.lastProcess === null ? "never run" : `last run: process ${state.lastProcess}`;
  return [
    `State in ${state.folder}, ${run}`,
    ...checkpointLines(state),
    ...ringLines(state),
    ...leftLines(state),
  ].map(escapeControls);
}

/** A whole number with separators: 1,234. */
export function shownCount(count: number): string {
  return count.toLocaleString("en-US");
}

function checkpointLines({ checkpoint, damagedSlots }: StateReport): string[] {
  const damage = damagedSlots === 0 ? "" : `; ${damagedSlots} DAMAGED slot(s)`;
  if (checkpoint === null) return [`Checkpoint: none${damage}`];
  const { watches, clean, timeMs, ageMs, file } = checkpoint;
  const stop = clean ? "after a clean stop" : "not a clean stop (it runs, or was killed)";
  return [
    `Checkpoint: ${shownTime(timeMs)}, ${shownAge(ageMs)}, ${stop}${damage}`,
    ...watches.map(watchLine),
    `  Destination: ${file === null ? "standard output or a FIFO" : fileText(file)}`,
  ];
}

function watchLine(watch: CheckpointReport["watches"][number]): string {
  const { server, namespace, fieldSelector, position } = watch;
  const where = namespace === null ? "all namespaces" : `namespace ${namespace}`;
  const which = fieldSelector === null ? "" : `, ${fieldSelector}`;
  return `  Watch: ${server}, ${where}${which}: at resourceVersion ${position.rv}, resumes from ` +
    `${position.previous}, ${position.listOwed ? "a LIST is owed" : "no LIST owed"}`;
}

function fileText(file: FileReport): string {
  const known = `${file.path} (inode ${file.ino}), offset ${shownCount(file.offset)}`;
  switch (file.state) {
    case "same":
      return `${known}: there, ${shownCount(file.bytesBehind!)} byte(s) behind the offset`;
    case "renamed":
      return `${known}: now ${file.found!.path}, ${shownCount(file.bytesBehind!)} byte(s) behind ` +
        "the offset";
    case "changed":
      return `${known}: CHANGED before its offset, or cut (copytruncate?)`;
    case "missing":
      return `${known}: NOT THERE, nor renamed in its folder`;
    case "unreadable":
      return `${known}: cannot be read by us`;
    default:
      return file.state satisfies never;
  }
}

function ringLines(state: StateReport): string[] {
  const { generations, keys } = state;
  return [
    `Ring: ${generations.length} generation(s), ${shownCount(keys)} key(s); expected false ` +
    `positives ${shownRate(state.expectedFalsePositives)}, when all are full ` +
    shownRate(state.allowedFalsePositives),
    ...generations.map(generationLine),
  ];
}

function generationLine(one: GenerationReport): string {
  const percent = (100 * one.keys / one.capacity).toFixed(1);
  const closed = one.closedMs === null ? "open" : `closed ${shownTime(one.closedMs)}`;
  const damage = [
    ...(one.damagedSectors > 0 ? [`${shownCount(one.damagedSectors)} sector(s)`] : []),
    ...(one.damagedHead > 0 ? [`${one.damagedHead} header place(s)`] : []),
    ...(one.cutShort ? ["cut short"] : []),
  ];
  return `  ${one.name}: #${one.sequence}, made ${shownTime(one.createdMs)}, ${closed}, ` +
    `${shownCount(one.keys)} of ${shownCount(one.capacity)} keys (${percent} %), ` +
    `${shownRate(one.expectedFalsePositives)}` +
    (one.identity === "content" ? "" : `, identity ${one.identity}`) +
    (damage.length > 0 ? `; DAMAGED: ${damage.join(", ")}` : "");
}

/** What else lies in the folder, where there is something. */
function leftLines(state: StateReport): string[] {
  const lines: string[] = [];
  const list = (names: string[], what: string) => {
    if (names.length === 0) return;
    const more = names.length > 3 ? ", ..." : "";
    lines.push(`${names.length} ${what}: ${names.slice(0, 3).join(", ")}${more}`);
  };
  list(state.damagedFiles, "DAMAGED .bloom file(s) without a valid header");
  list(state.foreignFiles, ".bloom file(s) of another program, left alone");
  list(state.setAsideFiles, "damaged file(s) set aside by an earlier start");
  list(state.removedLinesFiles, "file(s) of broken lines taken out of the destination");
  if (state.redoBytes !== null) {
    lines.push(
      `A repair of the destination is unfinished (redo, ${shownCount(state.redoBytes)} bytes): ` +
        "the next start goes on with it",
    );
  }
  return lines;
}

function shownTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

function shownRate(rate: number): string {
  return rate === 0 ? "0" : rate.toExponential(1);
}

/** How long ago, in one unit that leaves a number above 1. */
function shownAge(ms: number): string {
  if (ms < 0) return "ahead of the clock";
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3600)} h ago`;
  return `${shownCount(Math.round(seconds / 86_400))} days ago`;
}
