/** What a session tells of its LISTs and WATCHes, against the fake API server. */

import { assert, assertEquals } from "@std/assert";
import type { PulseReport } from "../../lib/pulse.ts";
import type { WatchTimes } from "../../lib/watch_context.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { until, withServer } from "../fake/testing.ts";
import { type MainEnd, withEnd } from "./main_end.ts";

/** Runs a test with a session whose LIST of three events is complete and whose watch is open. */
async function withSession(
  times: Partial<WatchTimes>,
  test: (server: FakeApiServer, end: MainEnd) => Promise<void>,
): Promise<void> {
  await withServer({}, async (server) => {
    for (const name of ["e1", "e2", "e3"]) server.store.create(sampleEvent("a", name));
    await withEnd(server.url, { times }, async (end) => {
      await untilTold(end, ({ watches: [watch] }) => watch!.isOpen && watch!.isComplete);
      await test(server, end);
    });
  });
}

/** Settles when the last that was told is so. */
async function untilTold(end: MainEnd, isSo: (report: PulseReport) => boolean): Promise<void> {
  await until(() => {
    const report = end.pulses.at(-1);
    return report !== undefined && isSo(report);
  });
}

Deno.test("A session tells what it did, and nothing more while nothing happens", async () => {
  await withSession({}, async (server, end) => {
    const report = end.pulses.at(-1)!;
    assertEquals(report.listsStarted, { start: 1, doubt: 0, drop: 0, age: 0 });
    assertEquals([report.listsCompleted, report.watchesStarted], [1, 1]);
    assertEquals(report.receivedBytes.list, server.log[0]!.bytes);
    assertEquals(report.receivedBytes.watch, 0);
    await new Promise((resolve) => setTimeout(resolve, 1200)); // What was under way.
    const told = end.pulses.length;
    await new Promise((resolve) => setTimeout(resolve, 2200));
    assertEquals(end.pulses.length, told);
    end.send({ type: "list", request: 1 });
    await untilTold(end, ({ listsStarted }) => listsStarted.drop === 1);
    server.dropConnections("reset");
    await untilTold(end, ({ watchesEnded }) => watchesEnded.cut === 1);
    await untilTold(end, ({ watchesStarted }) => watchesStarted === 2);
    assertEquals(end.pulses.at(-1)!.failures.watch.connection, 1);
  });
});

Deno.test("A quiet watch that is asked about stays alive; one of which nobody can tell does not", async () => {
  await withSession({ stallMs: 300, witnessMs: 100 }, async (server, end) => {
    // Each answer is a sign of life, and is told within a second.
    for (let answers = 0; answers < 2; answers++) {
      const told = end.pulses.length;
      await until(() => end.pulses.length > told);
      assert(end.pulses.at(-1)!.watches[0]!.silentMs < 1100);
    }
    server.connections = "reset";
    await new Promise((resolve) => setTimeout(resolve, 1500)); // What was under way.
    const { length } = end.pulses;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    // Nothing changes any more: main counts on from what it knows.
    assertEquals(end.pulses.length, length);
    server.connections = "served";
    await until(() => end.pulses.length > length);
  });
});
