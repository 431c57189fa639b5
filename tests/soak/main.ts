/**
 * `deno task soak [--minutes=N] [--seed=N] [--break]`: the real program among random faults of network, disk
 * and process at once, and at the end its lines against all that the API server ever stored.
 *
 * A seed draws the same faults and the same load again; what they meet depends on the timing of
 * processes, which differs each time. Exit status 0 only if nothing is lost, repeated or torn, and
 * the program never ended by itself. Else all files are kept. With --break a line is taken away and
 * another written twice before that, and the status is 0 only if both were noticed.
 */

import { parseArgs } from "node:util";
import { programCommand, TEST_BINARY } from "../support/binary.ts";
import { MOUNT_HOW } from "../support/mount.ts";
import { prepareProgram } from "../real/prepare.ts";
import { isNoticed, isWell, soakText } from "./report.ts";
import { soak } from "./soak.ts";

const MINUTES = 3;

/** A number of the command line, or what stands in for it. */
function numberOf(name: string, given: string | undefined, otherwise: number): number {
  if (given === undefined) return otherwise;
  if (/^\d{1,10}(?:\.\d+)?$/.test(given)) return Number(given);
  console.error(`--${name} is ${JSON.stringify(given)}; it must be a number.`);
  Deno.exit(64);
}

const { values } = parseArgs({
  options: {
    minutes: { type: "string" },
    seed: { type: "string" },
    break: { type: "boolean", default: false },
  },
});
const minutes = numberOf("minutes", values.minutes, MINUTES);
const seed = numberOf("seed", values.seed, crypto.getRandomValues(new Uint32Array(1))[0]!);
const command = `deno task soak --minutes=${minutes} --seed=${seed}`;
console.log(`${minutes} minute(s), seed ${seed} (repeat with ${command})`);

const folder = await Deno.makeTempDir({ prefix: "kube-event-pipe-soak-" });
const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => interrupted.abort(new Error(`Ended by ${signal}.`)));
}
let well = false;
try {
  await prepareProgram();
  const { cmd, kind } = programCommand();
  if (kind === "compiled") {
    // Where no build can change it meanwhile.
    await Deno.copyFile(cmd, `${folder}/kube-event-pipe`);
    Deno.env.set(TEST_BINARY, `${folder}/kube-event-pipe`);
  }
  const report = await soak({
    folder,
    seed,
    minutes,
    onProgress: (text) => console.log(text),
    signal: interrupted.signal,
    breaks: values.break,
  });
  if (!report.hasDisks) console.log(`No faults of disks. To have them, ${MOUNT_HOW}.`);
  console.log(soakText(report));
  well = values.break ? isNoticed(report) : isWell(report);
  if (values.break) console.log(`What was broken was ${well ? "" : "NOT "}noticed.`);
} catch (error) {
  console.log(error instanceof Error ? error.stack : error);
}
if (well) await Deno.remove(folder, { recursive: true });
else {
  console.log(`FAILED. What the program said is in ${folder}/program.log.`);
  console.log(`Repeat it with: ${command}`);
}
Deno.exit(well ? 0 : 1);
