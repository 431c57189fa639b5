/** How much memory it takes, and that it takes no more for longer. */

import { compiledBinary } from "../tests/support/binary.ts";
import { emptyProgramMb } from "./bare.ts";
import { timed } from "./process.ts";
import { median, type Row } from "./report.ts";
import type { Rig, Run } from "./rig.ts";

/** Peaks while few, many and very many events stream. */
export async function memory(
  rig: Rig,
  rounds: number,
  counts: readonly number[],
): Promise<Row[]> {
  const empty = await emptyProgramMb(rig);
  const rows: Row[] = [];
  const runs = new Map<number, Run[]>(counts.map((events) => [events, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [events, of] of runs) of.push(await rig.write("https", { verb: "watch", events }));
  }
  const medianOf = (events: number, of: "peakMb" | "anonMb") =>
    median(runs.get(events)!.map((run) => run[of]));
  const peaks = counts.map((events) => medianOf(events, "peakMb"));
  for (const [index, events] of counts.entries()) {
    const peakMb = peaks[index]!;
    const above = peakMb - (empty ?? 0);
    rows.push({
      what: `peak RSS while ${events.toLocaleString("en-US")} events stream`,
      figure: `${peakMb.toFixed(1)} MB (${
        medianOf(events, "anonMb").toFixed(1)
      } MB anonymous at the end)`,
      ...(empty !== null && {
        reference: `empty compiled program ${empty.toFixed(1)} MB`,
        target: "<= 50 MB above it",
        isMet: above <= 50,
      }),
    });
  }
  const growth = peaks.at(-1)! - peaks.at(-2)!;
  rows.push({
    what: "of it from the last but one to the last",
    figure: `${growth.toFixed(1)} MB`,
    target: "<= 2 MB",
    isMet: growth <= 2,
  });
  return rows;
}

/** Size of the binary, as it is and packed. */
export async function binary(): Promise<Row[]> {
  const path = compiledBinary();
  if (path === null) {
    return [{ what: "binary", figure: "SKIPPED: `deno task build` does not work" }];
  }
  const size = Deno.statSync(path).size / 1e6;
  const rows: Row[] = [{
    what: "binary",
    figure: `${size.toFixed(1)} MB`,
    target: "<= 96 MB",
    isMet: size <= 96,
  }];
  for (const [name, command, args] of PACKERS) {
    try {
      const { stdout } = await timed("/bin/sh", ["-c", `${command} ${args} "$0" | wc -c`, path]);
      const packed = Number(stdout) / 1e6;
      if (packed < 1) continue;
      rows.push({
        what: `binary, packed with ${name}`,
        figure: `${packed.toFixed(1)} MB`,
        ...(name !== "gzip" && { target: "<= 30 MB", isMet: packed <= 30 }),
      });
    } catch {
      // Not every packer is everywhere.
    }
  }
  return rows;
}

const PACKERS = [["gzip", "gzip", "-9c"], ["zstd -19", "zstd", "-19 -T2 -qc"], [
  "xz -6",
  "xz",
  "-6 -T2 -c",
]] as const;
