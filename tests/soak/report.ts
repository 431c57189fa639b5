/** What a soak prints at its end. */

import type { SoakReport } from "./soak.ts";

/** The last lines of `check` say what it found. */
const CHECK_LINES = 8;

/** Whether the promise was kept. */
export function isWell({ verdict, ownEnds, badStops, check }: SoakReport): boolean {
  const { lost, repeated, torn, unexpected } = verdict;
  return lost + repeated + torn + unexpected + ownEnds.length + badStops.length === 0 &&
    check.code === 0;
}

/** Whether exactly what was broken on purpose is wrong. */
export function isNoticed({ verdict, check, ...rest }: SoakReport): boolean {
  const { lost, repeated } = verdict;
  const others = { ...verdict, lost: 0, repeated: 0 };
  return lost === 1 && repeated === 1 && check.code === 1 &&
    isWell({ ...rest, verdict: others, check: { ...check, code: 0 } });
}

/** All of it, for people. */
export function soakText(report: SoakReport): string {
  const { verdict, ring, check, counts, said } = report;
  const number = (value: number) => Math.round(value).toLocaleString("en-US");
  const byCount = (counted: ReadonlyMap<string, number>) =>
    [...counted].sort((a, b) => b[1] - a[1]);
  const faults = byCount(counts).map(([name, count]) => `${count} x ${name}`).join(", ");
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const excused = [...verdict.excused].map(([why, count]) => `${number(count)} ${why}`);
  const excusedTotal = [...verdict.excused.values()].reduce((sum, count) => sum + count, 0);
  return [
    "",
    "The program said, as WARNING or worse:",
    ...byCount(said).map(([kind, count]) => `${number(count).padStart(8)} x ${kind}`),
    ...report.ownEnds.map((end) => `Ended by itself: ${end}`),
    ...report.badStops.map((end) => `Stopped badly: ${end}`),
    ...verdict.wrong,
    `check, which ended with status ${check.code}, closes with:`,
    ...check.said.split("\n").slice(-CHECK_LINES).map((line) => `  ${line}`),
    "",
    `Ring: generations of ${ring.seconds} s, ${ring.count} kept; ` +
    (ring.restores ? "etcd put back in between." : "etcd never put back."),
    `${number(total)} faults: ${faults}.`,
    `${report.starts} starts, ${report.kills} kills, ${report.rotations} rotations, ` +
    `${report.deletions} deletions. Peak RSS ${number(report.peakKilobytes / 1024)} MiB. ` +
    `At most ${report.worstRequests} requests in 10 s. Longest pause of the API server ` +
    `${number(report.longestPauseMs)} ms.`,
    `${number(report.settledMs)} ms after the last fault nothing was missing.`,
    `Missing and excused: ${number(excusedTotal)} of ${number(verdict.occurrences)} occurrences` +
    (excused.length === 0 ? "." : ` (${excused.join(", ")}).`),
    `Of the others, the loss of ${number(verdict.noticeable)} would have been noticed.`,
    "",
    `${number(report.writes)} writes, ${number(verdict.occurrences)} occurrences, ` +
    `${number(verdict.lines)} lines, ${number(verdict.lost)} lost, ` +
    `${number(verdict.repeated)} repeated, ${number(verdict.torn)} torn, ` +
    `${number(verdict.unexpected)} that never were`,
  ].join("\n");
}
