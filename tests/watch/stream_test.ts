/**
 * Faults of a WATCH: whatever happens to its bytes, every event comes, whole, and the watch goes on.
 */

import { assert, assertEquals } from "@std/assert";
import { bookmarkLine, errorLine, type FaultAction } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { failure } from "../fake/status.ts";
import { until, withServer } from "../fake/testing.ts";
import { type EndOptions, type MainEnd, untilMet, withEnd } from "./main_end.ts";

function create(server: FakeApiServer, ...names: string[]): void {
  for (const name of names) server.store.create(sampleEvent("a", name, { message: "Grüße ✓" }));
}

/** Number of requests of a kind so far; of a LIST its first pages. */
function count(server: FakeApiServer, verb: "list" | "watch"): number {
  return server.log.filter(({ request }) => request.verb === verb && request.page === 1).length;
}

/** A session that has listed and watches; the fault hits its first WATCH. */
async function withFault(
  action: FaultAction,
  options: EndOptions,
  test: (end: MainEnd, server: FakeApiServer) => Promise<void>,
): Promise<void> {
  await withServer({}, async (server) => {
    create(server, "e1");
    server.faults.push({ match: { verb: "watch" }, action });
    await withEnd(server.url, options, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      await test(end, server);
    });
  });
}

const CUTS: [string, FaultAction][] = [
  ["fault 1: a reset in the middle of a line", { cut: { events: 2, bytes: 40, how: "reset" } }],
  ["fault 2: a FIN in the middle of a line", { cut: { events: 2, bytes: 40, how: "fin" } }],
  ["fault 1: a reset between two lines", { cut: { events: 2, how: "reset" } }],
  ["fault 2: a proper end in the middle of a line", { cut: { events: 2, bytes: 40, how: "end" } }],
  ["fault 3: an HTTP/1.0 body that breaks off in the middle of a line", {
    framing: "eof",
    cut: { events: 2, bytes: 40, how: "fin" },
  }],
];

for (const [what, action] of CUTS) {
  Deno.test(`${what}: the rest is dropped, the watch resumed, every event comes, no LIST (check 4.2.9)`, async () => {
    await withFault(action, {}, async (end, server) => {
      create(server, "e2", "e3", "e4", "e5");
      await until(() => new Set(end.versions).size === 5);
      assertEquals([...new Set(end.names)], ["e1", "e2", "e3", "e4", "e5"]);
      assertEquals(count(server, "list"), 1);
    });
  });
}

Deno.test("fault 40: gzip that nobody asked for is a failure like others: every event comes, by a LIST", async () => {
  await withFault({ encoding: "gzip" }, {}, async (end, server) => {
    create(server, "e2", "e3", "e4", "e5");
    await until(() => new Set(end.versions).size === 5);
    assertEquals([...new Set(end.names)].sort(), ["e1", "e2", "e3", "e4", "e5"]);
    // The WATCH that goes on may have shown them all before the LIST is asked for.
    await until(() => count(server, "list") === 2 && end.isSettled);
  });
});

Deno.test("fault 1: a cut inside a character leaves no trace of it", async () => {
  // The message's "ü" begins at this byte of the line; between it and the next the stream ends.
  await withServer({}, async (server) => {
    create(server, "e1");
    const line = JSON.stringify({ object: server.revisions[0]!.object });
    const before = new TextEncoder().encode(line.slice(0, line.indexOf("ü"))).length;
    const wrapper = '{"type":"ADDED",'.length + '"kind":"Event","apiVersion":"v1",'.length;
    const cut = { events: 0, bytes: before + wrapper, how: "reset" as const, delayMs: 50 };
    server.faults.push({ match: { verb: "watch" }, action: { cut } });
    await withEnd(server.url, {}, async (end) => {
      await until(() => server.watches.length === 1);
      create(server, "e2");
      await untilMet(end, 2);
      assertEquals([...new Set(end.names)], ["e1", "e2"]);
      assert(end.events.every(({ line }) => line.includes("Grüße ✓")));
      assertEquals(count(server, "watch"), 2);
    });
  });
});

