/**
 * The storage of the fake API server: revisions, uids, fields, TTL.
 */
import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { contentOf } from "../fake/content.ts";
import { sampleEvent } from "../fake/sample.ts";
import { until, withServer } from "../fake/testing.ts";

Deno.test("each write gets the next revision as its resourceVersion, a no-op write none", async () => {
  await withServer({ firstRevision: 7 }, ({ store }) => {
    const created = store.create(sampleEvent("a", "e"));
    assertEquals(created.metadata.resourceVersion, "8");
    assertEquals(store.repeat("a", "e").metadata.resourceVersion, "9");
    assertEquals(store.patch("a", "e", { count: 2 }).metadata.resourceVersion, "9");
    const { lastTimestamp: _, ...event } = store.get("a", "e");
    assertEquals(store.revision, 9n);
    assertEquals(event.count, 2);
    assertEquals(store.revisions.map(({ type }) => type), ["ADDED", "MODIFIED"]);
  });
});

Deno.test("a uid lives from create to delete; the same name then gets another", async () => {
  await withServer({}, ({ store }) => {
    const first = store.create(sampleEvent("a", "e")).metadata.uid;
    assertEquals(store.series("a", "e", 2).metadata.uid, first);
    const deleted = store.delete("a", "e");
    assertEquals([deleted.metadata.uid, deleted.metadata.resourceVersion], [first, "103"]);
    assertNotEquals(store.create(sampleEvent("a", "e")).metadata.uid, first);
    assertThrows(() => store.create(sampleEvent("a", "e")), Error, 'events "e" already exists');
  });
});

Deno.test("the stored object keeps known fields in Go's order and times in UTC", async () => {
  await withServer({}, ({ store }) => {
    const input = sampleEvent("a", "e", {
      unknown: 1,
      firstTimestamp: "2026-01-01T00:30:00.5+02:00",
      message: "\ud800 <b>",
      eventTime: "2026-01-01T00:00:00.123456Z",
    });
    const event = store.create(input);
    assertEquals(
      Object.keys(event).join(),
      [
        "metadata,involvedObject,reason,message,source,firstTimestamp,lastTimestamp,count,type",
        "eventTime,reportingComponent,reportingInstance",
      ].join(),
    );
    assertEquals(event.firstTimestamp, "2025-12-31T22:30:00Z");
    assertEquals(event.eventTime, "2026-01-01T00:00:00.123456Z");
    assertEquals(event.message, "\ufffd <b>");
    assertThrows(() => store.create(sampleEvent("a", "f", { eventTime: "2026-01-01T00:00:00Z" })));
    assertThrows(() => store.create(sampleEvent("a", "f", { count: "1" })), Error, "int32");
  });
});

Deno.test("managedFields name who wrote a field last", async () => {
  await withServer({}, ({ store }) => {
    store.create(sampleEvent("a", "e"), { manager: "kubelet" });
    const event = store.patch("a", "e", { count: 2 }, { manager: "other" });
    const owners = event.metadata.managedFields as { manager: string; fieldsV1: object }[];
    const countOf = (name: string) => {
      const fields = owners.find(({ manager }) => manager === name)?.fieldsV1 ?? {};
      return ["f:count" in fields, "f:reason" in fields];
    };
    assertEquals([countOf("kubelet"), countOf("other")], [[false, true], [true, false]]);
  });
});

Deno.test("a metadata-only write and an event with a finalizer are MODIFIED of equal content", async () => {
  await withServer({}, ({ store }) => {
    store.create(sampleEvent("a", "e"));
    store.annotate("a", "e", { "10": "x", "9": "y", ["__proto__"]: "z" });
    store.patch("a", "e", { metadata: { finalizers: ["example.com/hold"] } });
    store.delete("a", "e");
    store.patch("a", "e", { metadata: { finalizers: null } });
    const types = store.revisions.map(({ type }) => type);
    assertEquals(types, ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]);
    assertEquals(new Set(store.revisions.map(({ object }) => contentOf(object))).size, 1);
    assertEquals(store.size, 0);
  });
});

Deno.test("expire deletes the events whose last write is oldest, under one revision", async () => {
  await withServer({}, ({ store }) => {
    for (const name of ["a", "b", "c", "d"]) store.create(sampleEvent("n", name));
    store.repeat("n", "a");
    const deleted = store.expire(3);
    assertEquals(deleted.map(({ metadata }) => metadata.name), ["b", "c", "d"]);
    assertEquals(new Set(store.revisions.slice(-3).map(({ revision }) => revision)).size, 1);
    assertEquals(store.size, 1);
  });
});

Deno.test("the TTL runs from the last write and follows the server's clock", async () => {
  let now = Date.UTC(2030, 0, 1);
  await withServer({ ttlSec: 3600, now: () => now }, ({ store }) => {
    assertEquals(
      store.create(sampleEvent("n", "old")).metadata.creationTimestamp,
      "2030-01-01T00:00:00Z",
    );
    store.create(sampleEvent("n", "renewed"));
    now += 3_000_000;
    store.series("n", "renewed", 2);
    now += 700_000;
    store.expireDue();
    assertThrows(() => store.get("n", "old"), Error, "not found");
    assertEquals(store.get("n", "renewed").metadata.name, "renewed");
  });
});

Deno.test("a short TTL expires events by itself", async () => {
  await withServer({ ttlSec: 0.05 }, async ({ store }) => {
    store.create(sampleEvent("n", "e"));
    await until(() => store.size === 0);
    assertEquals(store.revisions.at(-1)?.type, "DELETED");
  });
});
