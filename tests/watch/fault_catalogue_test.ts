/**
 * Every fault of the catalogue, one after another, while events are written: whatever the server
 * did, in the end each occurrence is in the file once and nothing else is, and at no time were
 * requests made without a pause. Repeat a run with SEED=<what it printed>.
 */

import { assert } from "@std/assert";
import { CATALOGUE } from "../fake/catalogue.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { type SceneOptions, withScene } from "../support/scene.ts";
import { randomUint32, testSeed, until } from "../support/temp.ts";

const seed = testSeed();

/** How long events are written while the fault is on, ms: many backoffs, and a few watches. */
const DURING_MS = 150;

/** What a fault needs otherwise. */
const OPTIONS: Record<number, SceneOptions> = {
  // It is noticed by the next LIST.
  26: { times: { listAgeMaxMs: 500 } },
  // A busy machine may take seconds for such a line.
  34: { times: { watchSecondsMin: 15, watchSecondsMax: 15 } },
};

let written = 0;

/** Writes a little of everything. */
function write(server: FakeApiServer): void {
  const name = `pod-${++written}.17`;
  server.store.create(sampleEvent("a", name, { message: `Grüße ${written}` }));
  server.store.repeat("a", name);
  if (written % 2 === 0) server.store.repeat("a", name);
  if (written % 3 === 0) server.store.delete("a", name);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

for (const [index, fault] of CATALOGUE.entries()) {
  const { number, name, hides, isSlow } = fault;
  // tests/watch/fault_access_test.ts sees that such are begun rightly; the soak test waits for them.
  if (isSlow) continue;
  Deno.test(`fault ${number}: ${name}`, async () => {
    const next = randomUint32(seed + index);
    await withScene(OPTIONS[number] ?? {}, async (scene, server) => {
      // What is overwritten before the program's first LIST is nobody's.
      await scene.complete();
      for (let i = 0; i < 9; i++) write(server);
      await scene.complete();
      const before = server.revisions.length;
      const end = fault.inject(server, () => next() / 2 ** 32);
      const hitsRequests = server.faults.pending > 0;
      for (let at = 0; at < DURING_MS; at += 30) {
        write(server);
        await pause(30);
      }
      end?.();
      for (let i = 0; i < 3; i++) write(server);
      const missable = () => hides === "nothing" ? new Set<string>() : server.passing(before);
      await scene.complete(missable);
      // It is over: from the next watch on all is to come again.
      await until("a watch", () => server.watches.length > 0);
      const missed = missable();
      write(server);
      await scene.complete(() => missed);
      scene.assertUnhurried();
      assert(server.faults.taken > 0 || !hitsRequests, "no request was hit");
    });
  });
}
