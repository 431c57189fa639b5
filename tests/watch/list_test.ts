/**
 * LISTs: pages and what can go wrong with them, LISTs that main asks for, several watches.
 */

import { assert, assertEquals } from "@std/assert";
import { type FaultAction, statusAnswer } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { until, withServer } from "../fake/testing.ts";
import { type EndOptions, type MainEnd, untilMet, watchFrom, withEnd } from "./main_end.ts";

function create(server: FakeApiServer, ...names: string[]): void {
  for (const name of names) server.store.create(sampleEvent("a", name));
}

/** The LIST requests so far: page and limit ("" = none). */
function lists(server: FakeApiServer): string[] {
  return server.log.filter(({ request }) => request.verb === "list")
    .map(({ request: { page, query } }) => `${page}/${query.get("limit") ?? ""}`);
}

const SEVEN = ["e1", "e2", "e3", "e4", "e5", "e6", "e7"];

/** A server with seven events, so three pages, and a session that begins. */
async function withSeven(
  faults: FakeApiServer["faults"]["push"] extends (...faults: infer F) => void ? F : never,
  options: EndOptions,
  test: (end: MainEnd, server: FakeApiServer) => Promise<void>,
): Promise<void> {
  await withServer({}, async (server) => {
    create(server, ...SEVEN);
    server.faults.push(...faults);
    await withEnd(server.url, options, async (end) => await test(end, server));
  });
}

Deno.test("a LIST is asked for in pages, without a resourceVersion (check 4.2.1)", async () => {
  await withSeven([], {}, async (end, server) => {
    await until(() => end.isSettled);
    assertEquals(end.names, SEVEN);
    assertEquals(lists(server), ["1/3", "2/3", "3/3"]);
    const queries = server.log.map(({ request }) => request.query);
    assert(queries.every((query) => query.has("watch") || !query.has("resourceVersion")));
  });
});

Deno.test("LIST lines bear kind and apiVersion, and are those of the watch, to the byte (fault 45; check 4.2.16)", async () => {
  await withSeven([], {}, async (end, server) => {
    await until(() => end.isSettled && server.watches.length === 1);
    const { object } = server.revisions[2]!;
    const event = { kind: "Event", apiVersion: "v1", ...object };
    assertEquals(end.events[2]!.line, `${JSON.stringify(event)}\n`);
    server.store.delete("a", "e3");
    await until(() => end.position?.rv === "108");
    assertEquals(end.events.length, 7);
  });
});

Deno.test("an empty cluster and a list with items: null are complete LISTs (fault 45)", async () => {
  for (const body of ['"items":[]', '"items":null']) {
    await withServer({}, async (server) => {
      const action = { body: (text: string) => text.replace('"items":[]', body) };
      server.faults.push({ match: { verb: "list" }, action });
      await withEnd(server.url, {}, async (end) => {
        await until(() => end.isSettled);
        assertEquals(end.position?.rv, "100");
      });
    });
  }
});

Deno.test("a page that fails is asked for again with its token (fault 11)", async () => {
  const busy = statusAnswer(503, "ServiceUnavailable", "busy");
  const cut: FaultAction = { cut: { bytes: 500, how: "reset" } };
  for (const action of [busy, cut]) {
    await withSeven([{ match: { verb: "list", page: 2 }, action }], {}, async (end, server) => {
      await until(() => end.isSettled);
      assertEquals([...new Set(end.names)], SEVEN);
      assertEquals(lists(server), ["1/3", "2/3", "2/3", "3/3"]);
      assertEquals(end.logged("WARNING").length, 1);
    });
  }
});

Deno.test("a page that keeps failing makes the LIST begin anew (fault 11)", async () => {
  const action = statusAnswer(500, "InternalError", "no luck");
  const fault = { match: { verb: "list" as const, page: 2 }, times: 3, action };
  await withSeven([fault], {}, async (end, server) => {
    await until(() => end.isSettled);
    assertEquals(lists(server), ["1/3", "2/3", "2/3", "2/3", "1/3", "2/3", "3/3"]);
    assertEquals([...new Set(end.names)], SEVEN);
  });
});

