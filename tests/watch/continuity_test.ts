/**
 * The rules of DESIGN.md "List and watch": what a resumed WATCH proves, and when a LIST is owed.
 */

import { assert, assertEquals } from "@std/assert";
import type { Position } from "../../lib/protocol.ts";
import { type RequestInfo, statusAnswer } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { until, withServer } from "../fake/testing.ts";
import { type MainEnd, untilMet, watchFrom, withEnd } from "./main_end.ts";

/** "list" (its first page), or "watch" and its resourceVersion, for each request so far. */
function requests(server: FakeApiServer): string[] {
  return server.log.flatMap(({ request: { verb, query, page } }) => {
    if (verb === "watch") return `watch ${query.get("resourceVersion")}`;
    return page === 1 ? "list" : [];
  });
}

function create(server: FakeApiServer, ...names: string[]): void {
  for (const name of names) server.store.create(sampleEvent("a", name));
}

/** What a run that met all events so far left in its checkpoint. */
async function positionAfterAll(server: FakeApiServer, ...names: string[]): Promise<Position> {
  let position: Position | null = null;
  await withEnd(server.url, {}, async (end) => {
    await until(() => end.isSettled);
    const met = end.events.length;
    create(server, ...names);
    await untilMet(end, met + names.length);
    position = end.position;
  });
  server.log.length = 0;
  return position!;
}

/** Until nothing is owed and a new event comes through. */
async function untilSettled(end: MainEnd, server: FakeApiServer): Promise<void> {
  await until(() => server.watches.length > 0 && !end.position?.listOwed);
  const name = `settled-${server.store.revision}`;
  create(server, name);
  await until(() => end.names.includes(name));
  await until(() => end.isSettled);
}

Deno.test("the first start lists all pages and watches from the LIST's version beside them (check 4.2.1)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1", "e2", "e3", "e4");
    server.faults.push({ match: { verb: "list", page: 2 }, action: { holdMs: 400 } });
    await withEnd(server.url, {}, async (end) => {
      await until(() => server.watches.length === 1);
      create(server, "during");
      await until(() => end.names.includes("during"));
      assert(!end.names.includes("e4"), "the second page is still held");
      assertEquals(end.position?.listOwed, true);
      await until(() => end.isSettled);
      assertEquals(end.names, ["e1", "e2", "e3", "during", "e4"]);
      const [begun] = end.positions[0]!;
      assert(begun!.seenMs! <= Date.now());
      assertEquals({ ...begun!, seenMs: 0 }, {
        rv: "104",
        witness: null,
        previous: "104",
        highest: "104",
        listOwed: true,
        seenMs: 0,
      });
      assertEquals([end.position?.rv, end.position?.previous], ["105", "104"]);
      assertEquals(requests(server), ["list", "watch 104"]);
      assertEquals(end.connected, 1);
    });
  });
});

Deno.test("resumed from P, the witness proves continuity: no LIST, and P stays (check 4.2.18)", async () => {
  await withServer({}, async (server) => {
    const position = await positionAfterAll(server, "e1", "e2");
    assertEquals([position.rv, position.previous, position.listOwed], ["102", "101", false]);
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await untilMet(end, 1);
      assertEquals(end.versions, ["102"]);
      // The witness moves nothing: the next resumption must see it again.
      server.dropConnections("end");
      await untilMet(end, 2);
      server.dropConnections("reset");
      await untilMet(end, 3);
      await untilSettled(end, server);
      assertEquals(end.versions, ["102", "102", "102", "103"]);
      assertEquals(requests(server), ["watch 101", "watch 101", "watch 101"]);
      assertEquals(end.positions.filter(([p]) => p?.previous !== "101" && p?.rv !== "103"), []);
    });
  });
});

Deno.test("what happened while away comes by the watch, without a LIST", async () => {
  await withServer({}, async (server) => {
    const position = await positionAfterAll(server, "e1", "e2");
    create(server, "e3", "e4");
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await untilMet(end, 3);
      await untilSettled(end, server);
      assertEquals(end.versions.slice(0, 3), ["102", "103", "104"]);
      assertEquals(requests(server), ["watch 101"]);
    });
  });
});

