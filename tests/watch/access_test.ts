/**
 * Servers that do not answer, or not as we wish: every failure is said once a step, waited out, and
 * gives nothing away.
 */

import { assert, assertEquals } from "@std/assert";
import type { Credentials } from "../../lib/protocol.ts";
import { type FaultAction, statusAnswer, tooManyRequests } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { until, withServer } from "../fake/testing.ts";
import { Pki } from "../support/pki.ts";
import { NO_CREDENTIALS, untilMet, watchFrom, withEnd } from "./main_end.ts";

function bearer(token: string): Credentials {
  return { ...NO_CREDENTIALS, authorization: `Bearer ${token}` };
}

function create(server: FakeApiServer, ...names: string[]): void {
  for (const name of names) server.store.create(sampleEvent("a", name));
}

Deno.test("401: new credentials are asked for once, and with them the request is made at once", async () => {
  await withServer({ tokens: { new: "us" } }, async (server) => {
    create(server, "e1");
    await withEnd(server.url, { credentials: bearer("old") }, async (end) => {
      end.renewed = bearer("new");
      await until(() => end.isSettled);
      assertEquals([end.unauthorized, end.connected], [1, 1]);
      assertEquals(end.logged("WARNING"), []);
      assertEquals(server.log.map(({ status }) => status).slice(0, 2), [401, 200]);
    });
  });
});

Deno.test("401 for long: tried again with backoff, and let in when the token is right (fault 13; check 4.2.14)", async () => {
  await withServer({ tokens: { new: "us" } }, async (server) => {
    create(server, "e1");
    await withEnd(server.url, { credentials: bearer("old-secret") }, async (end) => {
      end.renewed = bearer("old-secret");
      await until(() => end.logged("401 Unauthorized").length >= 3);
      assert(end.unauthorized >= 3);
      assertEquals(end.connected, 0);
      end.renewed = bearer("new");
      await until(() => end.isSettled);
      assertEquals(end.logged("works again").length, 1);
      assertEquals(end.logged("secret"), []);
    });
  });
});

/** A backoff that no test waits for. */
const LONG = { backoff: { firstMs: 60_000, maxMs: 60_000, resetMs: 60_000 } };

for (const status of [401, 403]) {
  Deno.test(`other credentials end the backoff of a ${status} (fault 13; check 4.2.14)`, async () => {
    // Nobody without a header is refused by 403, as where anonymous requests are let in.
    const old = status === 401 ? bearer("old") : NO_CREDENTIALS;
    await withServer({ tokens: { new: "us" } }, async (server) => {
      create(server, "e1");
      const options = { credentials: old, times: LONG, clientTimes: { credentialsMs: 50 } };
      await withEnd(server.url, options, async (end) => {
        await until(() => end.logged("Next attempt in").length === 1);
        assert(end.logged(`answered ${status}`).length === 1);
        end.send({ type: "credentials", credentials: bearer("new") });
        await until(() => end.isSettled);
        assertEquals(end.logged("at once, as there are other credentials").length, 1);
      });
    });
  });
}

Deno.test("other credentials end the backoff of a certificate that is not trusted (fault 16; check 4.2.14)", async () => {
  const [pki, other] = [new Pki(), new Pki("other")];
  await withServer({ tls: { ...pki.server(), ca: pki.ca } }, async (server) => {
    create(server, "e1");
    const credentials = { ...NO_CREDENTIALS, caCerts: [other.ca] };
    const options = { credentials, times: LONG, clientTimes: { credentialsMs: 50 } };
    await withEnd(server.url, options, async (end) => {
      await until(() => end.logged("Next attempt in").length === 1);
      end.send({ type: "credentials", credentials: { ...credentials, caCerts: [pki.ca] } });
      await until(() => end.isSettled);
    });
  });
});

Deno.test("a plugin that gives other credentials whenever it is asked makes no hot loop (fault 13)", async () => {
  await withServer({ tokens: { another: "us" } }, async (server) => {
    const watches = ["a", "b", "c", "d"].map((namespace) => ({ ...watchFrom(null), namespace }));
    // The first that ends asks for credentials, which end the others'.
    const backoff = { firstMs: 100, maxMs: 60_000, resetMs: 60_000 };
    const times = { backoff, credentialsHurryMs: 1000 };
    await withEnd(server.url, { credentials: bearer("0"), watches, times }, async (end) => {
      let given = 0;
      end.renewed = () => bearer(`${++given}`);
      await until(() => end.logged("at once, as there are other credentials").length > 0);
      const asked = server.log.length;
      await new Promise((resolve) => setTimeout(resolve, 900));
      // Each once by its backoff and once in a hurry, with what it had and what it is given then.
      assert(server.log.length - asked <= 40, `${server.log.length - asked} requests`);
    });
  });
});

