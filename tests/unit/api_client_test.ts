import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Body } from "../../lib/answer_body.ts";
import { ApiClient } from "../../lib/api_client.ts";
import { ApiFailure } from "../../lib/api_failure.ts";
import { retryAfterMs } from "../../lib/api_refusal.ts";
import { RETRY_AFTER_MAX_MS } from "../../lib/limits.ts";
import type { Credentials } from "../../lib/protocol.ts";
import { type FaultAction, statusAnswer } from "../fake/faults.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { until, withServer } from "../fake/testing.ts";
import { Pki } from "../support/pki.ts";

const NONE: Credentials = { caCerts: [], cert: null, key: null, authorization: null };
const TIMES = { headerMs: 2000, connectMs: 1000, credentialsMs: 200 };
const NOW = Date.parse("2026-01-02T03:04:05Z");

async function withClient(
  server: FakeApiServer,
  credentials: Credentials,
  test: (client: ApiClient, asked: { times: number; refused: number }) => Promise<void>,
): Promise<void> {
  const asked = { times: 0, refused: 0 };
  const client = new ApiClient(server.url, credentials, (areRefused) => {
    asked.times++;
    if (areRefused) asked.refused++;
  }, TIMES);
  try {
    await test(client, asked);
  } finally {
    client.close();
  }
}

/** The text of an answer, read with a buffer of its own. */
async function textOf(body: Body): Promise<string> {
  let room = new Uint8Array(64);
  let text = "";
  for (;;) {
    const bytes = await body.read(room);
    if (bytes === null) return text;
    text += new TextDecoder().decode(bytes);
    room = new Uint8Array(bytes.buffer);
  }
}

function get(client: ApiClient, controller = new AbortController()): Promise<Body> {
  return client.open("/api/v1/events", new URLSearchParams({ limit: "5" }), controller);
}

/** The failure of a request to a server that does this. */
async function failureBy(action: FaultAction, credentials = NONE): Promise<ApiFailure> {
  let failure: unknown;
  await withServer({}, async (server) => {
    server.faults.push({ match: {}, action });
    await withClient(server, credentials, async (client) => {
      failure = await assertRejects(() => get(client), ApiFailure);
    });
  });
  return failure as ApiFailure;
}

Deno.test("retryAfterMs() reads seconds and dates, and keeps to sane bounds (fault 12; check 4.2.12)", () => {
  const cases: [string | null, number][] = [
    [null, 0],
    ["", 0],
    ["1", 1000],
    [" 32 ", 32_000],
    ["0", 0],
    ["-5", 0],
    ["86400", RETRY_AFTER_MAX_MS],
    ["99999999999999999999999", RETRY_AFTER_MAX_MS],
    ["1.5", 0],
    ["soon", 0],
    ["Fri, 02 Jan 2026 03:04:15 GMT", 10_000],
    ["Fri, 02 Jan 2026 03:04:00 GMT", 0],
    ["Sat, 02 Jan 2027 03:04:05 GMT", RETRY_AFTER_MAX_MS],
  ];
  for (const [header, ms] of cases) assertEquals(retryAfterMs(header, NOW), ms, `${header}`);
  // What a Status asks for, in an answer or in an ERROR event, is bounded too.
  const failure = new ApiFailure("busy", { retryAfterMs: 86_400_000 });
  assertEquals(failure.retryAfterMs, RETRY_AFTER_MAX_MS);
});

Deno.test("an answer's body is read into the memory that is given, and ends with null", async () => {
  await withServer({}, async (server) => {
    await withClient(server, NONE, async (client) => {
      const text = await textOf(await get(client));
      assertEquals(JSON.parse(text).kind, "EventList");
    });
  });
});

Deno.test("no compressed answer is asked for: of gzip, Deno reads the first member only (fault 40)", async () => {
  await withServer({}, async (server) => {
    await withClient(server, NONE, async (client) => {
      await textOf(await get(client));
      assertEquals(server.log[0]?.request.headers.get("accept-encoding"), "identity");
    });
  });
});

Deno.test("a Status tells its reason and message; Retry-After is the longer of header and details", async () => {
  const plain = await failureBy(statusAnswer(500, "InternalError", "no luck"));
  assertEquals(plain.message, "the server answered 500 InternalError: no luck");
  assertEquals([plain.status, plain.reason, plain.retryAfterMs], [500, "InternalError", 0]);

  const body = JSON.stringify({
    kind: "Status",
    reason: "ServerTimeout",
    details: { retryAfterSeconds: 3 },
  });
  const headers = { "Content-Type": "application/json", "Retry-After": "2" };
  const busy = await failureBy({ respond: { status: 504, headers, body } });
  assertEquals([busy.message, busy.retryAfterMs], ["the server answered 504 ServerTimeout", 3000]);
});

Deno.test("a body that is no Status is shown as far as it is text, on one line, and not too much", async () => {
  const answer = (body: string, type = "text/plain"): FaultAction => ({
    respond: { status: 503, headers: { "Content-Type": type }, body },
  });
  const { message } = await failureBy(answer("overload\nof\u0007 us"));
  assertEquals(message, "the server answered 503 Service Unavailable: overload\\u000aof\\u0007 us");
  const page = await failureBy(answer("<html><p>sorry</html>", "text/html"));
  assertEquals(page.message, "the server answered 503 Service Unavailable");
  for (const odd of ["null", "[]", '"x"', '{"message":5,"details":[]}', "[".repeat(60_000)]) {
    const failure = await failureBy(answer(odd, "application/json"));
    assert(failure.message.startsWith("the server answered 503 Service Unavailable"), odd);
    assert(failure.message.length < 600);
  }
});

