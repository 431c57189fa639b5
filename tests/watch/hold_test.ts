/**
 * Back-pressure: while main gives no buffers back, nothing is read, lost or complained about.
 */

import { assert, assertEquals } from "@std/assert";
import { BATCH_BYTES } from "../../lib/limits.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { until, withServer } from "../fake/testing.ts";
import { type MainEnd, untilMet, withEnd } from "./main_end.ts";

const BIG = "x".repeat(50_000);

function createBig(server: FakeApiServer, count: number): void {
  for (let i = 0; i < count; i++) {
    server.store.create(sampleEvent("a", `big${i}`, { message: `${i} ${BIG}` }));
  }
}

async function untilWatching(end: MainEnd, server: FakeApiServer): Promise<void> {
  await until(() => end.isSettled && server.watches.length === 1);
}

Deno.test("a watch held back goes on where it was: nothing lost, nothing twice, no new request (fault 46; check 4.2.13)", async () => {
  await withServer({}, async (server) => {
    await withEnd(server.url, {}, async (end) => {
      await untilWatching(end, server);
      end.isHolding = true;
      // 20 MB: far more than the pool (1 MB) and the kernel's buffers hold.
      createBig(server, 400);
      const { answer } = server.watches[0]!;
      let sent = -1;
      await until(() => {
        const isStill = sent === answer.bytes && sent > 0;
        sent = answer.bytes;
        return isStill;
      }, 20_000);
      assert(answer.events < 400, "the server could not send all of it");
      assertEquals(end.events.length, 0);
      end.release();
      await untilMet(end, 400);
      assertEquals(end.names, Array.from({ length: 400 }, (_, i) => `big${i}`));
      assertEquals(server.log.length, 2);
      assertEquals(end.logged("WARNING"), []);
    });
  });
});

Deno.test("a watch held back beyond its deadline is resumed, and that is no failure", async () => {
  // On a busy machine the server is late too: only what is held back may be ended by us.
  const times = { watchSecondsMin: 1, watchSecondsMax: 1, watchGraceMs: 1500 };
  await withServer({}, async (server) => {
    await withEnd(server.url, { times }, async (end) => {
      await untilWatching(end, server);
      end.isHolding = true;
      createBig(server, 400);
      await until(() => server.log[1]!.ended !== "open");
      end.release();
      await until(() => new Set(end.names).size === 400, 20_000);
      assertEquals(end.logged("WARNING"), []);
      assertEquals(end.logged("failed"), []);
      const lists = server.log.filter(({ request }) => request.verb === "list");
      assertEquals(lists.length, 1);
    });
  });
});

Deno.test("a LIST held back, and cut for it, is asked for again and is no failure (fault 46)", async () => {
  await withServer({}, async (server) => {
    createBig(server, 400);
    const times = { listPageEvents: 500, listSilenceMs: 200 };
    const headers = { "Content-Encoding": null };
    server.faults.push({
      match: { verb: "list" },
      // Uncompressed, so that the kernel's buffers cannot hold it.
      action: (request) => {
        (request.headers as Map<string, string>).delete("accept-encoding");
        return { headers };
      },
    });
    await withEnd(server.url, { times }, async (end) => {
      end.isHolding = true;
      await until(() => server.log.length > 0 && server.log[0]!.bytes > 0);
      await new Promise((resolve) => setTimeout(resolve, 400));
      server.dropConnections("reset");
      end.release();
      await until(() => end.isSettled, 20_000);
      assertEquals(new Set(end.names).size, 400);
      assertEquals(end.logged("LIST /api/v1/events failed"), []);
    });
  });
});

Deno.test("a page asked for ahead that waited for long, since main took no more, is asked for anew", async () => {
  await withServer({}, async (server) => {
    createBig(server, 400);
    const times = { listPageEvents: 200, listAheadMs: 100 };
    await withEnd(server.url, { times }, async (end) => {
      end.isHolding = true;
      const pages = () =>
        server.log.filter(({ request }) => request.verb === "list").map(({ request }) =>
          request.page
        );
      await until(() => pages().length === 2);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assertEquals(end.isSettled, false);
      end.release();
      await until(() => end.isSettled, 20_000);
      assertEquals(new Set(end.names).size, 400);
      assertEquals(end.names.length, 400);
      assertEquals(pages(), [1, 2, 2]);
      assertEquals(end.logged("LIST /api/v1/events failed"), []);
    });
  });
});

