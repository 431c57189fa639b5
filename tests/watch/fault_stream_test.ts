/**
 * Faults of a WATCH that go on for long, or whose every byte matters: the file is exact whatever
 * came, and history that the server still has is not given up.
 */

import { assert, assertEquals } from "@std/assert";
import { bookmarkLine, errorLine, type FaultAction } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { failure } from "../fake/status.ts";
import { type Scene, withScene } from "../support/scene.ts";
import { until } from "../support/temp.ts";

const BACKOFF = { firstMs: 10, maxMs: 80, resetMs: 3000 };

/** Events of which each is written three times, so that a LIST shows a third of the occurrences. */
function writeThrice(server: FakeApiServer, ...names: string[]): void {
  for (const name of names) {
    server.store.create(sampleEvent("a", name));
    server.store.repeat("a", name);
    server.store.repeat("a", name);
  }
}

/** Failures of the watch, as the log has them. */
function failures(scene: Scene): number {
  return scene.logged("WATCH /api/v1/events failed").length;
}

const BREAKS: [string, FaultAction][] = [
  ["fault 17: watches that end properly at once", { cut: { events: 0, how: "end" } }],
  ["fault 1: watches that are reset at once", { cut: { events: 0, how: "reset" } }],
  ["fault 2: watches that are cut in their first line", {
    cut: { events: 0, bytes: 90, how: "fin" },
  }],
];

for (const [what, action] of BREAKS) {
  Deno.test(`${what}, eight in a row: states overwritten meanwhile still come`, async () => {
    await withScene({ times: { backoff: BACKOFF } }, async (scene, server) => {
      await scene.complete();
      writeThrice(server, "e1", "e2");
      await scene.complete();
      server.faults.push({ match: { verb: "watch" }, times: Infinity, action });
      server.dropConnections("reset");
      writeThrice(server, "e3", "e4");
      // What lives is not kept waiting for the watch: a LIST brings it.
      await until("the LIST's lines", () => scene.lines().length >= 8);
      await until("eight failures", () => failures(scene) >= 8);
      server.faults.clear();
      // The next event moves the position, from wherever the watch began.
      await until("a watch", () => server.watches.length === 1);
      writeThrice(server, "e5");
      await scene.complete();
      scene.assertUnhurried();
    });
  });
}

Deno.test("fault 7: every watch is refused by 410 for long: LISTs at their interval, nothing else", async () => {
  // Two seconds stand for more than a minute.
  const listIntervalMs = 250;
  await withScene({ times: { listIntervalMs } }, async (scene, server) => {
    await scene.complete();
    const gone = errorLine(failure(410, "Expired", "The resourceVersion is too old."));
    const action = { insert: [{ after: 0, bytes: gone }] };
    server.faults.push({ match: { verb: "watch" }, times: Infinity, action });
    server.dropConnections("end");
    const from = server.log.length;
    const began = performance.now();
    for (let i = 0; i < 20; i++) {
      server.store.create(sampleEvent("a", `e${i}`));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const intervals = (performance.now() - began) / listIntervalMs;
    const asked = server.log.slice(from).map(({ request }) => request);
    const lists = asked.filter(({ verb, page }) => verb === "list" && page === 1).length;
    const watches = asked.filter(({ verb }) => verb === "watch").length;
    assert(lists >= 2, `${lists} LISTs`);
    assert(lists <= intervals + 2, `${lists} LISTs in ${intervals} intervals`);
    assert(watches <= lists + 3, `${watches} watches and ${lists} LISTs`);
    server.faults.clear();
    await scene.complete();
    scene.assertUnhurried();
  });
});

Deno.test("fault 27: 1000 DELETED under one version, cut in the middle: no line, no loss, no LIST", async () => {
  await withScene({}, async (scene, server) => {
    await scene.complete();
    for (let i = 0; i < 1000; i++) server.store.create(sampleEvent("a", `e${i}`));
    await scene.complete();
    server.dropConnections("end");
    const cut = { events: 501, bytes: 77, how: "reset" } as const;
    server.faults.push({ match: { verb: "watch" }, action: { cut } });
    await until("a watch", () => server.faults.pending === 0);
    assertEquals(server.store.expire(1000).length, 1000);
    server.store.create(sampleEvent("a", "behind"));
    await scene.complete();
    assertEquals(scene.lines().length, 1001);
    const lists = server.log.filter(({ request }) => request.verb === "list");
    assertEquals(lists.length, 1);
    scene.assertUnhurried();
  });
});

for (const [what, trickle] of [["1 byte", 1], ["7 bytes", 7]] as const) {
  Deno.test(`fault 39: segments of ${what} give the same file, to the byte`, async () => {
    const files: string[][] = [];
    for (const action of [{}, { trickle: { bytes: trickle } }]) {
      await withScene({ server: { firstRevision: 7, now: () => 0 } }, async (scene, server) => {
        await scene.complete();
        server.faults.push({ match: { verb: "watch" }, times: Infinity, action });
        server.dropConnections("end");
        writeThrice(server, "é1", "✓2");
        await scene.complete();
        files.push(scene.lines().map((line) => line.replace(/"uid":"[^"]*"/, "")));
      });
    }
    assertEquals(files[1], files[0]);
  });
}

Deno.test("fault 20: a flood of bookmarks is not a flood of messages to main", async () => {
  await withScene({}, async (scene, server) => {
    await scene.complete();
    await until("a watch", () => server.watches.length === 1);
    await server.watches[0]!.answer.send(bookmarkLine("7").repeat(5000));
    server.store.create(sampleEvent("a", "e1"));
    await scene.complete();
    const told = scene.logged("a bookmark").length;
    assert(told > 0 && told < 50, `${told} messages`);
  });
});

Deno.test("fault 21: hundreds of events in falling order owe one LIST, and it is said once", async () => {
  await withScene({ times: { listPageEvents: 500 } }, async (scene, server) => {
    await scene.complete();
    for (let i = 0; i < 300; i++) server.store.create(sampleEvent("a", `e${i}`));
    await scene.complete();
    const falling = server.revisions.map(({ object }) => object).reverse();
    const text = falling.map((object) => `${JSON.stringify({ type: "ADDED", object })}\n`).join("");
    await server.watches[0]!.answer.send(text);
    await until("a LIST", () => scene.logged("resourceVersions went back").length > 0);
    server.store.create(sampleEvent("a", "last"));
    await scene.complete();
    const owed = scene.logged("a LIST is owed").length;
    assert(owed < 10, `${owed} messages`);
    scene.assertUnhurried();
  });
});
