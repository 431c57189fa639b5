/**
 * Odd contents: each event is one valid line, or said to be left out; nothing waits behind it.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { realIo } from "../../lib/real_io.ts";
import { statusAnswer } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { withScene } from "../support/scene.ts";
import { until } from "../support/temp.ts";

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
    // What is overwritten comes by the watch alone, behind the line that is left out.
    server.store.repeat("a", "later");
    server.store.repeat("a", "later");
    await scene.complete(() => tooLong(server));
    assertEquals(scene.logged("A line of the watch is longer than 100000 bytes").length, 1);
    assertEquals(scene.gaps.length, 1);
    assertMatch(
      scene.gaps[0]!.why,
      /^a line of the watch is left out, as it is longer than 100000 bytes.*"huge"/,
    );
    const [said] = scene.logged("It is left out");
    assert(said?.startsWith("ERROR LIST /api/v1/events: an item is no event"), said);
    assert(said?.includes('longer than 100000 bytes): {"metadata":{"name":"huge"'), said);
    server.store.create(sampleEvent("a", "last"));
    await scene.complete(() => tooLong(server));
    assertEquals(scene.lines().length, 5);
    // It comes again wherever a watch resumes before it, and is not said again.
    server.dropConnections("reset");
    await until("a watch", () => server.watches.length > 0);
    server.store.create(sampleEvent("a", "the very last"));
    await scene.complete(() => tooLong(server));
    assertEquals(scene.gaps.length, 1);
    scene.assertUnhurried();
  });
});

Deno.test("fault 34: more lines over the longest than versions are given tries: all others come", async () => {
  await withScene({ times: { lineBytesMax: LINE_BYTES_MAX } }, async (scene, server) => {
    await scene.complete();
    await until("a watch", () => server.watches.length === 1);
    for (let i = 0; i < 5; i++) {
      server.store.create(sampleEvent("a", `huge-${i}`, { message: "x".repeat(LINE_BYTES_MAX) }));
    }
    server.store.create(sampleEvent("a", "later"));
    server.store.repeat("a", "later");
    server.store.delete("a", "later");
    await scene.complete(() => tooLong(server));
    assertEquals(scene.gaps.length, 5);
    scene.assertUnhurried();
  });
});

/** Sends Event objects into the open watch, each under a version of its own. */
async function show(server: FakeApiServer, ...events: object[]): Promise<void> {
  for (const event of events) {
    const resourceVersion = `${server.store.revision + 1n}`;
    server.store.bump(server.store.revision + 1n);
    const { metadata = {}, ...rest } = event as { metadata?: object };
    const object = { metadata: { ...metadata, resourceVersion }, ...rest };
    await server.watches[0]!.answer.send(`${JSON.stringify({ type: "ADDED", object })}\n`);
  }
}

Deno.test("fault 37: events without uid, namespace, count or times are told apart by what they have", async () => {
  await withScene({}, async (scene, server) => {
    await scene.complete();
    await until("a watch", () => server.watches.length === 1);
    const bare = { metadata: { name: "n" }, message: "m" };
    await show(
      server,
      bare,
      { ...bare, metadata: { name: "n", namespace: "" } }, // The same: empty counts as absent.
      { ...bare, metadata: { name: "n", uid: null, creationTimestamp: null } }, // The same again.
      { ...bare, count: null, firstTimestamp: null, lastTimestamp: null, source: {} }, // And again.
      { ...bare, metadata: { name: "n", namespace: "x" } },
      { ...bare, metadata: { namespace: "x" } },
      { ...bare, metadata: {} },
      { ...bare, count: 0 },
    );
    const names = () =>
      scene.lines().map((line) => {
        const { metadata: { name, namespace }, count } = JSON.parse(line);
        return [namespace, name, count].join("/");
      });
    await until("their lines", () => names().length >= 5);
    server.store.create(sampleEvent("z", "last"));
    await until("the last line", () => names().length >= 6);
    assertEquals(names(), ["/n/", "x/n/", "x//", "//", "/n/0", "z/last/1"]);
  });
});

