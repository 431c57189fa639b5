/**
 * Faults 41 and 43 under a running watch: TLS that fails, and servers that speak something else.
 * Each is said, waited out with a backoff, and when it is over every state that was written
 * meanwhile comes, also those overwritten.
 */

import { assert, assertEquals } from "@std/assert";
import { statusAnswer } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { withServer } from "../fake/testing.ts";
import { Front, type Play } from "../support/front.ts";
import { Pki } from "../support/pki.ts";
import { until } from "../support/temp.ts";
import { type MainEnd, NO_CREDENTIALS, untilMet, withEnd } from "./main_end.ts";

/** A failing request is made at most so often: a backoff of 20 ms that doubles up to 160 ms. */
const FAILURES = 4;

/** Waits for a watch, disturbs it, writes, and sees that all of it comes when it is over. */
async function disturbed(
  server: FakeApiServer,
  end: MainEnd,
  { begin, said, over }: { begin: () => void; said: RegExp; over: () => void },
): Promise<void> {
  await until("a watch", () => end.isSettled && server.watches.length === 1);
  server.store.create(sampleEvent("a", "e1"));
  server.store.create(sampleEvent("a", "e2"));
  await untilMet(end, 2);
  const before = end.logs.length;
  const failures = () =>
    end.logs.slice(before).filter((line) => line.includes("Next attempt in") && said.test(line));
  begin();
  server.dropConnections("reset");
  for (let i = 0; i < 3; i++) server.store.repeat("a", "e1");
  server.store.create(sampleEvent("a", "gone"));
  server.store.delete("a", "gone");
  const since = performance.now();
  await until(`it is said: ${said}`, () => failures().length >= FAILURES);
  // 20, 40 and 80 ms at least lie between the first and the fourth.
  const ms = performance.now() - since;
  assert(ms >= 140, `${FAILURES} failures within ${ms} ms`);
  assertEquals(end.connected, 1);
  over();
  await until("the last state", () => end.names.includes("gone"));
  const shown = server.revisions.filter(({ type }) => type !== "DELETED");
  assertEquals(new Set(end.versions), new Set(shown.map(({ revision }) => `${revision}`)));
  // As P was not left.
  assertEquals(end.gaps, []);
}

const pki = new Pki();
const stranger = new Pki("stranger");
const GOOD = pki.server();

const TLS: [number, string, (server: FakeApiServer) => void, RegExp][] = [
  [43, "a certificate that expired", (s) => s.setTls(pki.server({ days: -1 })), /expired/i],
  [
    43,
    "a certificate of tomorrow",
    (s) => s.setTls(pki.server({ afterDays: 1 })),
    /not valid yet/i,
  ],
  [
    43,
    "a certificate of other addresses alone",
    (s) => s.setTls(pki.server({ hosts: ["10.0.0.1", "::1"] })),
    /not valid for name/i,
  ],
  [
    43,
    "a certificate of a name alone",
    (s) => s.setTls(pki.server({ hosts: ["kubernetes.default.svc"] })),
    /not valid for name/i,
  ],
  [43, "a certificate of a stranger's CA", (s) => s.setTls(stranger.server()), /UnknownIssuer/i],
  [43, "handshakes that stall", (s) => void (s.connections = "silent"), /no answer within 0\.4 s/],
  [41, "a server that speaks HTTP/2 alone", (s) => s.setTls({ ...GOOD, offers: ["h2"] }), /./],
];

for (const [number, what, begin, said] of TLS) {
  Deno.test(`fault ${number}: ${what}, under a running watch: said, and every state comes then`, async () => {
    await withServer({ tls: { ...GOOD, ca: pki.ca } }, async (server) => {
      const credentials = { ...NO_CREDENTIALS, caCerts: [pki.ca] };
      const clientTimes = { credentialsMs: 10, headerMs: 400 };
      await withEnd(server.url, { credentials, clientTimes }, async (end) => {
        const over = () => {
          server.connections = "served";
          server.setTls({ ...GOOD, ca: pki.ca });
        };
        await disturbed(server, end, {
          begin: () => {
            begin(server);
            // Deno's fetch would go on in a TLS session of before, whatever the certificate is now.
            const caCerts = [pki.ca, new Pki("of no use").ca];
            end.send({ type: "credentials", credentials: { ...credentials, caCerts } });
          },
          said,
          over,
        });
      });
    });
  });
}

/** Answers whatever comes first with these bytes. */
function answering(bytes: number[], isClosed: boolean): Play {
  return (connection) => {
    connection.once("data", () => {
      if (isClosed) connection.end(Uint8Array.from(bytes));
      else connection.write(Uint8Array.from(bytes));
    });
  };
}

/** A frame of HTTP/2 (RFC 9113, 4.1) on stream 0 or 1. */
function frame(type: number, stream: number, payload: number[]): number[] {
  return [0, 0, payload.length, type, 0, 0, 0, 0, stream, ...payload];
}

const SETTINGS = frame(4, 0, [0, 3, 0, 0, 0, 1]); // One stream at most.
const GOAWAY = frame(7, 0, [0, 0, 0, 0, 0, 0, 0, 0]);
const RST_STREAM = frame(3, 1, [0, 0, 0, 2]); // INTERNAL_ERROR

const PLAYS: [number, string, Play][] = [
  [41, "SETTINGS and GOAWAY of HTTP/2", answering([...SETTINGS, ...GOAWAY], true)],
  [
    41,
    "SETTINGS and RST_STREAM of HTTP/2, left open",
    answering([...SETTINGS, ...RST_STREAM], false),
  ],
];

for (const [number, what, play] of PLAYS) {
  Deno.test(`fault ${number}: ${what} instead of an answer: said, and every state comes then`, async () => {
    await withServer({}, async (server) => {
      using front = await Front.start(Number(new URL(server.url).port));
      const clientTimes = { headerMs: 400 };
      await withEnd(`http://127.0.0.1:${front.port}`, { clientTimes }, async (end) => {
        const begin = () => front.disturb(play);
        await disturbed(server, end, { begin, said: /./, over: () => front.calm() });
        assert(front.played > 0);
      });
    });
  });
}

Deno.test("fault 43: a TLS handshake that stalls in the middle: said, and every state comes then", async () => {
  await withServer({ tls: { ...GOOD, ca: pki.ca } }, async (server) => {
    using front = await Front.start(Number(new URL(server.url).port));
    const options = {
      credentials: { ...NO_CREDENTIALS, caCerts: [pki.ca] },
      clientTimes: { credentialsMs: 10, headerMs: 400 },
    };
    // The head of a record with a ServerHello, and the first bytes of that.
    const half = answering([0x16, 3, 3, 0, 0x7a, 2, 0, 0, 0x76], false);
    await withEnd(`https://127.0.0.1:${front.port}`, options, async (end) => {
      const begin = () => front.disturb(half);
      const said = /no answer within 0\.4 s/;
      await disturbed(server, end, { begin, said, over: () => front.calm() });
    });
  });
});

for (
  const [code, reason] of [[426, "Upgrade Required"], [505, "HTTP Version Not Supported"]] as const
) {
  Deno.test(`fault 41: ${code} ${reason}, as of a server for HTTP/2 alone: said, and every state comes then`, async () => {
    await withServer({}, async (server) => {
      await withEnd(server.url, {}, async (end) => {
        const action = statusAnswer(code, "", reason);
        const fault = { match: {}, times: Infinity, action };
        const begin = () => server.faults.push(fault);
        const over = () => server.faults.clear();
        await disturbed(server, end, { begin, said: new RegExp(`${code}`), over });
      });
    });
  });
}
