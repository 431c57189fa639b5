/**
 * Gaps: said once and counted where something may have been missed, and never where nothing was.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { gapText } from "../../lib/gap.ts";
import type { Position } from "../../lib/protocol.ts";
import { errorLine, type FaultAction, statusAnswer } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { failure } from "../fake/status.ts";
import { until, withServer } from "../fake/testing.ts";
import { Program } from "../support/program.ts";
import { withTempFolder } from "../support/temp.ts";
import { type MainEnd, untilMet, watchFrom, withEnd } from "./main_end.ts";

function create(server: FakeApiServer, ...names: string[]): void {
  for (const name of names) server.store.create(sampleEvent("a", name));
}

/** What a run that saw e1 and e2 left in its checkpoint, an hour ago. */
async function positionOfLastRun(server: FakeApiServer): Promise<Position> {
  let position: Position | null = null;
  await withEnd(server.url, {}, async (end) => {
    await until(() => end.isSettled && server.watches.length === 1);
    create(server, "e1", "e2");
    await until(() => end.position?.rv === "102");
    position = end.position;
    assertEquals(end.gaps, []);
  });
  return { ...position!, seenMs: Date.now() - 3_600_000 };
}

/** Settles when nothing is owed and a new event comes through. */
async function untilSettled(end: MainEnd, server: FakeApiServer): Promise<void> {
  await until(() => end.isSettled && server.watches.length > 0);
  const name = `settled-${server.store.revision}`;
  create(server, name);
  await until(() => end.names.includes(name));
}

Deno.test("a start after the history is gone: one gap, from the last sign of life to the LIST", async () => {
  await withServer({}, async (server) => {
    const position = await positionOfLastRun(server);
    create(server, "e3", "e4");
    server.store.compact();
    const began = Date.now();
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await untilSettled(end, server);
      const [gap] = end.gaps;
      assertEquals(end.gaps.length, 1);
      assertEquals([gap!.path, gap!.fromMs], ["/api/v1/events", position.seenMs]);
      assert(gap!.toMs >= began && gap!.toMs <= Date.now());
      assertStringIncludes(gap!.why, "no history from resourceVersion 102 on (compacted?)");
      // The next one begins where this one ended.
      assert(end.position!.seenMs! >= gap!.toMs);
    });
  });
});

const EXPIRED = errorLine(failure(410, "Expired", "too old"));
const REFUSALS: [string, FaultAction][] = [
  ["HTTP 410", statusAnswer(410, "Expired", "too old")],
  ["ERROR in an answer 200", {
    respond: { status: 200, headers: { "Content-Type": "application/json" }, body: EXPIRED },
  }],
];

for (const [form, action] of REFUSALS) {
  Deno.test(`a server that refuses for long (${form}): one gap, when it goes on, not one a try`, async () => {
    await withServer({}, async (server) => {
      const position = await positionOfLastRun(server);
      server.faults.push({ match: { verb: "watch" }, times: 8, action });
      await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
        await until(() => server.faults.pending === 0);
        assertEquals(end.gaps, []);
        await untilSettled(end, server);
        assertEquals(end.gaps.map(({ fromMs }) => fromMs), [position.seenMs!]);
      });
    });
  });
}

Deno.test("a start while the server still has the last version, or P: no gap", async () => {
  for (const compacted of [100, 102]) {
    await withServer({}, async (server) => {
      const position = await positionOfLastRun(server);
      create(server, "e3");
      server.store.compact(compacted);
      await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
        await untilSettled(end, server);
        assert(end.names.includes("e3"));
        assertEquals(end.gaps, []);
      });
    });
  }
});

Deno.test("a quiet cluster whose last event is compacted: no gap, however often the watch ends", async () => {
  await withServer({}, async (server) => {
    const times = { stallMs: 100, witnessMs: 100, watchShortMs: 10 };
    await withEnd(server.url, { times }, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e1", "e2");
      await untilMet(end, 2);
      for (let revision = 200; revision <= 500; revision += 100) {
        server.store.bump(revision);
        await until(() => end.position?.passed === `${revision}`);
        server.store.compact(revision);
        const before = server.log.length;
        server.dropConnections("end");
        const isResumed = () =>
          server.log.slice(before).some(({ request: { query }, status, ended }) =>
            query.has("allowWatchBookmarks") && status === 200 && ended === "open"
          );
        await until(isResumed);
      }
      await untilSettled(end, server);
      assertEquals(end.gaps, []);
    });
  });
});

