/** The micro benches (`deno bench`), as rows. */

import type { Row } from "./report.ts";
import type { Rig } from "./rig.ts";

interface BenchReport {
  benches: { name: string; results: { ok?: { avg: number } }[] }[];
}

/** Runs all bench/*_bench.ts. */
export async function micro({ denoFlags }: Rig): Promise<Row[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["bench", "--json", "-A", ...denoFlags, new URL(".", import.meta.url).pathname],
  }).output();
  const report: BenchReport = JSON.parse(new TextDecoder().decode(stdout));
  return report.benches.map(({ name, results }) => {
    const ns = results[0]?.ok?.avg ?? NaN;
    // A name may end in ", 1000 keys": then a pass deals with so many.
    const [, count, unit] = /, (\d+) (keys|events)$/.exec(name) ?? [];
    if (count === undefined) return { what: name, figure: `${(ns / 1e6).toFixed(3)} ms a pass` };
    return {
      what: name,
      figure: `${(ns / 1e3 / Number(count)).toFixed(3)} us each of the ${unit}`,
    };
  });
}