for (const bytes of [1, 7]) {
  Deno.test(`fault 39: segments of ${bytes} byte(s) give the same lines`, async () => {
    await withFault({ trickle: { bytes } }, {}, async (end, server) => {
      create(server, "e2", "e3");
      await untilMet(end, 3);
      assertEquals(end.names, ["e1", "e2", "e3"]);
      assertEquals(count(server, "watch"), 1);
    });
  });
}

const BAD_LINES: [string, string, string][] = [
  ["fault 4: a line cut in two", '{"type":"ADDED","object":{"kind":"Ev\n', "no watch event"],
  ["fault 10: an unknown type", '{"type":"FOO","object":{}}\n', 'unknown type "FOO"'],
  ["fault 10: no type", '{"object":{}}\n', "no type"],
  [
    "fault 10: an event without metadata",
    '{"type":"ADDED","object":{"kind":"Event"}}\n',
    "no metadata",
  ],
  [
    "fault 35: bytes that are no UTF-8",
    '{"type":"ADDED","object":{"message":"\xff"}}\n',
    "no watch event",
  ],
];

for (const [what, text, reason] of BAD_LINES) {
  Deno.test(`${what} ends the watch with a warning; it is resumed, nothing is lost (check 4.2.10)`, async () => {
    const bytes = what.includes("UTF-8") ? Uint8Array.from(text, (c) => c.charCodeAt(0)) : text;
    await withFault({ insert: [{ after: 1, bytes }] }, {}, async (end, server) => {
      create(server, "e2", "e3");
      await until(() => new Set(end.versions).size === 3);
      assertEquals([...new Set(end.names)], ["e1", "e2", "e3"]);
      assertEquals(end.logged("WARNING").length, 1);
      assertEquals(end.logged(reason).length, 1);
      assertEquals([count(server, "list"), count(server, "watch")], [1, 2]);
    });
  });
}

Deno.test("blank lines and bookmarks, also old or empty ones, change nothing (faults 20, 35; check 4.2.4)", async () => {
  const bytes = `\n \r\n${bookmarkLine("1")}${bookmarkLine("")}${bookmarkLine("999999")}`;
  await withFault({ insert: [{ after: 1, bytes }] }, {}, async (end, server) => {
    create(server, "e2");
    await until(() => end.logged("bookmark").length === 3);
    await until(() => end.position?.rv === "102");
    assertEquals(end.position?.previous, "101");
    create(server, "e3");
    await untilMet(end, 3);
    assertEquals([count(server, "list"), count(server, "watch")], [1, 1]);
  });
});

Deno.test("fault 8: ERROR 500 at one version three times: a LIST, then a watch from the last version", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    const bytes = errorLine(failure(500, "InternalError", "etcd event received with PrevKv=nil"));
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e2");
      await untilMet(end, 2);
      server.log.length = 0;
      server.faults.push({
        match: { verb: "watch" },
        times: 3,
        action: { insert: [{ after: 0, bytes }] },
      });
      server.dropConnections("reset");
      await until(() => count(server, "watch") === 4);
      create(server, "e3");
      await until(() => end.names.includes("e3"));
      const versions = server.log.filter(({ request }) => request.verb === "watch")
        .map(({ request }) => request.query.get("resourceVersion"));
      assertEquals(versions, ["101", "101", "101", "102"]);
      assertEquals(count(server, "list"), 1);
    });
  });
});

Deno.test("an ERROR that is no Status is a failure like others, the position untouched (fault 10; check 4.2.5)", async () => {
  for (const object of [null, { kind: "Pod" }]) {
    await withFault(
      { insert: [{ after: 1, bytes: errorLine(object) }] },
      {},
      async (end, server) => {
        create(server, "e2", "e3");
        await until(() => new Set(end.versions).size === 3);
        assertEquals(end.position?.previous, "102");
        assertEquals(end.logged("WARNING").length, 1);
        assertEquals(end.logged("an ERROR that is no Status").length, 1);
      },
    );
  }
});

