/**
 * The ring at 1 M and at 10 M keys: a test and an addition of keys that it does not know, looked up
 * as lib/pipeline.ts does it.
 */

import { KEYS_EXPECTED } from "../lib/limits.ts";
import { setupLog } from "../lib/log.ts";
import { realIo } from "../lib/real_io.ts";
import { Ring } from "../lib/ring.ts";
import { DEFAULTS } from "../lib/settings.ts";
import { randomUint32 } from "../tests/support/temp.ts";

const LANES = 8;
const PASS_KEYS = 64 * KEYS_EXPECTED;

setupLog("ERROR");
const next = randomUint32(1);
/** Drawn once: drawing must not be measured. */
const pool = Uint32Array.from({ length: LANES * 1_000_000 }, next);

for (const capacity of [1_000_000, 10_000_000]) {
  const folder = Deno.makeTempDirSync({ prefix: "kube-event-pipe-bench-" });
  const ring = Ring.open(realIo, { ...DEFAULTS, folder, filterCapacity: capacity });
  ring.startGeneration();
  Deno.removeSync(folder, { recursive: true });
  const keys = pool.slice();
  for (let index = 0; index < capacity; index++) {
    const at = LANES * (index % (keys.length / LANES));
    keys[at + 1]! ^= index; // Another key in each round through the pool.
    ring.add(keys, at);
  }
  let at = 0;
  Deno.bench(`ring, full with ${capacity / 1e6} M: test and add, ${PASS_KEYS} keys`, () => {
    for (let key = 0; key < PASS_KEYS; key++) {
      if (key % KEYS_EXPECTED === 0) {
        // The pool is a multiple of them.
        for (let one = 0; one < KEYS_EXPECTED; one++) keys[at + LANES * one + 2]! ^= 0x9e3779b9;
        ring.expect(keys, at, KEYS_EXPECTED);
      }
      if (!ring.knows(keys, at)) ring.add(keys, at);
      at = (at + LANES) % keys.length;
    }
  });
}
