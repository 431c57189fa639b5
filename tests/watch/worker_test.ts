/**
 * The watch isolate as it is shipped: a worker with the permissions that main gives it.
 */

import { assert, assertEquals } from "@std/assert";
import { BATCH_BYTES } from "../../lib/limits.ts";
import { type FromWatch, PLAIN_LINE } from "../../lib/protocol.ts";
import { WatchClient } from "../../lib/watch_client.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { until, withServer } from "../fake/testing.ts";
import { NO_CREDENTIALS, watchFrom } from "./main_end.ts";

interface Heard {
  client: WatchClient;
  names: string[];
  messages: FromWatch[];
  /** Why the worker died, where it did. */
  deaths: string[];
}

/** Deno checks the types of the worker's modules before it runs them, ms. */
const START_MS = 60_000;

/** Runs a test with a worker that may reach `netHosts` and is to watch `server`. */
async function withWorker(
  netHosts: string[],
  server: FakeApiServer,
  test: (heard: Heard) => Promise<void>,
): Promise<void> {
  const names: string[] = [];
  const messages: FromWatch[] = [];
  const deaths: string[] = [];
  const client = new WatchClient(netHosts, {
    onMessage: (message) => {
      messages.push(message);
      if (message.type !== "batch" || message.place === null) return;
      const batch = client.read(message.place);
      for (let index = 0; index < batch.count; index++) {
        const line = batch.bytes.subarray(batch.start(index), batch.end(index));
        names.push(JSON.parse(new TextDecoder().decode(line)).metadata.name);
      }
      client.free(message.place);
    },
    onDeath: (reason) => deaths.push(reason),
  });
  client.start({
    server: server.url,
    identity: "content",
    bothIdentities: true,
    line: PLAIN_LINE,
    credentials: NO_CREDENTIALS,
    watches: [watchFrom(null)],
  });
  try {
    await test({ client, names, messages, deaths });
  } finally {
    client.stop();
  }
}

Deno.test("the memory of a line too long for a buffer is freed as soon as it is dealt with", async () => {
  await withServer({}, async (server) => {
    const messages = ["x".repeat(BATCH_BYTES), "short", "y".repeat(BATCH_BYTES)];
    for (const [i, message] of messages.entries()) {
      server.store.create(sampleEvent("a", `e${i}`, { message }));
    }
    await withWorker([`127.0.0.1:${server.port}`], server, async ({ names, messages }) => {
      await until(() => names.length === 3, START_MS);
      const longs = messages.flatMap((message) =>
        message.type === "batch" && message.place?.long ? [message.place.long] : []
      );
      // 500 lines of 1 MB took 220 MB while they were left to the garbage collector.
      assertEquals(longs.map(({ detached }) => detached), [true, true]);
    });
  });
});

Deno.test("the worker lists, watches, and lists again when it is asked to", async () => {
  await withServer({}, async (server) => {
    for (let i = 0; i < 2000; i++) server.store.create(sampleEvent("a", `e${i}`));
    await withWorker([`127.0.0.1:${server.port}`], server, async ({ client, names, messages }) => {
      await until(() => names.length === 2000 && server.watches.length === 1, START_MS);
      server.store.create(sampleEvent("a", "new"));
      await until(() => names.length === 2001);
      assertEquals(names.at(-1), "new");
      client.askForList(3);
      await until(() => messages.some(({ type }) => type === "listed"));
      assertEquals(names.length, 4002);
      assertEquals(messages.filter(({ type }) => type === "connected").length, 1);
    });
  });
});

Deno.test("the worker cannot reach another host than the one it was given", async () => {
  await withServer({}, async (server) => {
    await withWorker([`127.0.0.1:${server.port + 1}`], server, async ({ messages }) => {
      await until(() => messages.some(({ type }) => type === "log"), START_MS);
      const logs = messages.flatMap((message) => message.type === "log" ? message.text : []);
      assert(logs[0]!.includes(`Requires net access to "127.0.0.1:${server.port}"`), logs[0]);
      assertEquals(server.log.length, 0);
    });
  });
});

Deno.test("an assumption that does not hold ends the worker, and main is told", async () => {
  await withServer({}, async (server) => {
    await withWorker([`127.0.0.1:${server.port}`], server, async ({ client, deaths }) => {
      client.start({
        server: server.url,
        identity: "content",
        bothIdentities: false,
        line: PLAIN_LINE,
        credentials: NO_CREDENTIALS,
        watches: [],
      });
      await until(() => deaths.length > 0, START_MS);
      assert(deaths[0]!.includes("main starts the watch once"), deaths[0]);
    });
  });
});