Deno.test("fault 17: a server that ends every watch at once is not asked without a pause (check 4.2.12)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    server.faults.push({ match: { verb: "watch" }, times: 1000, action: { endAfterMs: 0 } });
    const times = { listIntervalMs: 500 };
    await withEnd(server.url, { times }, async (end) => {
      await until(() => end.logged("events failed: it ended").length >= 6);
      // Delays of at least 20, 40, 80, 160, 160 ms lie between six failures.
      const [first, last] = [0, 5].map((i) =>
        server.log.filter(({ request }) => request.verb === "watch")[i]!.at
      );
      assert(last! - first! >= 460, `${last! - first!} ms`);
      // Each time the witness did not come, but the LISTs keep their interval.
      const elapsed = server.log.at(-1)!.at - server.log[0]!.at;
      assert(count(server, "list") <= 2 + elapsed / 500, `${count(server, "list")} LISTs`);
      server.faults.clear();
      create(server, "e2");
      await until(() => end.names.includes("e2"));
    });
  });
});

Deno.test("fault 17: a server that ends a watch with each event, the witness too, is outwitted, unhurriedly", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    server.faults.push({
      match: { verb: "watch" },
      times: 1000,
      action: { cut: { events: 1, how: "end" } },
    });
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled);
      const began = performance.now();
      for (let i = 0; i < 5; i++) {
        const name = `n${i}`;
        create(server, name);
        await until(() => end.names.includes(name));
      }
      const watches = count(server, "watch");
      assert(watches <= 4 + (performance.now() - began) / 20, `${watches} watches`);
    });
  });
});

Deno.test("a watch that outlives its timeout is ended by us and resumed (fault 18; check 4.2.7)", async () => {
  const times = { watchSecondsMin: 1, watchSecondsMax: 1, watchGraceMs: 100 };
  await withFault({ ignoreTimeout: true }, { times }, async (end, server) => {
    await until(() => count(server, "watch") === 2);
    assertEquals(end.logged("outlived its 1 s").length, 1);
    const [first, second] = server.log.filter(({ request }) => request.verb === "watch");
    assert(second!.at - first!.at >= 1100);
    // The connection of the first one is gone, on the server's side too.
    await until(() => first!.ended === "client");
    create(server, "e2");
    await untilMet(end, 2);
  });
});

Deno.test("a watch that ends in time is resumed at once, without a word above DEBUG (check 4.2.8)", async () => {
  const times = { watchSecondsMin: 1, watchSecondsMax: 1 };
  await withFault({}, { times }, async (end, server) => {
    create(server, "e2");
    await untilMet(end, 2);
    const said = end.logs.length;
    await until(() => count(server, "watch") === 3);
    assertEquals(end.logs.slice(said).filter((line) => !line.startsWith("DEBUG")), []);
    const [, second, third] = server.log.filter(({ request }) => request.verb === "watch");
    assert(third!.at - second!.at < 1900);
    assertEquals(count(server, "list"), 1);
  });
});

Deno.test("each watch asks for its own length, drawn evenly, and for bookmarks (check 4.2.7)", async () => {
  const times = { watchSecondsMin: 300, watchSecondsMax: 600, watchShortMs: 0 };
  await withFault({}, { times }, async (_end, server) => {
    for (let i = 2; i < 30; i++) {
      server.dropConnections("end");
      await until(() => server.watches.length === 1 && count(server, "watch") === i);
    }
    const queries = server.log.filter(({ request }) => request.verb === "watch")
      .map(({ request }) => request.query);
    const lengths = queries.map((query) => Number(query.get("timeoutSeconds")));
    assert(lengths.every((length) => length >= 300 && length <= 600));
    assert(new Set(lengths).size > 10);
    assert(queries.every((query) => query.get("allowWatchBookmarks") === "true"));
  });
});