Deno.test("a line longer than a buffer of the pool travels alone, in its place", async () => {
  await withServer({}, async (server) => {
    await withEnd(server.url, { buffers: 2 }, async (end) => {
      await untilWatching(end, server);
      const message = "y".repeat(BATCH_BYTES + 1);
      server.store.create(sampleEvent("a", "before"));
      for (let i = 0; i < 3; i++) {
        server.store.create(sampleEvent("a", `huge${i}`, { message }));
        server.store.create(sampleEvent("a", `small${i}`));
      }
      await untilMet(end, 7);
      assertEquals(end.names, ["before", "huge0", "small0", "huge1", "small1", "huge2", "small2"]);
      assertEquals(JSON.parse(end.events[1]!.line).message, message);
    });
  });
});

Deno.test("a burst while main is behind comes in order, and in full batches", async () => {
  await withServer({}, async (server) => {
    await withEnd(server.url, { buffers: 4 }, async (end) => {
      await untilWatching(end, server);
      end.isHolding = true;
      for (let i = 0; i < 600; i++) server.store.create(sampleEvent("a", `e${i}`));
      await until(() => server.watches[0]!.answer.events === 600);
      await until(() => end.waiting >= 3);
      // The rest is in the kernel's buffers: it is read in a few turns of this event loop.
      let turns = 0;
      await until(() => ++turns > 40);
      // All but one of the pool are under way; the last one is filled before it goes.
      assert(end.waiting <= 4);
      end.release();
      await untilMet(end, 600);
      assertEquals(end.names, Array.from({ length: 600 }, (_, i) => `e${i}`));
      assert(Math.max(...end.batches) > 100, `${end.batches}`);
    });
  });
});

Deno.test("positions that move without lines do not pile up while main is behind", async () => {
  await withServer({}, async (server) => {
    await withEnd(server.url, {}, async (end) => {
      await untilWatching(end, server);
      const names = Array.from({ length: 50 }, (_, i) => `e${i}`);
      for (const name of names) server.store.create(sampleEvent("a", name));
      await untilMet(end, 50);
      end.isHolding = true;
      server.store.create(sampleEvent("a", "one"));
      await until(() => server.watches[0]!.answer.events === 51);
      const told = end.positions.length;
      for (const name of names) {
        server.store.delete("a", name);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      await until(() => server.watches[0]!.answer.events === 101);
      end.release();
      await until(() => end.position?.rv === "201");
      assert(end.positions.length - told <= 4, `${end.positions.length - told} messages`);
    });
  });
});

Deno.test("many watches that wait for one buffer get it in turns, lines too long for it among them", async () => {
  const namespaces = ["a", "b", "c", "d", "e", "f"];
  const watches = namespaces.map((namespace) => ({
    namespace,
    fieldSelector: null,
    position: null,
  }));
  await withServer({}, async (server) => {
    await withEnd(server.url, { buffers: 1, watches }, async (end) => {
      await until(() => server.watches.length === namespaces.length && end.isSettled);
      end.isHolding = true;
      // Three of 100 kB are more than a buffer takes: a "yes" for one is none for all who wait.
      for (let round = 0; round < 6; round++) {
        for (const [index, namespace] of namespaces.entries()) {
          const bytes = (round + index) % 6 === 0 ? BATCH_BYTES + 5 : 100_000;
          const message = "x".repeat(bytes);
          server.store.create(sampleEvent(namespace, `${namespace}${round}`, { message }));
        }
        await until(() => end.waiting > 0);
        end.release();
        end.isHolding = true;
      }
      end.isHolding = false;
      end.release();
      await untilMet(end, 36);
      assertEquals(new Set(end.names).size, 36);
    });
  });
});
