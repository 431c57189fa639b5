/**
 * LIST and WATCH of the fake API server: pages, resourceVersions, selectors, compaction, rewinds.
 */
import { assert, assertEquals } from "@std/assert";
import { bookmarkLine } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import { json, namesOf, until, versionsOf, watchLines, withServer } from "../fake/testing.ts";

const EVENTS = "/api/v1/events";

Deno.test("LIST gives items in key order, without kind, and pages of one revision", async () => {
  await withServer({}, async (server) => {
    for (const key of ["b/1", "a/2", "a-b/1", "a/1", "c/1"]) {
      const [namespace = "", name = ""] = key.split("/");
      server.store.create(sampleEvent(namespace, name));
    }
    const first = await json(server, `${EVENTS}?limit=2`);
    server.store.create(sampleEvent("a", "3"));
    server.store.repeat("b", "1");
    server.store.delete("c", "1");
    const token = first.metadata.continue;
    const second = await json(server, `${EVENTS}?limit=9&continue=${token}`);
    const names = [...first.items, ...second.items].map(({ metadata: { namespace, name } }) =>
      `${namespace}/${name}`
    );
    assertEquals(names, ["a-b/1", "a/1", "a/2", "b/1", "c/1"]);
    assertEquals([first.metadata.resourceVersion, second.metadata.resourceVersion], ["105", "105"]);
    assertEquals([first.metadata.remainingItemCount, second.metadata.continue], [3, undefined]);
    assertEquals(second.items[1]?.count, 1, "the state at the token's revision");
    assertEquals(first.items[0]?.kind, undefined);
    assertEquals(server.log.map(({ request }) => request.page), [1, 2]);
  });
});

Deno.test("LIST of a namespace holds nothing of another whose name begins alike", async () => {
  await withServer({ pageLimitMax: 1 }, async (server) => {
    for (const namespace of ["a", "ab", "a-b"]) server.store.create(sampleEvent(namespace, "e"));
    const list = await json(server, "/api/v1/namespaces/a/events");
    assertEquals(list.items.map(({ metadata }) => metadata.namespace), ["a"]);
    assertEquals(list.metadata.continue, undefined);
    const all = await json(server, EVENTS);
    assertEquals([all.items.length, all.metadata.remainingItemCount], [1, 2]);
  });
});

Deno.test("a continue token dies with compaction: 410 with a token that goes on", async () => {
  await withServer({}, async (server) => {
    for (const name of ["1", "2", "3"]) server.store.create(sampleEvent("a", name));
    const { metadata } = await json(server, `${EVENTS}?limit=1`);
    server.store.create(sampleEvent("a", "25"));
    server.store.compact();
    const refused = await json(server, `${EVENTS}?limit=1&continue=${metadata.continue}`, 410);
    assertEquals([refused.reason, refused.code], ["Expired", 410]);
    const rest = await json(server, `${EVENTS}?continue=${refused.metadata.continue}`);
    assertEquals(namesOf(rest), ["2", "25", "3"]);
    assertEquals(rest.metadata.resourceVersion, "104");
  });
});

Deno.test("LIST at a resourceVersion: newer than known 504, compacted 410, exact where asked", async () => {
  await withServer({}, async (server) => {
    for (const name of ["1", "2", "3"]) server.store.create(sampleEvent("a", name));
    server.store.compact(102);
    const version = async (query: string, status = 200) => {
      const body = await json(server, `${EVENTS}?${query}`, status);
      return status === 200 ? body.metadata.resourceVersion : body.reason;
    };
    assertEquals(await version("resourceVersion=104", 504), "Timeout");
    assertEquals(await version("resourceVersion=102"), "103");
    assertEquals(await version("resourceVersion=102&limit=5"), "102");
    assertEquals(await version("resourceVersion=0&limit=5"), "103");
    assertEquals(await version("resourceVersion=101&resourceVersionMatch=Exact", 410), "Expired");
    assertEquals(await version("resourceVersion=x", 400), "BadRequest");
    assertEquals(await version("limit=x", 400), "BadRequest");
    assertEquals(await version("continue=x", 400), "BadRequest");
  });
});

Deno.test("field selectors pick by name, kind, type and reason, with =, == and !=", async () => {
  await withServer({}, async (server) => {
    server.store.create(sampleEvent("a", "1", { type: "Warning", reason: "a,b" }));
    server.store.create(sampleEvent("a", "2"));
    server.store.create(
      sampleEvent("a", "3", { involvedObject: { kind: "Node", namespace: "a" } }),
    );
    const pick = async (selector: string) => {
      const list = await json(server, `${EVENTS}?fieldSelector=${encodeURIComponent(selector)}`);
      return namesOf(list).join("");
    };
    assertEquals(await pick("type=Warning"), "1");
    assertEquals(await pick("type!=Warning,involvedObject.kind==Pod"), "2");
    assertEquals(await pick("reason=a\\,b"), "1");
    assertEquals(await pick("metadata.name!=2"), "13");
    const unknown = await json(server, `${EVENTS}?fieldSelector=nope%3D1`, 400);
    assertEquals(unknown.message, "field label not supported: nope");
  });
});

Deno.test("WATCH ends cleanly after timeoutSeconds", async () => {
  await withServer({}, async (server) => {
    const start = performance.now();
    await watchLines(server, `${EVENTS}?watch=1&resourceVersion=100&timeoutSeconds=1`);
    assertEquals([server.log[0]?.ended, server.watches.length], ["complete", 0]);
    assert(performance.now() - start >= 990);
  });
});