Deno.test("another event than the witness at its resourceVersion: a LIST is owed, and paid", async () => {
  await withServer({}, async (server) => {
    const position = await positionAfterAll(server, "e1", "e2");
    const witness = "0".repeat(32);
    server.faults.push({ match: { verb: "list" }, action: { holdMs: 100 } });
    await withEnd(server.url, { watches: [watchFrom({ ...position, witness })] }, async (end) => {
      await until(() => end.isSettled);
      assertEquals(requests(server), ["watch 101", "list"]);
      assert(end.positions.some(([p]) => p?.listOwed), "the debt is told before it is paid");
      // From now on the event that came is the witness.
      server.dropConnections("end");
      await until(() => server.log.length === 3);
      await untilSettled(end, server);
      assertEquals(requests(server), ["watch 101", "list", "watch 101"]);
    });
  });
});

Deno.test("another resourceVersion first: a LIST is owed, and the stream's truth is taken", async () => {
  await withServer({}, async (server) => {
    create(server, "e1", "e2", "e3");
    const position = {
      rv: "102",
      witness: "1".repeat(32),
      previous: "102",
      highest: "102",
      listOwed: false,
    };
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await until(() => end.isSettled);
      assertEquals(requests(server), ["watch 102", "list"]);
      assertEquals([end.position?.rv, end.position?.previous], ["103", "102"]);
    });
  });
});

Deno.test("silence instead of the witness: a LIST is owed, and the open watch goes on", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    server.store.bump(200);
    const position = {
      rv: "150",
      witness: "1".repeat(32),
      previous: "140",
      highest: "150",
      listOwed: false,
    };
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await until(() => end.isSettled);
      assertEquals(end.names, ["e1"]);
      await untilSettled(end, server);
      assertEquals(requests(server), ["watch 140", "list"]);
      // P is where the watch began: there the event that came since is the first.
      assertEquals([end.position?.rv, end.position?.previous], ["201", "140"]);
    });
  });
});

Deno.test("no witness, as after a LIST without an event since: a LIST is owed", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    const position = { rv: "101", witness: null, previous: "101", highest: "101", listOwed: false };
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await until(() => end.isSettled);
      assertEquals(requests(server), ["watch 101", "list"]);
    });
  });
});

Deno.test("a LIST owed by the last run is made although the witness comes", async () => {
  await withServer({}, async (server) => {
    const position = await positionAfterAll(server, "e1", "e2");
    const owing = { ...position, listOwed: true };
    await withEnd(server.url, { watches: [watchFrom(owing)] }, async (end) => {
      await until(() => end.isSettled);
      assertEquals(requests(server), ["watch 101", "list"]);
      assertEquals(end.names.toSorted(), ["e1", "e2", "e2"]);
    });
  });
});

Deno.test("P compacted: a LIST, and the watch goes on from the last version (fault 5; check 4.2.6)", async () => {
  await withServer({}, async (server) => {
    const position = await positionAfterAll(server, "e1", "e2");
    create(server, "e3");
    server.store.repeat("a", "e3");
    server.store.compact(103);
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await until(() => end.isSettled);
      await untilSettled(end, server);
      assertEquals(requests(server), ["watch 101", "list", "watch 102"]);
      // The state of e3 that a LIST cannot show any more came by the watch.
      assert(end.versions.includes("103"));
    });
  });
});

for (const form of ["ERROR in an answer 200", "HTTP 410"]) {
  Deno.test(`P and the last version compacted (${form}): the watch goes on from the LIST's (faults 5, 6; check 4.2.6)`, async () => {
    await withServer({}, async (server) => {
      const position = await positionAfterAll(server, "e1", "e2");
      create(server, "e3", "e4");
      server.store.compact();
      if (form === "HTTP 410") {
        const gone = statusAnswer(410, "Gone", "too old resource version: 101 (104)");
        server.faults.push({ match: { verb: "watch" }, times: 2, action: gone });
      }
      await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
        await until(() => end.isSettled);
        await untilSettled(end, server);
        assertEquals(requests(server), ["watch 101", "list", "watch 102", "watch 104"]);
        assertEquals(end.names.slice(0, 4), ["e1", "e2", "e3", "e4"]);
        assertEquals([end.position?.rv, end.position?.previous], ["105", "104"]);
      });
    });
  });
}

for (
  const [how, action] of Object.entries({
    "is refused by 503": statusAnswer(503, "ServiceUnavailable", "the server is restarting"),
    "gets no answer": { holdMs: Infinity },
  })
) {
  Deno.test(`the WATCH from a LIST's version ${how}: it is come back to, before a later one (fault 36)`, async () => {
    await withServer({}, async (server) => {
      const position = await positionAfterAll(server, "e1", "e2");
      create(server, "e3", "e4");
      server.store.compact();
      const when = ({ query }: RequestInfo) => query.get("resourceVersion") === "104";
      server.faults.push({ match: { verb: "watch", when }, action });
      const options = { watches: [watchFrom(position)], clientTimes: { headerMs: 200 } };
      await withEnd(server.url, options, async (end) => {
        await until(() => requests(server).includes("watch 104"));
        server.store.repeat("a", "e1");
        server.store.repeat("a", "e1");
        await until(() => end.versions.includes("106"));
        await until(() => end.versions.includes("105"));
        assertEquals(end.gaps.length, 1);
      });
    });
  });
}

