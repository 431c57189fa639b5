/**
 * Every fault of the catalogue, one after another, while events are written: whatever the server
 * did, in the end each occurrence is in the file once and nothing else is, and at no time were
 * requests made without a pause. Repeat a run with SEED=<what it printed>.
 */

import { CATALOGUE, type CatalogueFault } from "../fake/catalogue.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { type SceneOptions, withScene } from "../support/scene.ts";
import { randomUint32, testSeed } from "../support/temp.ts";

const seed = testSeed();

/** Such a fault is waited out for longer than a test may take; fault_access_test.ts has them. */
const SLOW = new Set(["429, Retry-After 32", "429, Retry-After 86400"]);

/** How long events are written while the fault is on, ms: many backoffs, and a few watches. */
const DURING_MS = 300;

let written = 0;

/** Writes a little of everything that `hides` leaves room for. */
function write(server: FakeApiServer, hides: CatalogueFault["hides"]): void {
  const name = `pod-${++written}.17`;
  server.store.create(sampleEvent("a", name, { message: `Grüße ${written}` }));
  if (hides !== "nothing") return;
  server.store.repeat("a", name);
  server.store.repeat("a", name);
  if (written % 3 === 0) server.store.delete("a", name);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What a fault needs otherwise. */
const OPTIONS: Record<number, SceneOptions> = {};

for (const [index, fault] of CATALOGUE.entries()) {
  const { number, name, hides } = fault;
  if (SLOW.has(name)) continue;
  Deno.test(`fault ${number}: ${name}`, async () => {
    const next = randomUint32(seed + index);
    const random = () => next() / 2 ** 32;
    await withScene(OPTIONS[number] ?? {}, async (scene, server) => {
      // What is overwritten before the program's first LIST is nobody's.
      await scene.complete();
      for (let i = 0; i < 12; i++) write(server, "nothing");
      await scene.complete();
      const end = fault.inject(server, random);
      for (let at = 0; at < DURING_MS; at += 30) {
        write(server, hides);
        await pause(30);
      }
      end?.();
      for (let i = 0; i < 3; i++) write(server, hides);
      await scene.complete();
      scene.assertUnhurried();
    });
  });
}
