/**
 * The faults of the fake API server: that what a test asks for is what comes over the wire.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { gunzipSync } from "node:zlib";
import {
  bookmarkLine,
  errorLine,
  type FaultAction,
  statusAnswer,
  tooManyRequests,
} from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { failure } from "../fake/status.ts";
import {
  getText,
  json,
  namesOf,
  type Raw,
  rawGet,
  until,
  versionsOf,
  watchLines,
  withServer,
} from "../fake/testing.ts";

const EVENTS = "/api/v1/events";
const WATCH = `${EVENTS}?watch=1&resourceVersion=100&timeoutSeconds=1`;

async function withEvents(count: number, test: (server: FakeApiServer) => Promise<void>) {
  await withServer({}, async (server) => {
    for (let i = 1; i <= count; i++) server.store.create(sampleEvent("a", `e${i}`));
    await test(server);
  });
}

function onWatch(server: FakeApiServer, action: FaultAction): void {
  server.faults.push({ match: { verb: "watch" }, action });
}

Deno.test("a fault hits the nth match of verb and page, so many times, and is then gone", async () => {
  await withEvents(3, async (server) => {
    const busy = statusAnswer(503, "ServiceUnavailable", "busy");
    server.faults.push({ match: { verb: "list", page: 2, nth: 2 }, times: 2, action: busy });
    const { metadata } = await json(server, `${EVENTS}?limit=2`);
    const second = `${EVENTS}?limit=2&continue=${metadata.continue}`;
    assertEquals(namesOf(await json(server, second)), ["e3"]);
    assertEquals((await json(server, second, 503)).message, "busy");
    assertEquals((await json(server, second, 503)).code, 503);
    assertEquals(namesOf(await json(server, second)), ["e3"]);
    assertEquals(server.faults.pending, 0);
    assertEquals(server.log.map(({ status }) => status), [200, 200, 503, 503, 200]);
  });
});

Deno.test("a fault may look at the request and choose its action", async () => {
  await withEvents(1, async (server) => {
    server.faults.push({
      match: { when: ({ headers }) => headers.get("x-hit") === "yes" },
      action: ({ path }) => statusAnswer(500, "InternalError", path),
    });
    await getText(server, EVENTS);
    assert((await getText(server, EVENTS, { "x-hit": "yes" }, 500)).includes(EVENTS));
  });
});

Deno.test("429 is text with Retry-After, as the real server's", async () => {
  await withEvents(0, async (server) => {
    server.faults.push({ match: {}, action: tooManyRequests("7") });
    const response = await fetch(server.url + EVENTS);
    assertEquals(await response.text(), "Too many requests, please try again later.\n");
    assertEquals([response.status, response.headers.get("retry-after")], [429, "7"]);
  });
});

for (const [how, end] of [["reset", "reset"], ["fin", "eof"]] as const) {
  Deno.test(`${how} after n events and m bytes ends a watch in the middle of a line`, async () => {
    await withEvents(4, async (server) => {
      onWatch(server, { cut: { events: 2, bytes: 40, how, delayMs: 200 } });
      const raw = await rawGet(server, WATCH);
      assertEquals(raw.end, end);
      assertEquals(raw.body.split("}}\n").length - 1, 2, "whole lines");
      assert(
        raw.body.endsWith('\r\n{"type":"ADDED","object":{"kind":"Event"'),
        raw.body.slice(-60),
      );
      assertEquals([server.log[0]?.ended, server.log[0]?.events], [how, 2]);
      onWatch(server, { cut: { events: 1, how } });
      await assertRejects(() => watchLines(server, WATCH), TypeError, "error reading a body");
    });
  });
}

Deno.test("a cut counts bytes of the body exactly, headers and framing left out", async () => {
  await withEvents(2, async (server) => {
    const body = (await getText(server, EVENTS)).slice(0, 100);
    for (const framing of ["length", "eof"] as const) {
      server.faults.push({ match: {}, action: { framing, cut: { bytes: 100, how: "fin" } } });
      const cut = await rawGet(server, EVENTS);
      assertEquals([cut.body, cut.end], [body, "eof"]);
    }
    server.faults.push({
      match: {},
      action: { framing: "chunked", cut: { bytes: 100, how: "fin" } },
    });
    const chunked = await rawGet(server, EVENTS);
    const [size = "", text] = chunked.body.split("\r\n");
    assertEquals(text?.length, 100);
    assert(parseInt(size, 16) > 100, "the chunk promises more than comes");
  });
});

Deno.test("a proper end with part of a line is a clean end for an HTTP client", async () => {
  await withEvents(3, async (server) => {
    onWatch(server, { cut: { events: 1, bytes: 30, how: "end" } });
    const response = await fetch(server.url + WATCH);
    const text = await response.text();
    const lines = text.split("\n");
    assertEquals([lines.length, lines[1]?.length], [2, 30]);
    assertEquals(server.log[0]?.ended, "complete");
  });
});

Deno.test("silence keeps the connection open and sends nothing more, past timeoutSeconds", async () => {
  await withEvents(3, async (server) => {
    onWatch(server, { cut: { events: 1, how: "silence" } });
    const raw = await rawGet(server, WATCH, 1300);
    assertEquals([raw.end, raw.body.split("}}\n").length - 1], ["open", 1]);
    assertEquals(server.log[0]?.ended, "silence");
  });
});

Deno.test("timeoutSeconds ignored: the watch lasts until the client leaves", async () => {
  await withEvents(1, async (server) => {
    onWatch(server, { ignoreTimeout: true });
    const abort = new AbortController();
    const { body } = await fetch(server.url + WATCH, { signal: abort.signal });
    await new Promise((resolve) => setTimeout(resolve, 1300));
    assertEquals([server.log[0]?.ended, server.watches.length], ["open", 1]);
    abort.abort();
    await until(() => server.log[0]?.ended === "client");
    assertEquals([body?.locked, server.watches.length], [false, 0]);
  });
});

Deno.test("a watch that ends at once has no line", async () => {
  await withEvents(0, async (server) => {
    onWatch(server, { endAfterMs: 0 });
    assertEquals(await watchLines(server, WATCH.replace("=1&res", "=true&res")), []);
  });
});

Deno.test("headers can be held back, and for ever", async () => {
  await withEvents(0, async (server) => {
    server.faults.push({ match: {}, action: { holdMs: 150 } }, {
      match: {},
      action: { holdMs: Infinity },
    });
    const start = performance.now();
    await getText(server, EVENTS);
    assert(performance.now() - start >= 145);
    const raw = await rawGet(server, EVENTS, 200);
    assertEquals([raw.end, raw.bytes.length], ["open", 0]);
  });
});

Deno.test("an answer can be trickled in segments of one byte", async () => {
  await withEvents(1, async (server) => {
    const plain = await getText(server, EVENTS);
    const byteByByte = { trickle: {} };
    const slowly = { trickle: { delayMs: 2 }, respond: { status: 200, body: "0123456789" } };
    server.faults.push({ match: {}, action: byteByByte }, { match: {}, action: slowly });
    assertEquals(await getText(server, EVENTS), plain);
    const { bytes, segments } = await rawGet(server, EVENTS, 2000);
    assert(segments > bytes.length * 0.8, `${bytes.length} bytes in ${segments} segments`);
  });
});

Deno.test("lines can be inserted, repeated, cut short and dropped", async () => {
  await withEvents(4, async (server) => {
    onWatch(server, {
      insert: [
        { after: 0, bytes: bookmarkLine("99") },
        { after: 2, bytes: errorLine(failure(500, "InternalError", "boom")) },
        { after: 4, bytes: new Uint8Array([0xff, 0x0a]) },
      ],
      lines: ({ text, index }) =>
        [[text, text], [`${text.slice(0, 20)}\n`], [], [text.trimEnd(), "\r\n"]][index - 1] ?? [],
    });
    const lines = await watchLines(server, WATCH);
    assertEquals(lines.map((line) => line.slice(0, 20)), [
      '{"type":"BOOKMARK","',
      '{"type":"ADDED","obj',
      '{"type":"ADDED","obj',
      '{"type":"ADDED","obj',
      '{"type":"ERROR","obj',
      '{"type":"ADDED","obj',
      "\ufffd",
    ]);
    assertEquals([lines[3]?.length, lines[5]?.endsWith("}}\r")], [20, true]);
  });
});

Deno.test("a watch can be disturbed from outside while it is open", async () => {
  await withEvents(1, async (server) => {
    const lines = watchLines(server, `${EVENTS}?watch=1&resourceVersion=100`);
    await until(() => server.log[0]?.events === 1);
    const watch = server.watches[0];
    await watch?.answer.send(bookmarkLine("500"));
    server.store.repeat("a", "e1");
    await until(() => server.log[0]?.events === 2);
    await watch?.answer.cut("end");
    assertEquals(versionsOf(await lines), ["ADDED 101", "BOOKMARK 500", "MODIFIED 102"]);
    const broken = watchLines(server, `${EVENTS}?watch=1&resourceVersion=100`);
    await until(() => server.log[1]?.events === 2);
    server.dropConnections("reset");
    await assertRejects(() => broken, TypeError);
  });
});

/** What stands in the chunks of a body, each by itself. */
function chunksOf({ bytes, head }: Raw): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = head.length;;) {
    const end = bytes.indexOf(10, at) + 1;
    const size = parseInt(new TextDecoder().decode(bytes.subarray(at, end)), 16);
    if (!(size > 0)) return chunks;
    chunks.push(bytes.subarray(end, end + size));
    at = end + size + 2;
  }
}