Deno.test("a LIST's version that is compacted before its WATCH has begun: a later LIST, at once", async () => {
  await withServer({}, async (server) => {
    const position = await positionAfterAll(server, "e1", "e2");
    create(server, "e3", "e4");
    server.store.compact();
    const when = ({ query }: RequestInfo) => query.get("resourceVersion") === "104";
    const action = statusAnswer(503, "ServiceUnavailable", "the server is restarting");
    server.faults.push({ match: { verb: "watch", when }, action });
    const backoff = { firstMs: 300, maxMs: 60_000, resetMs: 60_000 };
    const times = { backoff, listIntervalMs: 60_000 };
    await withEnd(server.url, { watches: [watchFrom(position)], times }, async (end) => {
      await until(() => requests(server).includes("watch 104"));
      create(server, "e5");
      server.store.bump(200);
      server.store.compact();
      await until(() => server.watches.length === 1);
      assertEquals(requests(server).slice(-3), ["watch 104", "list", "watch 200"]);
      assertEquals(end.logs.filter((line) => line.includes("Next attempt in")).length, 1);
    });
  });
});

Deno.test("P refused while a LIST runs that began after it: the watch does not wait for another", async () => {
  await withServer({}, async (server) => {
    create(server, "e1", "e2", "e3", "e4");
    const position = { rv: "101", witness: null, previous: "101", highest: "101", listOwed: false };
    server.store.compact();
    // The refusal comes when the LIST, owed for want of a witness, has begun.
    const trickle = { bytes: 20, delayMs: 20 };
    server.faults.push({ match: { verb: "watch" }, action: { trickle } });
    server.faults.push({ match: { verb: "list", page: 2 }, action: { holdMs: 500 } });
    const options = { watches: [watchFrom(position)], times: { listIntervalMs: 60_000 } };
    await withEnd(server.url, options, async (end) => {
      await until(() => server.watches.length === 1 && requests(server).length === 3);
      assertEquals(requests(server), ["watch 101", "list", "watch 104"]);
      // What a later LIST could not show any more comes by the watch.
      server.store.repeat("a", "e1");
      server.store.repeat("a", "e1");
      await until(() => end.versions.includes("106"));
      assert(end.versions.includes("105"));
    });
  });
});

Deno.test("refused soon after a LIST: the next one does not wait for the interval, as no watch runs", async () => {
  await withServer({}, async (server) => {
    create(server, "e1", "e2");
    await withEnd(server.url, { times: { listIntervalMs: 60_000 } }, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e3", "e4");
      await until(() => end.names.includes("e4"));
      server.store.bump(200);
      server.store.compact();
      server.dropConnections("end");
      await until(() => requests(server).length === 6);
      await untilSettled(end, server);
      assertEquals(requests(server), [
        ...["list", "watch 102"],
        ...["watch 103", "list", "watch 104", "watch 200"],
      ]);
    });
  });
});

Deno.test("every version refused for long: no hot loop, LISTs keep their interval, then it goes on (fault 7)", async () => {
  await withServer({}, async (server) => {
    const position = await positionAfterAll(server, "e1", "e2");
    const action = statusAnswer(410, "Expired", "too old");
    server.faults.push({ match: { verb: "watch" }, times: 1000, action });
    const options = { watches: [watchFrom(position)], times: { listIntervalMs: 200 } };
    const began = performance.now();
    await withEnd(server.url, options, async (end) => {
      await until(() => requests(server).filter((one) => one === "list").length === 6);
      // Not from the first one's arrival: a busy machine is late with that, not with its start.
      const elapsedMs = performance.now() - began;
      assert(elapsedMs >= 5 * 200, `${elapsedMs} ms`);
      const kinds = requests(server);
      assertEquals(kinds.slice(0, 4), ["watch 101", "list", "watch 102", "watch 102"]);
      // From then on one WATCH for each LIST.
      assert(kinds.length <= 2 + 2 * 6, `${kinds}`);
      server.faults.clear();
      create(server, "e3");
      await until(() => end.isSettled && end.names.includes("e3"));
    });
  });
});

