/**
 * Faults of a LIST: it is complete in the end, one read of one version, and no answer holds it up
 * for ever.
 */

import { assert, assertEquals } from "@std/assert";
import type { WatchLine } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import { withScene } from "../support/scene.ts";
import { until } from "../support/temp.ts";

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

Deno.test("a LIST is made where the last one is old: what a watch passed over comes (check 4.2.19)", async () => {
  await withScene({ times: { listAgeMaxMs: 300 } }, async (scene, server) => {
    await scene.complete();
    // A watch that leaves out each second line, and says nothing of it.
    const action = { lines: ({ index, text }: WatchLine) => index % 2 === 0 ? [] : [text] };
    server.faults.push({ match: { verb: "watch" }, times: Infinity, action });
    server.dropConnections("end");
    for (let i = 0; i < 6; i++) server.store.create(sampleEvent("a", `e${i}`));
    await scene.complete();
    const made = "because none was made for 0.3 s";
    await until("two such LISTs", () => scene.logged(made).length >= 2);
    const lists = server.log.filter(({ request: { verb, page } }) => verb === "list" && page === 1);
    const elapsedMs = server.log.at(-1)!.at - server.log[0]!.at;
    assert(lists.length <= 2 + elapsedMs / 250, `${lists.length} LISTs in ${elapsedMs} ms`);
    scene.assertUnhurried();
  });
});