Deno.test("WATCH replays the log after a resourceVersion and goes on live", async () => {
  await withServer({}, async (server) => {
    server.store.create(sampleEvent("a", "1"));
    server.store.create(sampleEvent("a", "2"));
    server.store.repeat("a", "1");
    const lines = watchLines(server, `${EVENTS}?watch=1&resourceVersion=101`, 3);
    await until(() => server.log[0]?.events === 2);
    server.store.delete("a", "2");
    assertEquals(versionsOf(await lines), ["ADDED 102", "MODIFIED 103", "DELETED 104"]);
    await until(() => server.log[0]?.ended === "client" && server.watches.length === 0);
  });
});

Deno.test("WATCH from a compacted resourceVersion is 200 and ERROR 410", async () => {
  await withServer({}, async (server) => {
    for (const name of ["1", "2", "3"]) server.store.create(sampleEvent("a", name));
    server.store.compact(103);
    const [line = ""] = await watchLines(server, `${EVENTS}?watch=1&resourceVersion=101`);
    const { type, object } = JSON.parse(line);
    assertEquals([type, object.code, object.reason], ["ERROR", 410, "Expired"]);
    const kept = `${EVENTS}?watch=1&resourceVersion=102&timeoutSeconds=1`;
    assertEquals(versionsOf(await watchLines(server, kept)), ["ADDED 103"]);
  });
});

Deno.test("WATCH from a future resourceVersion is silent until the counter has passed it", async () => {
  await withServer({}, async (server) => {
    const lines = watchLines(server, `${EVENTS}?watch=1&resourceVersion=102`, 1);
    await until(() => server.log[0]?.status === 200);
    for (const name of ["1", "2", "3"]) server.store.create(sampleEvent("a", name));
    assertEquals(versionsOf(await lines), ["ADDED 103"]);
  });
});

Deno.test("WATCH without resourceVersion begins with ADDED in key order, then a bookmark", async () => {
  await withServer({}, async (server) => {
    for (const name of ["2", "1"]) server.store.create(sampleEvent("a", name));
    const query = `${EVENTS}?watch=1&timeoutSeconds=1`;
    assertEquals(versionsOf(await watchLines(server, query)), ["ADDED 102", "ADDED 101"]);
    const marked = await watchLines(server, `${query}&resourceVersion=0&allowWatchBookmarks=true`);
    assertEquals(versionsOf(marked), ["ADDED 102", "ADDED 101", "BOOKMARK 102"]);
    const end = { "k8s.io/initial-events-end": "true" };
    assertEquals(marked[2], bookmarkLine("102", end).trimEnd());
  });
});

Deno.test("WATCH with a selector turns a change of the match into ADDED and DELETED", async () => {
  await withServer({}, async (server) => {
    const query = "watch=1&resourceVersion=100&fieldSelector=type%3DNormal";
    const lines = watchLines(server, `${EVENTS}?${query}`, 4);
    server.store.create(sampleEvent("a", "1"));
    server.store.patch("a", "1", { type: "Warning" });
    server.store.repeat("a", "1");
    server.store.patch("a", "1", { type: "Normal" });
    server.store.repeat("a", "1");
    const seen = await lines;
    const shown = ["ADDED 101", "DELETED 102", "ADDED 104", "MODIFIED 105"];
    assertEquals(versionsOf(seen), shown);
    assertEquals(JSON.parse(seen[1] ?? "").object.type, "Normal", "the state that matched");
  });
});

Deno.test("after a rewind numbers come again, and an open watch waits for its next one", async () => {
  await withServer({}, async (server) => {
    for (const name of ["1", "2", "3"]) server.store.create(sampleEvent("a", name));
    const lines = watchLines(server, `${EVENTS}?watch=1&resourceVersion=103`, 1);
    await until(() => server.watches.length === 1);
    server.store.rewindTo(101);
    assertEquals(namesOf(await json(server, EVENTS)), ["1"]);
    const ahead = await json(server, `${EVENTS}?resourceVersion=103`, 504);
    assertEquals(ahead.details.causes[0].reason, "ResourceVersionTooLarge");
    for (const name of ["x", "y", "z"]) server.store.create(sampleEvent("a", name));
    assertEquals(versionsOf(await lines), ["ADDED 104"]);
    const log = server.revisions.map(({ epoch, revision }) => `${epoch}:${revision}`);
    assertEquals(log, ["0:101", "0:102", "0:103", "1:102", "1:103", "1:104"]);
    assertEquals(server.oracle().size, 6, "what was rewound was stored once");
  });
});

Deno.test("a bump with compaction makes old resourceVersions 410", async () => {
  await withServer({}, async (server) => {
    server.store.create(sampleEvent("a", "1"));
    server.store.bump(1_000_000_000n);
    server.store.compact();
    const [line = ""] = await watchLines(server, `${EVENTS}?watch=1&resourceVersion=101`);
    assertEquals(JSON.parse(line).object.code, 410);
    const list = await json(server, EVENTS);
    assertEquals(list.metadata.resourceVersion, "1000000000");
    assertEquals(namesOf(list), ["1"]);
    assertEquals(server.store.create(sampleEvent("a", "2")).metadata.resourceVersion, "1000000001");
  });
});