Deno.test("etcd went back: the position is dropped and its watch begun anew from the LIST (fault 24; check 4.2.18)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1", "e2", "e3");
    const position = await positionAfterAll(server, "e4", "e5");
    assertEquals(position.rv, "105");
    server.store.rewindTo(102);
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await until(() => end.isSettled);
      assertEquals(end.logged("WARNING").length, 1);
      assertEquals(end.logged("went back from resourceVersion 105 to 102").length, 1);
      assertEquals(end.names, ["e1", "e2"]);
      await until(() => requests(server).includes("watch 102"));
      // resourceVersions that were used before come again, for other events.
      create(server, "f3", "f4", "f5");
      await untilMet(end, 5);
      assertEquals(end.names.slice(2), ["f3", "f4", "f5"]);
      assertEquals(requests(server), ["watch 104", "list", "watch 102"]);
      assertEquals([end.position?.rv, end.position?.previous], ["105", "104"]);
    });
  });
});

Deno.test("etcd went back and moved past us while we were away: nothing alive is lost (fault 24)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1", "e2", "e3");
    const position = await positionAfterAll(server, "e4", "e5");
    server.store.rewindTo(102);
    create(server, "f3", "f4", "f5", "f6", "f7");
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await until(() => end.isSettled);
      await untilSettled(end, server);
      for (const name of ["f3", "f4", "f5", "f6", "f7"]) assert(end.names.includes(name), name);
      assertEquals(requests(server), ["watch 104", "list"]);
    });
  });
});

Deno.test("events that come while a LIST is on its way are not taken for a step back", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      server.faults.push({
        match: { verb: "list" },
        action: { trickle: { bytes: 40, delayMs: 40 } },
      });
      end.send({ type: "list", request: 1 });
      await until(() => server.log.some(({ request }, i) => i > 0 && request.verb === "list"));
      create(server, "e2", "e3");
      await until(() => end.names.includes("e3"));
      assertEquals(end.listed, []);
      await until(() => end.listed.length === 1);
      assertEquals(end.logged("WARNING"), []);
      assertEquals([end.position?.rv, end.position?.previous], ["103", "102"]);
    });
  });
});

Deno.test("resourceVersions that go back on an open watch: a LIST is owed, P is of the new history (faults 21, 26)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1", "e2", "e3");
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e4");
      await untilMet(end, 4);
      const { object } = server.revisions[1]!;
      const event = { kind: "Event", apiVersion: "v1", ...object };
      server.watches[0]!.answer.send(`${JSON.stringify({ type: "ADDED", object: event })}\n`);
      await until(() => server.log.length >= 4 && end.isSettled);
      const { seenMs: _, ...position } = end.position!;
      assertEquals(position, {
        rv: "102",
        witness: null,
        previous: "102",
        highest: "104", // The LIST that was owed shows e4 again.
        listOwed: false,
      });
      assertEquals(
        end.logged("owed, because resourceVersions went back from 104 to 102").length,
        1,
      );
    });
  });
});

Deno.test("a DELETED is not written, but moves the position, and can be the witness (fault 28; check 4.2.4)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1", "e2");
    let position: Position | null = null;
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      server.store.delete("a", "e1");
      await until(() => end.position?.rv === "103");
      assertEquals(end.names, ["e1", "e2"]);
      position = end.position;
    });
    server.log.length = 0;
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await untilSettled(end, server);
      assertEquals(requests(server), ["watch 102"]);
      assertEquals(end.versions, ["104"]);
    });
  });
});

Deno.test("of many DELETED under one resourceVersion the first is the witness (fault 27)", async () => {
  await withServer({}, async (server) => {
    const names = Array.from({ length: 20 }, (_, i) => `e${i}`);
    create(server, ...names);
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      server.store.expire(20);
      await until(() => end.position?.rv === "121");
      server.log.length = 0;
      server.dropConnections("reset");
      await until(() => server.log.length === 1);
      await untilSettled(end, server);
      assertEquals(requests(server), ["watch 120"]);
      assertEquals(end.events.length, 21);
    });
  });
});

Deno.test("metadata-only writes and repetitions come as lines with their own resourceVersion (fault 31)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      server.store.annotate("a", "e1", { a: "b" });
      server.store.repeat("a", "e1");
      await untilMet(end, 3);
      const [first, annotated, repeated] = end.events;
      assertEquals(first!.key, annotated!.key);
      assert(repeated!.key !== first!.key);
      assertEquals(end.versions, ["101", "102", "103"]);
    });
  });
});
