/**
 * Odd contents: each event is one valid line, or said to be left out; nothing waits behind it.
 */

import { assert, assertEquals } from "@std/assert";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { withScene } from "../support/scene.ts";

/** Longest line here: a longer event is at hand without the shipped 16 MiB. */
const LINE_BYTES_MAX = 100_000;

/** The contents of events whose lines are longer. */
function tooLong(server: FakeApiServer): Set<string> {
  return new Set([...server.oracle().keys()].filter((content) => content.length > LINE_BYTES_MAX));
}

Deno.test("fault 34: a line over the longest, in WATCH and LIST, is said, and all others come", async () => {
  await withScene({ times: { lineBytesMax: LINE_BYTES_MAX } }, async (scene, server) => {
    await scene.complete();
    server.store.create(sampleEvent("a", "before"));
    server.store.create(sampleEvent("a", "huge", { message: "x".repeat(LINE_BYTES_MAX) }));
    server.store.create(sampleEvent("a", "later"));
    await scene.complete(() => tooLong(server));
    assert(scene.logged("A line of the watch is longer than 100000 bytes").length >= 3);
    const [said] = scene.logged("It is left out");
    assert(said?.startsWith("ERROR LIST /api/v1/events: an item is no event"), said);
    assert(said?.includes('longer than 100000 bytes): {"metadata":{"name":"huge"'), said);
    server.store.create(sampleEvent("a", "last"));
    await scene.complete(() => tooLong(server));
    assertEquals(scene.lines().length, 3);
    scene.assertUnhurried();
  });
});
