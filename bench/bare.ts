/** Programs that do little or nothing, compiled as ours is: what they cost is the runtime's. */

import { findRuntime } from "../deploy/build.ts";
import { compiledBinary } from "../tests/support/binary.ts";
import { Child, sleep } from "./process.ts";
import type { Rig } from "./rig.ts";

/**
 * Compiles a program on the same runtime; null where ours could not be compiled either.
 *
 * @param source a file; its worker, if it has one, is included
 */
export async function compileBare(
  rig: Rig,
  source: string,
  worker?: string,
): Promise<string | null> {
  if (compiledBinary() === null) return null;
  const runtime = await findRuntime(Deno.build.target);
  if (runtime === null) return null;
  const binary = `${rig.folder}/bare-${crypto.randomUUID()}`;
  const args = ["compile", "--quiet", "--no-config", "--no-check", "--no-code-cache", "-A"];
  const included = worker === undefined ? [] : ["--include", worker];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, ...included, "--output", binary, source],
    env: runtime.denortBin === null ? {} : { DENORT_BIN: runtime.denortBin },
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return binary;
}

/** Resident memory of a compiled program that does nothing, MB; null where none can be made. */
export async function emptyProgramMb(rig: Rig): Promise<number | null> {
  const source = `${rig.folder}/empty.ts`;
  Deno.writeTextFileSync(source, "setInterval(() => {}, 3_600_000);\n");
  const binary = await compileBare(rig, source);
  if (binary === null) return null;
  const child = new Child(binary, []);
  await sleep(1000);
  const { rssMb } = child.usage;
  await child.stop("SIGKILL");
  return rssMb;
}
