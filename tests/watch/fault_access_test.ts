/** Faults of the access to the server: waited out as long as is right, and no longer. */

import { assert, assertEquals } from "@std/assert";
import { tooManyRequests } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import { Pki } from "../fake/pki.ts";
import { withServer } from "../fake/testing.ts";
import { withScene } from "../support/scene.ts";
import { until, withTempFolder } from "../support/temp.ts";
import { NO_CREDENTIALS, withEnd } from "./main_end.ts";

const AFTER: [string, string, RegExp][] = [
  ["32 seconds", "32", /^32\.\d s$/],
  ["a day", "86400", /^60\.\d s$/],
  ["more digits than a number has", "9".repeat(400), /^60\.\d s$/],
  ["a date far away", "Thu, 01 Jan 2099 00:00:00 GMT", /^60\.\d s$/],
];

for (const [what, retryAfter, wait] of AFTER) {
  Deno.test(`fault 12: Retry-After of ${what} is kept to, a minute at most`, async () => {
    await withScene({}, async (scene, server) => {
      await scene.complete();
      server.store.create(sampleEvent("a", "e1"));
      await scene.complete();
      const action = tooManyRequests(retryAfter);
      server.faults.push({ match: {}, times: Infinity, action });
      server.dropConnections("end");
      await until("a refusal", () => scene.logged("429 Too Many Requests").length > 0);
      const [line] = scene.logged("429 Too Many Requests");
      const delay = /Next attempt in (.*)\.$/.exec(line ?? "")?.[1] ?? "";
      assert(wait.test(delay), line);
      // Nothing is asked meanwhile, and a stop does not wait for it.
      const asked = server.log.length;
      await new Promise((resolve) => setTimeout(resolve, 200));
      assertEquals(server.log.length, asked);
    });
  });
}

Deno.test("fault 41: a server that speaks HTTP/2 too is asked for HTTP/1.1 alone", async () => {
  await withTempFolder(async (folder) => {
    const pki = await Pki.create(folder);
    const alpnProtocols = ["h2", "http/1.1"];
    const { cert, key } = await pki.server();
    using listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key, alpnProtocols });
    const chosen = (async () => {
      const connection = await listener.accept();
      const { alpnProtocol } = await connection.handshake();
      connection.close();
      return alpnProtocol;
    })();
    const { port } = listener.addr as Deno.NetAddr;
    const credentials = { ...NO_CREDENTIALS, caCerts: [pki.ca] };
    await withEnd(`https://127.0.0.1:${port}`, { credentials }, async () => {
      assertEquals(await chosen, "http/1.1");
    });
  });
});

const CERTIFICATES: [string, Parameters<Pki["server"]>[0], string][] = [
  ["has expired", { days: -1 }, "Expired"],
  ["is another host's", { addresses: ["DNS:elsewhere.example"] }, "not valid for name"],
];

for (const [what, request, said] of CERTIFICATES) {
  Deno.test(`fault 43: a certificate that ${what} is said and waited out`, async () => {
    await withTempFolder(async (folder) => {
      const pki = await Pki.create(folder);
      const bad = await pki.server(request);
      const good = await pki.server();
      await withServer({ tls: { ...bad, ca: pki.ca } }, async (server) => {
        server.store.create(sampleEvent("a", "e1"));
        const credentials = { ...NO_CREDENTIALS, caCerts: [pki.ca] };
        const clientTimes = { credentialsMs: 50 };
        await withEnd(server.url, { credentials, clientTimes }, async (end) => {
          await until("two failures", () => end.logged(said).length >= 2);
          assertEquals(end.connected, 0);
          server.setTls({ ...good, ca: pki.ca });
          await until("the event", () => end.isSettled);
          assertEquals(end.names, ["e1"]);
        });
      });
    });
  });
}

Deno.test("fault 43: an IPv6 address, the only name in the certificate, whose handshake stalls at first", async () => {
  await withTempFolder(async (folder) => {
    const pki = await Pki.create(folder);
    const tls = { ...await pki.server({ addresses: ["IP:::1"] }), ca: pki.ca };
    await withServer({ tls, hostname: "::1" }, async (server) => {
      server.store.create(sampleEvent("a", "e1"));
      server.connections = "silent";
      const credentials = { ...NO_CREDENTIALS, caCerts: [pki.ca] };
      const clientTimes = { headerMs: 100 };
      await withEnd(server.url, { credentials, clientTimes }, async (end) => {
        await until("two failures", () => end.logged("no answer within 0.1 s").length >= 2);
        server.connections = "served";
        await until("the event", () => end.isSettled);
        assertEquals(end.names, ["e1"]);
      });
    });
  });
});
