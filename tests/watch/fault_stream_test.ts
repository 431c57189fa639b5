/**
 * Faults of a WATCH that go on for long, or whose every byte matters: the file is exact whatever
 * came, and history that the server still has is not given up.
 */

import type { FaultAction } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
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