Deno.test("a failure that has nothing to do with credentials is waited out whatever they are", async () => {
  await withServer({}, async (server) => {
    const action = statusAnswer(503, "ServiceUnavailable", "not now");
    server.faults.push({ match: {}, times: Infinity, action });
    await withEnd(server.url, { times: LONG }, async (end) => {
      await until(() => end.logged("Next attempt in").length === 1);
      for (const token of ["a", "b", "c"]) {
        end.send({ type: "credentials", credentials: bearer(token) });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      assertEquals(server.log.length, 1);
    });
  });
});

Deno.test("401 and nobody answers: the wait ends, and it is a failure like others (fault 13)", async () => {
  await withServer({ tokens: { new: "us" } }, async (server) => {
    const clientTimes = { credentialsMs: 100 };
    await withEnd(server.url, { credentials: bearer("old"), clientTimes }, async (end) => {
      await until(() => end.logged("401 Unauthorized").length >= 2);
      assertEquals(end.unauthorized, end.logged("401 Unauthorized").length);
    });
  });
});

Deno.test("a token that changes under an open watch leaves it alone, and serves the next request (fault 14)", async () => {
  await withServer({ tokens: { old: "us" } }, async (server) => {
    create(server, "e1");
    await withEnd(server.url, { credentials: bearer("old") }, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e2");
      await untilMet(end, 2);
      server.auth.tokens.clear();
      server.auth.tokens.set("new", "us");
      end.send({ type: "credentials", credentials: bearer("new") });
      create(server, "e3");
      await untilMet(end, 3);
      assertEquals(server.log.length, 2);
      server.dropConnections("end");
      await until(() => server.watches.length === 1 && server.log.length >= 3);
      assertEquals(end.unauthorized, 0);
    });
  });
});

for (const namespace of [null, "team-a"]) {
  Deno.test(`403 ${namespace ?? "everywhere"}: an error that names the rule; let in when it is there (fault 15)`, async () => {
    await withServer({ tokens: { "token-of-plain": "plain" } }, async (server) => {
      server.auth.allow.list = false;
      const watches = [{ ...watchFrom(null), namespace }];
      await withEnd(server.url, { watches, credentials: bearer("token-of-plain") }, async (end) => {
        await until(() => end.logged("ERROR").length >= 2);
        const [line] = end.logged("ERROR");
        const rule = 'apiGroups: [""], resources: ["events"], verbs: ["list", "watch"]';
        assert(line!.includes(rule), line);
        const scope = namespace === null ? "a ClusterRole" : 'a Role in the namespace "team-a"';
        assert(line!.includes(scope), line);
        assert(line!.includes('User "plain" cannot list resource "events"'), line);
        server.auth.allow.list = true;
        await until(() => end.isSettled);
        assertEquals(end.connected, 1);
      });
    });
  });
}

Deno.test("rights to watch that are taken away and given back (fault 15)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e2");
      await untilMet(end, 2);
      server.auth.allow.watch = false;
      server.dropConnections("end");
      await until(() => end.logged("cannot watch").length >= 2);
      create(server, "e3");
      server.auth.allow.watch = true;
      await until(() => end.names.includes("e3"));
      assertEquals(server.log.filter(({ request }) => request.verb === "list").length, 1);
    });
  });
});

Deno.test("429 with Retry-After waits that long, without it as long as other failures (fault 12; check 4.2.12)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    server.faults.push(
      { match: { verb: "list" }, action: tooManyRequests("1") },
      { match: { verb: "list" }, action: tooManyRequests(null) },
      { match: { verb: "list" }, action: tooManyRequests("-5") },
    );
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled);
      const [first, second, third, fourth] = server.log.map(({ at }) => at);
      assert(second! - first! >= 1000, `${second! - first!} ms`);
      assert(third! - second! < 900 && fourth! - third! < 900);
      assertEquals(end.logged("Too many requests, please try again later").length, 3);
    });
  });
});

Deno.test("429 on a WATCH keeps the position: no LIST (fault 12)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e2");
      await untilMet(end, 2);
      const action = tooManyRequests(null);
      server.faults.push({ match: { verb: "watch" }, times: 5, action });
      server.dropConnections("reset");
      await until(() => server.faults.pending === 0);
      create(server, "e3");
      await until(() => end.names.includes("e3"));
      assertEquals(server.log.filter(({ request }) => request.verb === "list").length, 1);
    });
  });
});

Deno.test("a server that is gone: one warning a step, no hot loop, and on it goes when it is back (check 4.2.20)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    await withEnd(server.url, {}, async (end) => {
      await until(() => end.isSettled && server.watches.length === 1);
      create(server, "e2");
      await untilMet(end, 2);
      await server.down();
      const began = performance.now();
      await until(() => end.logged("WARNING").length >= 6);
      assert(performance.now() - began >= 400);
      const lines = end.logged("Connection refused");
      assert(lines.length >= 5);
      assert(lines.every((line) => line.startsWith("WARNING WATCH /api/v1/events failed: ")));
      assert(lines.every((line) => /Next attempt in \d\.\d s\.$/.test(line)), lines[0]);
      // Neither the query nor a stack.
      assert(lines.every((line) => !line.includes("?") && !line.includes("\n")), lines[0]);
      create(server, "e3");
      await server.up();
      await until(() => end.names.includes("e3"));
      assertEquals(end.logged("works again").length, 1);
      assertEquals(server.log.filter(({ request }) => request.verb === "list").length, 1);
    });
  });
});

