/**
 * The fake API server as a whole: writes over HTTP, auth, TLS, kubeconfig, log, speed. That it
 * behaves as the real one does: fake_api_server_real_test.ts.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Pki } from "../fake/pki.ts";
import { sampleEvent, sampleSeriesEvent } from "../fake/sample.ts";
import { startFakeApiServer } from "../fake/server.ts";
import {
  getText,
  json,
  namesOf,
  send,
  versionsOf,
  watchLines,
  withServer,
} from "../fake/testing.ts";

const EVENTS = "/api/v1/events";

Deno.test("writes over HTTP do what the methods do", async () => {
  await withServer({}, async (server) => {
    const base = "/api/v1/namespaces/a/events";
    await send(server, "POST", "/api/v1/namespaces", { metadata: { name: "a" } }, 201);
    await send(server, "POST", base, sampleSeriesEvent("a", "e"), 201);
    await send(server, "POST", base, sampleSeriesEvent("a", "e"), 409);
    await send(server, "PATCH", `${base}/e`, { series: { count: 2 } }, 200);
    await send(server, "PATCH", `${base}/e`, { series: { count: 2 } }, 200);
    await send(server, "PUT", `${base}/e`, sampleEvent("a", "e"), 200);
    await send(server, "PUT", `${base}/f`, sampleEvent("a", "f"), 201);
    await send(server, "DELETE", `${base}/f`, null, 200);
    await send(server, "DELETE", `${base}/f`, null, 404);
    const types = server.revisions.map(({ type, key }) => `${type} ${key}`);
    assertEquals(types, ["ADDED a/e", "MODIFIED a/e", "MODIFIED a/e", "ADDED a/f", "DELETED a/f"]);
    assertEquals(server.oracle().size, 4);
  });
});

Deno.test("without a known token 401 or 403; RBAC switches forbid LIST and WATCH", async () => {
  await withServer({ tokens: { good: "ann" } }, async (server) => {
    const status = async (path: string, token?: string) => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(server.url + path, { headers });
      const { code = 200, message } = await response.json();
      assertEquals(response.status, code);
      return [code, message];
    };
    const anonymous =
      'events is forbidden: User "system:anonymous" cannot list resource "events" ' +
      'in API group "" at the cluster scope';
    assertEquals(await status(EVENTS), [403, anonymous]);
    assertEquals(await status(EVENTS, "bad"), [401, "Unauthorized"]);
    assertEquals(await status(EVENTS, "good"), [200, undefined]);
    server.auth.allow.watch = false;
    const watch = 'events is forbidden: User "ann" cannot watch resource "events" ' +
      'in API group "" in the namespace "a"';
    assertEquals(await status("/api/v1/namespaces/a/events?watch=1", "good"), [403, watch]);
    server.auth.tokens.clear();
    server.auth.tokens.set("new", "ann");
    assertEquals(await status(EVENTS, "good"), [401, "Unauthorized"]);
    assertEquals(await status(EVENTS, "new"), [200, undefined]);
  });
});

Deno.test("TLS serves by IPv4 and IPv6 address, and lets client certificates in", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const pki = await Pki.create(folder);
    const tls = { ...await pki.server(), ca: pki.ca, clientCa: pki.ca };
    for (const hostname of ["127.0.0.1", "::1"]) {
      const server = await startFakeApiServer({ tls, hostname });
      const known = await pki.issue({ name: "admin" });
      for (const [pair, expected] of [[known, 200], [undefined, 403]] as const) {
        using client = Deno.createHttpClient({ caCerts: [pki.ca], ...pair, http2: false });
        const response = await fetch(server.url + EVENTS, { client });
        assertEquals([response.status, (await response.json()).code ?? 200], [expected, expected]);
      }
      await assertRejects(() => fetch(server.url + EVENTS), TypeError, "UnknownIssuer");
      await server.close();
    }
    const expired = await pki.server({ days: -1 });
    const server = await startFakeApiServer({ tls: { ...expired, ca: pki.ca } });
    using client = Deno.createHttpClient({ caCerts: [pki.ca] });
    await assertRejects(() => fetch(server.url + EVENTS, { client }), TypeError, "Expired");
    await server.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the kubeconfig holds address, CA and credentials, and only the owner may read it", async () => {
  const folder = await Deno.makeTempDir();
  await withServer({ tokens: { secret: "ann" } }, async (server) => {
    const path = `${folder}/kubeconfig`;
    await server.writeKubeconfig(path, { token: "secret", ca: "PEM" });
    const config = JSON.parse(await Deno.readTextFile(path));
    assertEquals(config.clusters[0].cluster, {
      server: `http://127.0.0.1:${server.port}`,
      "certificate-authority-data": btoa("PEM"),
    });
    assertEquals(config.users[0].user, { token: "secret" });
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("the log tells what was asked, with what end; large LISTs go out compressed", async () => {
  await withServer({}, async (server) => {
    for (let i = 0; i < 200; i++) server.store.create(sampleEvent("a", `e${i}`));
    const text = await getText(server, EVENTS, { "x-test": "1" });
    assert(text.length > 200_000);
    const entry = server.log[0];
    if (entry === undefined) throw new Error("nothing was logged");
    assert(entry.at >= 0);
    assertEquals([entry.request.verb, entry.request.path, entry.status], ["list", EVENTS, 200]);
    assertEquals([entry.ended, entry.request.headers.get("x-test")], ["complete", "1"]);
    assert(entry.bytes < 50_000, `${entry.bytes} bytes are not compressed`);
  });
});

Deno.test("5,000 writes over HTTP and a LIST of 20,000 events take a few seconds", async () => {
  await withServer({}, async (server) => {
    const base = "/api/v1/namespaces/a/events";
    const lines = watchLines(server, `${EVENTS}?watch=1&resourceVersion=100`, 5000);
    const start = performance.now();
    const write = async (from: number) => {
      for (let i = from; i < 5000; i += 8) {
        await send(server, "POST", base, sampleEvent("a", `e.${i}`), 201);
      }
    };
    await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(write));
    assertEquals(new Set(versionsOf(await lines)).size, 5000);
    for (let i = 5000; i < 20_000; i++) server.store.create(sampleEvent("a", `e.${i}`));
    let token = "";
    const names = new Set<string>();
    do {
      const list = await json(server, `${EVENTS}?limit=500&continue=${token}`);
      for (const name of namesOf(list)) names.add(name);
      token = list.metadata.continue ?? "";
    } while (token !== "");
    assertEquals(names.size, 20_000);
    const seconds = (performance.now() - start) / 1000;
    assert(seconds < 60, `${seconds.toFixed(1)} s`);
    console.log(`      5,000 writes, 20,000 listed: ${seconds.toFixed(1)} s`);
  });
});