Deno.test("fault 38: event times ten years off, and our clock stepped as far, change nothing (check 4.2.17)", async () => {
  let stepMs = 0;
  const io = { ...realIo, nowMs: () => Date.now() + stepMs };
  const decade = 10 * 365 * 86_400_000;
  await withScene({ io }, async (scene, server) => {
    await scene.complete();
    for (const [i, step] of [0, decade, -decade, 0].entries()) {
      stepMs = step;
      for (const year of [2016, 2036, 1970]) {
        const lastTimestamp = `${year}-01-01T00:00:0${i}Z`;
        server.store.create(sampleEvent("a", `e${i}-${year}`, { lastTimestamp }));
      }
      await scene.complete();
      // All of it again: a LIST is owed.
      const action = statusAnswer(410, "Expired", "too old");
      server.faults.push({ match: { verb: "watch" }, times: 2, action });
      server.dropConnections("end");
      await until("the refusals", () => server.faults.pending === 0);
      await scene.complete();
    }
    // Stopped while the clock is right, started when it is not.
    await scene.stop();
    stepMs = -decade;
    await scene.start();
    server.store.create(sampleEvent("a", "last"));
    await scene.complete();
    assertEquals(scene.lines().length, 13);
  });
});

const LIST_TEXTS: [string, (text: string) => string | Uint8Array, number][] = [
  ["printed over several lines", (text) => JSON.stringify(JSON.parse(text), null, 2), 0],
  ["with CRLF between its tokens", (text) => text.replaceAll('},{"', '},\r\n{"'), 0],
  ["behind a BOM", (text) => `\ufeff${text}`, 1],
  ["with a NUL in it", (text) => text.replace('"items"', '\u0000"items"'), 1],
  ["with bytes that are no UTF-8", (text) => Uint8Array.from(text, (c) => c.charCodeAt(0)), 1],
];

for (const [what, body, warnings] of LIST_TEXTS) {
  Deno.test(`fault 35: a LIST ${what}: one valid line each, or a failure that is told`, async () => {
    await withScene({}, async (scene, server) => {
      await scene.complete();
      await scene.stop();
      for (let i = 0; i < 3; i++) {
        server.store.create(sampleEvent("a", `e${i}`, { message: "ü\u2028\u0085 \\u0085\t" }));
      }
      server.store.compact();
      server.faults.push({ match: { verb: "list" }, action: { body } });
      await scene.start();
      await scene.complete();
      assertEquals(server.faults.taken, 1);
      assertEquals(scene.logged("LIST /api/v1/events failed").length, warnings);
      for (const line of scene.lines()) assertEquals(line.match(/[\u0085\u2028]/), null, line);
    });
  });
}

/** Versions of lists and of events, not those of the objects that events are about. */
const VERSIONS = /("metadata":\{[^{}]*?"resourceVersion":)"(\d+)"/g;

Deno.test("fault 36: a server whose versions are no numbers: resumed by equality, no LIST", async () => {
  await withScene({}, async (scene, server) => {
    await scene.stop();
    const named = (text: string) => text.replaceAll(VERSIONS, '$1"v$2"');
    server.faults.push({ match: { verb: "list" }, times: Infinity, action: { body: named } }, {
      match: { verb: "watch" },
      times: Infinity,
      action: ({ query }) => {
        query.set("resourceVersion", (query.get("resourceVersion") ?? "").replace("v", ""));
        return { lines: ({ text }) => [named(text)] };
      },
    });
    const names = () => scene.lines().map((line) => JSON.parse(line).metadata.name);
    server.store.create(sampleEvent("a", "e1"));
    await scene.start();
    await until("the LIST's line", () => names().length === 1);
    for (const name of ["e2", "e3", "e4"]) {
      await until("a watch", () => server.watches.length === 1);
      server.store.create(sampleEvent("a", name));
      await until("its line", () => names().includes(name));
      server.dropConnections("reset");
      await until("it is gone", () => server.watches.length === 0);
    }
    await scene.stop();
    server.store.create(sampleEvent("a", "e5"));
    await scene.start();
    await until("the last line", () => names().includes("e5"));
    assertEquals(names(), ["e1", "e2", "e3", "e4", "e5"]);
    assert(scene.logged("from resourceVersion v").length > 0);
    // The first one, and the one that is owed where no witness is known.
    assertEquals(server.log.filter(({ request }) => request.verb === "list").length <= 2, true);
    scene.assertUnhurried();
  });
});
