/**
 * Watches that are silent: one that is dead is found out in time, one that is alive is left alone,
 * and both cost next to nothing.
 */

import { assert, assertEquals } from "@std/assert";
import type { WatchTimes } from "../../lib/watch_context.ts";
import { tooManyRequests } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { until, withServer } from "../fake/testing.ts";
import { type MainEnd, untilMet, withEnd } from "./main_end.ts";

/** A check each 0.2 s instead of each minute; each listens for 0.2 s instead of 5 s. */
const QUICK: Partial<WatchTimes> = { stallMs: 200, witnessMs: 200 };

function create(server: FakeApiServer, ...names: string[]): void {
  for (const name of names) server.store.create(sampleEvent("a", name));
}

/** Each request so far: of the reflector "list" and "watch N", of the check "version", "show N". */
function requests(server: FakeApiServer): string[] {
  return server.log.flatMap(({ request: { verb, query, page } }) => {
    const from = query.get("resourceVersion");
    if (verb === "watch") return `${query.has("allowWatchBookmarks") ? "watch" : "show"} ${from}`;
    if (query.get("limit") === "1") return "version";
    return page === 1 ? "list" : [];
  });
}

function countOf(server: FakeApiServer, request: string): number {
  return requests(server).filter((one) => one.startsWith(request)).length;
}

/** Settles when so many more checks have begun. */
async function untilChecked(server: FakeApiServer, times: number): Promise<void> {
  const before = countOf(server, "version");
  await until(() => countOf(server, "version") >= before + times);
}

/** Runs a test with a session whose watch is open and has shown the events e1 and e2. */
async function withIdleWatch(
  test: (server: FakeApiServer, end: MainEnd) => Promise<void>,
  times: Partial<WatchTimes> = {},
): Promise<void> {
  await withServer({}, async (server) => {
    await withEnd(server.url, { times: { ...QUICK, ...times } }, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e1", "e2");
      await untilMet(end, 2);
      await test(server, end);
    });
  });
}

/** From here on the open watches show nothing, and nothing else tells it (fault 18). */
function makeSilent(server: FakeApiServer): void {
  server.dropConnections("silence");
}

Deno.test("a half-open watch is found out, and all states written meanwhile come (fault 18)", async () => {
  await withIdleWatch(async (server, end) => {
    makeSilent(server);
    create(server, "e3");
    server.store.repeat("a", "e3");
    server.store.delete("a", "e3");
    const began = performance.now();
    await untilMet(end, 4);
    assert(performance.now() - began < 5000);
    // 102 is the witness that comes again; no LIST would have shown 103 and 104.
    assertEquals(end.versions, ["101", "102", "102", "103", "104"].slice(0, end.events.length));
    await until(() => end.versions.includes("104"));
    assertEquals(countOf(server, "list"), 1);
    const [line] = end.logged("WARNING");
    assert(line!.includes("the server has the event of resourceVersion 103, which did"), line);
    assertEquals(end.logged("WARNING").length, 1);
  });
});

Deno.test("a half-open watch that has shown nothing yet is found out too (fault 18)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    await withEnd(server.url, { times: QUICK }, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      makeSilent(server);
      create(server, "e2");
      server.store.repeat("a", "e2");
      await until(() => end.versions.includes("102") && end.versions.includes("103"));
      assertEquals(end.logged("which did not come; the connection may be dead").length, 1);
    });
  });
});

Deno.test("half-open on a quiet cluster, P compacted: it goes on where it was seen to be alive", async () => {
  await withIdleWatch(async (server, end) => {
    server.store.bump(200); // Writes to anything but events.
    await until(() => end.position?.passed === "200");
    server.store.bump(300);
    server.store.compact(150);
    await until(() => end.position?.passed === "300");
    makeSilent(server);
    create(server, "e3");
    server.store.repeat("a", "e3");
    await until(() => end.versions.includes("301") && end.versions.includes("302"));
    const watches = requests(server).filter((one) => one.startsWith("watch"));
    assertEquals(watches, ["watch 100", "watch 101", "watch 102", "watch 300"]);
  });
});

Deno.test("etcd that is put back under an open watch is noticed (fault 26)", async () => {
  await withIdleWatch(async (server, end) => {
    create(server, "e3", "e4");
    await untilMet(end, 4);
    server.store.rewindTo(102);
    await until(() => end.logged("went back from resourceVersion 104 to 102").length === 2);
    // The versions of the history that is gone come again, for other events.
    create(server, "f3", "f4", "f5");
    await until(() => end.names.includes("f5"));
    assertEquals(end.names.filter((name) => name.startsWith("f")), ["f3", "f4", "f5"]);
    assertEquals(server.watches.length, 1);
  });
});

Deno.test("etcd put back and moved past us between two checks: the witness is another (fault 26)", async () => {
  await withIdleWatch(async (server, end) => {
    server.store.rewindTo(101);
    create(server, "f2");
    server.store.bump(150);
    await until(() => end.logged("the event of resourceVersion 102 is another one now").length > 0);
    await until(() => end.names.includes("f2") && end.isSettled);
  });
});

Deno.test("etcd put back behind what the watch passed, but not behind its last event (fault 26)", async () => {
  await withIdleWatch(async (server, end) => {
    server.store.bump(300);
    await until(() => end.position?.passed === "300");
    server.store.rewindTo(200);
    await until(() => end.logged("went back from resourceVersion 300 to 200").length === 1);
    await until(() => server.watches.length === 1);
    create(server, "f1");
    await until(() => end.names.includes("f1"));
    await untilChecked(server, 3);
    assertEquals(end.logged("WARNING").length, 1);
  });
});