Deno.test("compaction between pages: the LIST begins anew, the offered token is not used (fault 6)", async () => {
  await withServer({}, async (server) => {
    create(server, ...SEVEN);
    server.faults.push({
      match: { verb: "list", page: 2 },
      action: () => {
        create(server, "late");
        server.store.compact();
        return {};
      },
    });
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled);
      assertEquals(lists(server), ["1/3", "2/3", "1/3", "2/3", "3/3"]);
      assertEquals([...new Set(end.names)].toSorted(), [...SEVEN, "late"]);
      const tokens = server.log.map(({ request }) => request.query.get("continue") ?? "");
      const inconsistent = tokens.filter((token) => atob(token).includes('"rv":-1'));
      assertEquals(inconsistent, []);
    });
  });
});

Deno.test("compaction between pages again: the LIST comes in one answer (fault 6)", async () => {
  const gone = statusAnswer(410, "Expired", "The provided continue parameter is too old");
  const fault = { match: { verb: "list" as const, page: 2 }, times: 2, action: gone };
  await withSeven([fault], {}, async (end, server) => {
    await until(() => end.isSettled);
    assertEquals(lists(server), ["1/3", "2/3", "1/3", "2/3", "1/"]);
    assertEquals([...new Set(end.names)], SEVEN);
  });
});

Deno.test("a page of another resourceVersion makes the LIST begin anew (fault 45)", async () => {
  const body = (text: string) => text.replace('"resourceVersion":"107"', '"resourceVersion":"9"');
  const fault = { match: { verb: "list" as const, page: 2 }, action: { body } };
  await withSeven([fault], {}, async (end, server) => {
    await until(() => end.isSettled);
    assertEquals(lists(server), ["1/3", "2/3", "1/3", "2/3", "3/3"]);
    assertEquals(end.logged("is of 9, the first one of 107").length, 1);
    assertEquals([...new Set(end.names)], SEVEN);
  });
});

Deno.test("504 for a LIST is a failure that is tried again (fault 9)", async () => {
  const message = "Timeout: Too large resource version: 9, current: 8";
  const action = statusAnswer(504, "Timeout", message);
  await withSeven([{ match: { verb: "list" }, action }], {}, async (end) => {
    await until(() => end.isSettled);
    assertEquals(end.logged(message).length, 1);
    assertEquals(end.names, SEVEN);
  });
});

Deno.test("a page that falls silent is given up and asked for again (fault 18)", async () => {
  const action: FaultAction = { cut: { bytes: 300, how: "silence" } };
  await withSeven([{ match: { verb: "list" }, action }], {}, async (end, server) => {
    await until(() => end.isSettled);
    assertEquals(end.logged("less than 1 byte(s) came in 0.5 s").length, 1);
    assertEquals(lists(server), ["1/3", "2/3", "1/3", "2/3", "3/3"]);
  });
});

Deno.test("the next page is asked for while this one is read, but no more once a page failed", async () => {
  const action: FaultAction = { cut: { bytes: 300, how: "silence" } };
  const faults = [1, 2].map((page) => ({ match: { verb: "list" as const, page }, action }));
  // The page 2 that was asked for ahead is forgotten, and with it the fault of the first one.
  faults.push(faults[1]!);
  await withSeven(faults, {}, async (end, server) => {
    await until(() => end.isSettled);
    assertEquals([...new Set(end.names)], SEVEN);
    assertEquals(lists(server), ["1/3", "2/3", "1/3", "2/3", "2/3", "3/3"]);
    assertEquals(end.logged("came in 0.5 s").length, 2);
  });
});

Deno.test("an item that stays no event is left out at last, with an error; the others come", async () => {
  const body = (text: string) => text.replace('"metadata":{"name":"e2"', '"data":{"name":"e2"');
  const fault = { match: { verb: "list" as const, page: 1 }, times: 3, action: { body } };
  await withSeven([fault], {}, async (end, server) => {
    await until(() => end.isSettled);
    assertEquals([...new Set(end.names)], SEVEN.filter((name) => name !== "e2"));
    assertEquals(end.logged("ERROR").length, 1);
    assertEquals(end.logged("It is left out").length, 1);
    assertEquals(lists(server).filter((page) => page.startsWith("1")).length, 3);
  });
});