Deno.test("no answer at all is given up after the header's time (fault 18; check 4.2.7)", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    server.connections = "silent";
    await withEnd(server.url, { clientTimes: { headerMs: 150 } }, async (end) => {
      await until(() => end.logged("no answer within 0.15 s").length >= 2);
      server.connections = "served";
      await until(() => end.isSettled);
    });
  });
});

Deno.test("a TLS handshake that stalls is given up after the header's time (fault 43)", async () => {
  const pki = new Pki();
  await withServer({ tls: pki.server() }, async (server) => {
    create(server, "e1");
    server.connections = "silent";
    const credentials = { ...NO_CREDENTIALS, caCerts: [pki.ca] };
    await withEnd(server.url, { credentials, clientTimes: { headerMs: 300 } }, async (end) => {
      await until(() => end.logged("no answer within 0.3 s").length >= 2);
      server.connections = "served";
      await until(() => end.isSettled);
    });
  });
});

Deno.test("400 and 422 on a WATCH: tried again at once without allowWatchBookmarks", async () => {
  for (const code of [400, 422]) {
    await withServer({}, async (server) => {
      create(server, "e1");
      server.faults.push({
        match: { verb: "watch", when: ({ query }) => query.has("allowWatchBookmarks") },
        times: 1000,
        action: statusAnswer(code, "Invalid", "allowWatchBookmarks is not known here"),
      });
      await withEnd(server.url, {}, async (end) => {
        await until(() => server.watches.length === 1 && end.isSettled);
        const watches = server.log.filter(({ request }) => request.verb === "watch");
        assertEquals(watches.map(({ status }) => status), [code, 200]);
        assertEquals(end.logged("WARNING"), []);
      });
    });
  }
});

Deno.test("a resourceVersion that the server cannot read: after three failures a LIST and its version", async () => {
  await withServer({}, async (server) => {
    create(server, "e1");
    const position = {
      rv: "b",
      witness: "1".repeat(32),
      previous: "a",
      highest: "b",
      listOwed: false,
    };
    await withEnd(server.url, { watches: [watchFrom(position)] }, async (end) => {
      await until(() => end.isSettled);
      create(server, "e2");
      await until(() => end.names.includes("e2"));
      assertEquals([end.position?.rv, end.position?.previous], ["102", "101"]);
      const lists = server.log.filter(({ request }) => request.verb === "list");
      assertEquals(lists.length, 1);
    });
  });
});

const NO_API: [string, FaultAction, string][] = [
  [
    "a login page",
    { respond: { status: 200, headers: { "Content-Type": "text/html" }, body: "<html>log in" } },
    'of the type "text/html" instead of JSON',
  ],
  [
    "a proxy's error page",
    { respond: { status: 502, headers: { "Content-Type": "text/html" }, body: "<html>oh" } },
    "the server answered 502 Bad Gateway. Next",
  ],
];

for (const [what, action, said] of NO_API) {
  Deno.test(`${what} is a failure like others (fault 42)`, async () => {
    await withServer({}, async (server) => {
      create(server, "e1");
      server.faults.push({ match: {}, times: 2, action });
      await withEnd(server.url, {}, async (end) => {
        await until(() => end.isSettled);
        assertEquals(end.logged(said).length, 2, end.logs[0]);
        assertEquals(end.names, ["e1"]);
      });
    });
  });
}

Deno.test("a redirect is not followed: no other server sees the token (fault 42; check 4.2.15)", async () => {
  await withServer({}, async (other) => {
    await withServer({ tokens: { secret: "us" } }, async (server) => {
      const Location = `${other.url}/api/v1/events?token=secret`;
      server.faults.push({
        match: {},
        times: 2,
        action: { respond: { status: 302, headers: { Location } } },
      });
      await withEnd(server.url, { credentials: bearer("secret") }, async (end) => {
        await until(() => end.isSettled);
        assertEquals(end.logged("answered 302, a redirect, which is not followed").length, 2);
        assertEquals(end.logged("secret"), []);
        assertEquals(other.log.length, 0);
      });
    });
  });
});

Deno.test("a server that echoes the token does not bring it into the log", async () => {
  await withServer({}, async (server) => {
    const action = statusAnswer(500, "InternalError", "what is Bearer sesame-123 to me?");
    server.faults.push({ match: {}, action });
    await withEnd(server.url, { credentials: bearer("sesame-123") }, async (end) => {
      await until(() => end.isSettled);
      assertEquals(end.logged("what is Bearer [redacted] to me?").length, 1);
      assertEquals(end.logged("sesame"), []);
    });
  });
});

Deno.test("requests say who asks, and for JSON", async () => {
  await withServer({}, async (server) => {
    await withEnd(server.url, {}, async () => {
      await until(() => server.log.length === 2);
      for (const { request: { headers } } of server.log) {
        assertEquals(headers.get("accept"), "application/json");
        assert(/^kube-event-pipe\/\d/.test(headers.get("user-agent") ?? ""));
      }
    });
  });
});