Deno.test("etcd put back behind what a LIST showed, but not behind the last event: a LIST tells", async () => {
  await withIdleWatch(async (server, end) => {
    makeSilent(server);
    create(server, "e3");
    end.send({ type: "list", request: 1 });
    await until(() => end.versions.includes("103")); // The LIST has shown it, the WATCH has not.
    server.store.rewindTo(102);
    await until(() => end.logged("went back from resourceVersion 103 to 102").length === 1);
    await until(() => end.listed.length === 1);
    create(server, "f3");
    await until(() => end.names.includes("f3"));
  });
});

Deno.test("a LIST of main is told once the WATCH is past it, also past what is gone in it", async () => {
  await withIdleWatch(async (server, end) => {
    makeSilent(server);
    server.store.repeat("a", "e1"); // Known content, as of an annotation.
    server.store.delete("a", "e1");
    const before = end.events.length;
    end.send({ type: "list", request: 1 });
    await until(() => end.versions.slice(before).includes("102")); // It shows e2 alone.
    assertEquals(end.listed, []);
    await until(() => end.listed.length === 1);
    assert(end.versions.slice(before).includes("103"), `${end.versions}`);
    assertEquals(countOf(server, "list"), 2);
  });
});

Deno.test("a LIST of main on a quiet cluster is told without an event, by one check", async () => {
  await withIdleWatch(async (server, end) => {
    server.store.bump(300);
    server.log.length = 0;
    end.send({ type: "list", request: 1 });
    await until(() => end.listed.length === 1);
    assertEquals(requests(server), ["list", "version", "show 101"]);
    assertEquals(end.position?.passed, "300");
  }, { stallMs: 60_000 });
});

Deno.test("a healthy idle watch goes on undisturbed, for two requests a check", async () => {
  await withIdleWatch(async (server, end) => {
    server.log.length = 0;
    await untilChecked(server, 6);
    const cost = server.log.length / countOf(server, "version");
    console.log(`${cost.toFixed(2)} requests a check`);
    assert(cost <= 2, `${requests(server)}`);
    assertEquals(requests(server).slice(0, 4), ["version", "show 101", "version", "show 101"]);
    create(server, "e3");
    await untilMet(end, 3);
    assertEquals(end.versions, ["101", "102", "103"]);
    assertEquals(end.logged("WARNING"), []);
    assertEquals(countOf(server, "watch") + countOf(server, "list"), 0);
  });
});

Deno.test("a quiet cluster that compacts is neither disturbed nor listed again and again", async () => {
  await withIdleWatch(async (server, end) => {
    await untilChecked(server, 1);
    server.log.length = 0;
    for (let revision = 200; revision <= 600; revision += 100) {
      server.store.bump(revision);
      await until(() => end.position?.passed === `${revision}`);
      server.store.compact(revision - 50);
    }
    await untilChecked(server, 3);
    assertEquals(countOf(server, "watch") + countOf(server, "list"), 0);
    assertEquals(end.logged("WARNING"), []);
    // P is asked for once after it was compacted, and never again.
    const asked = requests(server);
    assert(asked.lastIndexOf("show 101") < asked.indexOf("show 200"), `${asked}`);
    create(server, "e3");
    await untilMet(end, 3);
    assertEquals(end.versions, ["101", "102", "601"]);
  });
});

Deno.test("while events come, nothing is asked", async () => {
  await withIdleWatch(async (server, end) => {
    server.log.length = 0;
    const began = performance.now();
    for (let n = 0; performance.now() - began < 2500; n++) {
      create(server, `n${n}`);
      await untilMet(end, 3 + n);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assertEquals(requests(server), []);
  }, { stallMs: 1500 });
});

Deno.test("a server that refuses to be asked proves nothing: the watch goes on", async () => {
  await withIdleWatch(async (server, end) => {
    const isCheck = { when: (request: { query: URLSearchParams }) => request.query.has("limit") };
    server.faults.push({ match: isCheck, times: 3, action: tooManyRequests(null) });
    await until(() => end.logged("could not be asked whether it is alive").length === 3);
    create(server, "e3");
    await untilMet(end, 3);
    assertEquals(end.versions, ["101", "102", "103"]);
    assertEquals(countOf(server, "watch"), 1);
  });
});

Deno.test("a server that does not obey timeoutSeconds is not listened to for longer", async () => {
  await withIdleWatch(async (server, end) => {
    server.faults.push({ match: { verb: "watch" }, times: 100, action: { ignoreTimeout: true } });
    await untilChecked(server, 4);
    assert(server.watches.length <= 2, `${server.watches.length} watches`);
    assertEquals(end.logged("WARNING"), []);
  });
});

Deno.test("a watch that main holds back is not taken for dead", async () => {
  await withIdleWatch(async (server, end) => {
    end.isHolding = true;
    const filler = "x".repeat(60_000);
    for (let n = 0; n < 40; n++) {
      server.store.create({ ...sampleEvent("a", `n${n}`), message: filler });
    }
    await until(() => end.waiting >= 4);
    server.log.length = 0;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assertEquals(requests(server), []);
    end.release();
    await untilMet(end, 42);
    assertEquals(end.logged("WARNING"), []);
  });
});
