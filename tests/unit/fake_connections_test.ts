/**
 * Faults of connections to the fake API server: refused, reset, left waiting, TLS.
 */
import { assertEquals, assertRejects } from "@std/assert";
import type { FaultAction } from "../fake/faults.ts";
import { Pki } from "../fake/pki.ts";
import { sampleEvent } from "../fake/sample.ts";
import { startFakeApiServer } from "../fake/server.ts";
import { getText, json, namesOf, rawGet, until, watchLines, withServer } from "../fake/testing.ts";

const EVENTS = "/api/v1/events";
const WATCH = `${EVENTS}?watch=1&resourceVersion=100&timeoutSeconds=1`;

Deno.test("connections can be reset, left waiting or refused, and come back on the same port", async () => {
  await withServer({}, async (server) => {
    server.store.create(sampleEvent("a", "e1"));
    server.connections = "reset";
    await assertRejects(() => getText(server, EVENTS), TypeError);
    server.connections = "silent";
    assertEquals((await rawGet(server, EVENTS, 150)).bytes.length, 0);
    server.connections = "served";
    const { port } = server;
    const open = watchLines(server, `${EVENTS}?watch=1&resourceVersion=100`);
    await until(() => server.watches.length === 1);
    await Promise.all([assertRejects(() => open, TypeError), server.down()]);
    await assertRejects(() => Deno.connect({ port }), Deno.errors.ConnectionRefused);
    await server.up();
    assertEquals([server.port, namesOf(await json(server, EVENTS))], [port, ["e1"]]);
  });
});

Deno.test("under TLS too: reset, an end without close_notify, a stalled handshake, another certificate", async () => {
  const folder = await Deno.makeTempDir();
  const pki = await Pki.create(folder);
  const server = await startFakeApiServer({ tls: { ...await pki.server(), ca: pki.ca } });
  try {
    const connect = () => Deno.connectTls({ port: server.port, caCerts: [pki.ca] });
    for (let i = 0; i < 3; i++) server.store.create(sampleEvent("a", `e${i}`));
    for (const [how, end] of [["reset", "reset"], ["fin", "unclean"]] as const) {
      const action: FaultAction = { cut: { events: 2, how, delayMs: 200 } };
      server.faults.push({ match: { verb: "watch" }, action });
      const raw = await rawGet(server, WATCH, 5000, connect);
      assertEquals([raw.body.split("}}\n").length - 1, raw.end], [2, end]);
    }
    server.connections = "silent";
    const stalled = await Deno.connect({ port: server.port });
    const client = await Deno.startTls(stalled, { caCerts: [pki.ca] });
    const handshake = client.handshake().then(() => "done", () => "failed");
    const winner = await Promise.race([
      handshake,
      until(() => false, 100).catch(() => "stalled"),
    ]);
    assertEquals(winner, "stalled");
    client.close();
    await handshake;
    server.connections = "served";
    const other = await Pki.create(await Deno.makeTempDir({ dir: folder }), "other-ca");
    server.setTls({ ...await other.server(), ca: other.ca });
    const distrusting = await connect();
    await assertRejects(() => distrusting.handshake(), Error, "invalid peer certificate");
    distrusting.close();
    using trusting = Deno.createHttpClient({ caCerts: [other.ca] });
    const response = await fetch(server.url + EVENTS, { client: trusting });
    assertEquals((await response.json()).items.length, 3);
  } finally {
    await server.close();
    await Deno.remove(folder, { recursive: true });
  }
});

// Deno 2.8.3 ends the whole process where a TLS socket writes to a TCP socket that was closed.
Deno.test("under TLS, a connection can be reset right before a write", async () => {
  const folder = await Deno.makeTempDir();
  const pki = await Pki.create(folder);
  const server = await startFakeApiServer({ tls: { ...await pki.server(), ca: pki.ca } });
  try {
    server.store.create(sampleEvent("a", "e1"));
    const reset = (text: string) => {
      server.dropConnections("reset");
      return text;
    };
    server.faults.push({ match: { verb: "list" }, action: { body: reset } });
    const connect = () => Deno.connectTls({ port: server.port, caCerts: [pki.ca] });
    const { bytes, end } = await rawGet(server, EVENTS, 5000, connect);
    assertEquals([bytes.length, end, server.log.at(-1)!.ended], [0, "reset", "client"]);
  } finally {
    await server.close();
    await Deno.remove(folder, { recursive: true });
  }
});