Deno.test("each line of a watch can be a gzip member of its own, and a LIST brotli", async () => {
  await withEvents(3, async (server) => {
    onWatch(server, { encoding: "gzip" });
    const raw = await rawGet(server, WATCH, 1500);
    assert(raw.head.includes("Content-Encoding: gzip\r\n"));
    const lines = chunksOf(raw).map((chunk) => gunzipSync(chunk).toString());
    assertEquals(versionsOf(lines), ["ADDED 101", "ADDED 102", "ADDED 103"]);
    server.faults.push({ match: {}, action: { encoding: "br" } });
    assertEquals(namesOf(await json(server, EVENTS)), ["e1", "e2", "e3"]);
    const action: FaultAction = { encoding: "gzip", cut: { bytes: 900, how: "fin" } };
    server.faults.push({ match: { verb: "list" }, action });
    await assertRejects(() => getText(server, EVENTS), TypeError);
  });
});

Deno.test("framing, headers and the body of a LIST can be replaced", async () => {
  await withEvents(1, async (server) => {
    server.faults.push({
      match: { verb: "list" },
      action: {
        headers: { "Content-Type": "text/html", "Audit-Id": null, "X-Proxy": "yes" },
        framing: 5000,
        body: (text) => text.replace('"items":[', '"items":null,"x":['),
      },
    });
    const raw = await rawGet(server, EVENTS, 200);
    assert(/Content-Type: text\/html\r\n/.test(raw.head) && !raw.head.includes("Audit-Id"));
    assert(raw.head.includes("Content-Length: 5000\r\n") && raw.body.includes('"items":null'));
    assertEquals(raw.end, "eof", "no second answer fits behind a wrong length");
    server.faults.push({ match: {}, action: { respond: { status: 200, body: "<html>" } } });
    assertEquals(await getText(server, EVENTS), "<html>");
  });
});