Deno.test("items that were damaged on their way come with the next attempt", async () => {
  const body = (text: string) => text.replace('"metadata":{"name":"e2"', '"data":{"name":"e2"');
  await withSeven([{ match: { verb: "list" }, action: { body } }], {}, async (end) => {
    await until(() => end.isSettled);
    assertEquals([...new Set(end.names)], SEVEN);
    assertEquals(end.logged("ERROR"), []);
  });
});

Deno.test("a LIST that main asks for is told as listed after all its events", async () => {
  await withSeven([], {}, async (end, server) => {
    await until(() => end.isSettled && server.watches.length === 1);
    const met = end.events.length;
    end.send({ type: "list", request: 17 });
    await until(() => end.listed.length === 1);
    assertEquals(end.listed, [17]);
    assertEquals(end.names.slice(met), SEVEN);
    assertEquals(end.position?.listOwed, false);
  });
});

Deno.test("a LIST asked for while one runs is another one; those asked for meanwhile share it", async () => {
  await withSeven([], {}, async (end, server) => {
    await until(() => end.isSettled && server.watches.length === 1);
    server.log.length = 0;
    server.faults.push({ match: { verb: "list", page: 2 }, action: { holdMs: 200 } });
    end.send({ type: "list", request: 1 });
    await until(() => lists(server).length === 2);
    end.send({ type: "list", request: 2 });
    end.send({ type: "list", request: 3 });
    await until(() => end.listed.length === 3);
    assertEquals(end.listed.toSorted(), [1, 2, 3]);
    assertEquals(lists(server), ["1/3", "2/3", "3/3", "1/3", "2/3", "3/3"]);
  });
});

Deno.test("a LIST of main does not wait for the interval between LISTs, one that is owed does", async () => {
  const times = { listIntervalMs: 400 };
  await withSeven([], { times }, async (end, server) => {
    await until(() => end.isSettled && server.watches.length === 1);
    end.send({ type: "list", request: 1 });
    await until(() => end.listed.length === 1);
    const asked = server.log.findLast(({ request }) => request.verb === "list")!.at;
    assert(asked - server.log[0]!.at < 400);
    // No witness is known: with each new watch a LIST is owed.
    server.dropConnections("reset");
    await until(() => server.log.filter(({ request }) => request.verb === "watch").length === 2);
    await until(() => end.position?.listOwed === true);
    await until(() => end.isSettled);
    const firstPages = server.log.filter(({ request }) =>
      request.verb === "list" && request.page === 1
    );
    assertEquals(firstPages.length, 3);
    assert(firstPages[2]!.at - firstPages[1]!.at >= 395);
  });
});

Deno.test("several watches have their own requests and positions, and one listed for all (check 4.2.21)", async () => {
  await withServer({}, async (server) => {
    for (const namespace of ["a", "b", "c"]) {
      for (const name of ["x", "y"]) server.store.create(sampleEvent(namespace, name));
    }
    const watches = ["a", "b"].map((namespace) => ({ ...watchFrom(null), namespace }));
    watches[1]!.fieldSelector = "metadata.name!=y" as never;
    await withEnd(server.url, { watches }, async (end) => {
      await until(() => end.positions.at(-1)?.every((p) => p?.listOwed === false) ?? false);
      await until(() => server.watches.length === 2);
      const namesOf = () =>
        end.events.map(({ line }) => JSON.parse(line).metadata)
          .map(({ namespace, name }) => `${namespace}/${name}`).toSorted();
      assertEquals(namesOf(), ["a/x", "a/y", "b/x"]);
      server.store.create(sampleEvent("b", "z"));
      server.store.create(sampleEvent("c", "z"));
      await untilMet(end, 4);
      assertEquals(namesOf(), ["a/x", "a/y", "b/x", "b/z"]);
      assertEquals(end.positions.at(-1)?.map((p) => p?.rv), ["106", "107"]);
      end.send({ type: "list", request: 5 });
      await until(() => end.listed.length === 1);
      assertEquals(namesOf(), ["a/x", "a/x", "a/y", "a/y", "b/x", "b/x", "b/z", "b/z"]);
      const paths = new Set(server.log.map(({ request }) => request.path));
      assertEquals([...paths].toSorted(), [
        "/api/v1/namespaces/a/events",
        "/api/v1/namespaces/b/events",
      ]);
    });
  });
});
