import { assert } from "@std/assert";
import { BREAKAGES, CANARY_RUNS, tryBreakage } from "./canary.ts";

for (const breakage of BREAKAGES) {
  Deno.test(`The simulator notices: ${breakage.name}`, async () => {
    const { run } = await tryBreakage(breakage, 1);
    assert(run !== null, `No run of ${CANARY_RUNS} broke the promise`);
  });
}