Deno.test("of a long error only the beginning is read, and of one that stalls nothing is waited for (fault 19; check 4.2.15)", async () => {
  const long = "x".repeat(500_000);
  const { message } = await failureBy({
    respond: { status: 500, headers: { "Content-Type": "text/plain" }, body: long },
  });
  assert(message.length < 600);
  const began = performance.now();
  const stalled = await failureBy({
    ...statusAnswer(500, "InternalError", "no luck"),
    cut: { bytes: 10, how: "silence" },
  });
  assertEquals(stalled.status, 500);
  assert(performance.now() - began < 4000);
});

Deno.test("an abort reaches a body that is being read, also when garbage was collected before", async () => {
  await withServer({}, async (server) => {
    await withClient(server, NONE, async (client) => {
      for (let i = 0; i < 50; i++) {
        const controller = new AbortController();
        const query = new URLSearchParams({ watch: "1", resourceVersion: "100" });
        const body = await client.open("/api/v1/events", query, controller);
        const reading = body.read(new Uint8Array(64)).then(() => "read", (error) => error);
        // Enough garbage for a collection now and then.
        let garbage = new Array(200_000).fill(i).map((n) => ({ n }));
        await new Promise((resolve) => setTimeout(resolve, 1));
        garbage = [];
        const reason = new Error(`mine ${garbage.length}`);
        controller.abort(reason);
        assertEquals(await reading, reason);
      }
      await until(() => server.watches.length === 0);
    });
  });
});

Deno.test("TLS: the CA and a client certificate are used; new ones from the next request on (fault 16)", async () => {
  const pki = new Pki();
  const other = new Pki();
  const tls = { ...pki.server(), ca: pki.ca, clientCa: pki.ca };
  await withServer({ tls }, async (server) => {
    const { cert, key } = pki.issue({ name: "us" });
    const good: Credentials = { ...NONE, caCerts: [pki.ca], cert, key };
    await withClient(server, { ...good, caCerts: [other.ca] }, async (client) => {
      const failure = await assertRejects(() => get(client), ApiFailure);
      assert(failure.message.includes("invalid peer certificate"), failure.message);
      client.setCredentials(good);
      await textOf(await get(client));
    });
  });
});

Deno.test("TLS: a certificate that is not trusted has the CA read again, and the request made again", async () => {
  const [pki, other] = [new Pki(), new Pki()];
  await withServer({ tls: { ...pki.server(), ca: pki.ca } }, async (server) => {
    await withClient(server, { ...NONE, caCerts: [other.ca] }, async (client, asked) => {
      const answer = get(client);
      await until(() => asked.times === 1);
      client.setCredentials({ ...NONE, caCerts: [pki.ca] });
      await textOf(await answer);
      // Neither a plugin nor a token has to do with it.
      assertEquals(asked.refused, 0);
    });
  });
});

Deno.test("certificates that are none are refused, and those in use stay", async () => {
  const pki = new Pki();
  await withServer({ tls: { ...pki.server(), ca: pki.ca } }, async (server) => {
    await withClient(server, { ...NONE, caCerts: [pki.ca] }, async (client) => {
      await textOf(await get(client));
      const garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
      let refused = false;
      try {
        client.setCredentials({ ...NONE, caCerts: [garbage] });
      } catch {
        refused = true;
      }
      assert(refused);
      await textOf(await get(client));
    });
  });
});

Deno.test("401 to several requests asks for credentials once, and all go on with them", async () => {
  await withServer({ tokens: { "the-new-one": "us" } }, async (server) => {
    const bearer = (token: string) => ({ ...NONE, authorization: `Bearer ${token}` });
    await withClient(server, bearer("the-old-one"), async (client, asked) => {
      const answers = Promise.all([get(client), get(client), get(client)]);
      await until(() => server.log.filter(({ status }) => status === 401).length === 3);
      await until(() => asked.times > 0); // The server knows of the answers before we do.
      client.setCredentials(bearer("the-new-one"));
      for (const body of await answers) await textOf(body);
      assertEquals([asked.times, asked.refused], [1, 1]);
    });
  });
});

/** Puts something in the place of Deno.connect() while the test runs; returns how often it ran. */
async function withConnect(
  connect: (options: Deno.ConnectOptions) => Promise<Deno.TcpConn>,
  test: () => Promise<void>,
): Promise<number> {
  const real = Deno.connect;
  let calls = 0;
  Deno.connect = ((options: Deno.ConnectOptions) => {
    calls++;
    return connect(options);
  }) as typeof Deno.connect;
  try {
    await test();
  } finally {
    Deno.connect = real;
  }
  return calls;
}

// Deno.connect() tries the first address of a name alone: with a dead one in front of a living one
// it never gets through.
for (
  const [what, connect] of [
    ["is refused", () => Promise.reject(new Deno.errors.ConnectionRefused("refused"))],
    ["leads nowhere", () => new Promise<Deno.TcpConn>(() => {})],
  ] as const
) {
  Deno.test(`where a connection of our own ${what}, fetch() asks, and goes on to`, async () => {
    await withServer({}, async (server) => {
      await withClient(server, NONE, async (client) => {
        const calls = await withConnect(connect, async () => {
          await textOf(await get(client));
          await textOf(await get(client));
        });
        assertEquals(calls, 1);
        assertEquals(server.log.length, 2);
      });
    });
  });
}

Deno.test("a server that cannot be reached by either way is asked by both each time", async () => {
  const dead = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = dead.addr as Deno.NetAddr;
  dead.close();
  const client = new ApiClient(`http://127.0.0.1:${port}`, NONE, () => {}, TIMES);
  const calls = await withConnect(Deno.connect, async () => {
    for (let round = 0; round < 2; round++) {
      const { message } = await assertRejects(() => get(client), ApiFailure);
      assert(message.includes("refused"), message);
    }
  });
  assertEquals(calls, 2);
  client.close();
});
