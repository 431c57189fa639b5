/**
 * Faults of a LIST: it is complete in the end, one read of one version, and no answer holds it up
 * for ever.
 */

import { assertEquals } from "@std/assert";
import { sampleEvent } from "../fake/sample.ts";
import { withScene } from "../support/scene.ts";

Deno.test("fault 19: a LIST that comes byte by byte is given up, and asked for anew", async () => {
  await withScene({}, async (scene, server) => {
    await scene.complete();
    for (let i = 0; i < 20; i++) server.store.create(sampleEvent("a", `e${i}`));
    await scene.complete();
    await scene.stop();
    server.store.create(sampleEvent("a", "meanwhile"));
    server.store.compact();
    // At the shipped times: one byte a second. The page would take half an hour.
    const trickle = { bytes: 1, delayMs: 25, from: "body" } as const;
    server.faults.push({ match: { verb: "list" }, action: { trickle } });
    await scene.start();
    await scene.complete();
    assertEquals(server.faults.taken, 1);
    assertEquals(scene.logged("came in 0.4 s").length, 1);
    scene.assertUnhurried();
  });
});
