/** Faults of the access to the server: waited out as long as is right, and no longer. */

import { assert, assertEquals } from "@std/assert";
import { tooManyRequests } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import { withScene } from "../support/scene.ts";
import { until } from "../support/temp.ts";

const AFTER: [string, string, RegExp][] = [
  ["32 seconds", "32", /^32\.\d s$/],
  ["a day", "86400", /^60\.\d s$/],
  ["more digits than a number has", "9".repeat(400), /^60\.\d s$/],
  ["a date far away", "Thu, 01 Jan 2099 00:00:00 GMT", /^60\.\d s$/],
];

for (const [what, retryAfter, wait] of AFTER) {
  Deno.test(`fault 12: Retry-After of ${what} is kept to, a minute at most`, async () => {
    await withScene({}, async (scene, server) => {
      await scene.complete();
      server.store.create(sampleEvent("a", "e1"));
      await scene.complete();
      const action = tooManyRequests(retryAfter);
      server.faults.push({ match: {}, times: Infinity, action });
      server.dropConnections("end");
      await until("a refusal", () => scene.logged("429 Too Many Requests").length > 0);
      const [line] = scene.logged("429 Too Many Requests");
      const delay = /Next attempt in (.*)\.$/.exec(line ?? "")?.[1] ?? "";
      assert(wait.test(delay), line);
      // Nothing is asked meanwhile, and a stop does not wait for it.
      const asked = server.log.length;
      await new Promise((resolve) => setTimeout(resolve, 200));
      assertEquals(server.log.length, asked);
    });
  });
}