Deno.test("a server that was away until its history was gone: one gap, from when it was last seen", async () => {
  await withServer({}, async (server) => {
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e1", "e2");
      await untilMet(end, 2);
      await server.down();
      const wentMs = Date.now();
      await until(() => end.logged("Connection refused").length >= 2);
      create(server, "e3");
      server.store.repeat("a", "e3");
      server.store.compact();
      await server.up();
      await untilSettled(end, server);
      assertEquals(end.gaps.length, 1);
      assert(end.gaps[0]!.fromMs! <= wentMs && end.gaps[0]!.toMs > wentMs);
      assertEquals(end.versions.includes("103"), false); // That is what was missed.
    });
  });
});

Deno.test("etcd went back: one gap, which says so", async () => {
  await withServer({}, async (server) => {
    const position = await positionOfLastRun(server);
    server.store.rewindTo(101);
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await untilSettled(end, server);
      assertEquals(end.gaps.map(({ fromMs }) => fromMs), [position.seenMs!]);
      assertStringIncludes(end.gaps[0]!.why, "went back (etcd restored?)");
    });
  });
});

Deno.test("etcd went back and moved past us: one gap, which says so", async () => {
  await withServer({}, async (server) => {
    const position = await positionOfLastRun(server);
    server.store.rewindTo(100);
    create(server, "f1", "f2", "f3");
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await untilSettled(end, server);
      assertEquals(end.gaps.map(({ fromMs }) => fromMs), [position.seenMs!]);
      assertStringIncludes(end.gaps[0]!.why, "not the one of 102 that was to come again");
    });
  });
});

Deno.test("watches that fail at each version: one gap, which says so", async () => {
  await withServer({}, async (server) => {
    const position = await positionOfLastRun(server);
    const action = statusAnswer(500, "InternalError", "etcd event received with PrevKv=nil");
    server.faults.push({ match: { verb: "watch" }, times: 6, action });
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await untilSettled(end, server);
      assertEquals(end.gaps.length, 1);
      assertStringIncludes(end.gaps[0]!.why, "3 watches in a row failed");
    });
  });
});

Deno.test("a gap is one line: from, to and why; an older checkpoint tells no time", () => {
  const gap = { path: "/api/v1/events", fromMs: null, toMs: 0, why: "it is so" };
  assertEquals(
    gapText(gap),
    "Gap: /api/v1/events: states that were overwritten and events that expired between an " +
      "unknown time and 1970-01-01T00:00:00.000Z may be missing, because it is so. What is alive " +
      "is read again.",
  );
  assertStringIncludes(gapText({ ...gap, fromMs: 1000 }), "between 1970-01-01T00:00:01.000Z and");
});

Deno.test("the program says a gap of its downtime once, and counts it in its summary", async () => {
  await withServer({}, (server) =>
    withTempFolder(async (folder) => {
      const kubeconfig = `${folder}/kubeconfig`;
      await server.writeKubeconfig(kubeconfig);
      const args = [
        ...["--kubeconfig", kubeconfig, "--destination", `${folder}/events.jsonl`],
        ...["--persistence-path", folder],
      ];
      const lines = () => Deno.readTextFileSync(`${folder}/events.jsonl`).split("\n").length - 1;
      const first = Program.start({ args });
      await first.says("LIST /api/v1/events: 0 event(s)");
      create(server, "e1", "e2");
      await until(() => lines() === 2);
      await first.stop();
      const stopped = Date.now();
      assertStringIncludes(first.stderr, "0 known, 0 gap(s).");
      create(server, "e3", "e4");
      server.store.compact();

      const second = Program.start({ args });
      await second.says("Gap: ");
      await until(() => lines() === 4);
      await second.stop();
      const [, from = ""] = /WARNING.* Gap: .* between (\S+) and /.exec(second.stderr) ?? [];
      assert(Date.parse(from) <= stopped && Date.parse(from) > stopped - 60_000, second.stderr);
      assertEquals(second.stderr.split("Gap: ").length, 2);
      assertStringIncludes(second.stderr, ", 1 gap(s).");
    }));
});
