import { assert, assertEquals, assertThrows } from "@std/assert";
import { EventScan } from "../../lib/event_scan.ts";
import { identityHex } from "../../lib/identity.ts";
import { FormatError } from "../../lib/json_bytes.ts";
import { LINE_SKIPPED_BYTES_MAX, NESTING_MAX, WINDOW_BYTES } from "../../lib/limits.ts";
import { readWatchLine, type WatchLine, WatchLines } from "../../lib/watch_lines.ts";
import { feed } from "../property/byob.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const EVENT = '{"kind":"Event","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"5"}}';

function read(text: string, scan: EventScan = new EventScan()): WatchLine {
  const bytes = encoder.encode(`xx${text}\n`);
  return readWatchLine(scan, bytes, 2, bytes.length - 1, "content");
}

/** Reads an event line; the text of the line it would write. */
function eventOf(text: string): { line: WatchLine; written: string; path: string } {
  const scan = new EventScan();
  const line = read(text, scan);
  if (line.type === "INVALID") throw new Error(line.reason);
  const into = new Uint8Array(scan.lineLength);
  scan.writeLine(into, 0);
  return { line, written: decoder.decode(into), path: scan.path };
}

function texts(lines: WatchLines): string[] {
  const found: string[] = [];
  while (lines.next()) found.push(decoder.decode(lines.bytes.subarray(lines.start, lines.end)));
  return found;
}

Deno.test("readWatchLine() reads the three types of events", () => {
  for (const type of ["ADDED", "MODIFIED", "DELETED"] as const) {
    const { line, written, path } = eventOf(`{"type":"${type}","object":${EVENT}}`);
    assertEquals([line, written, path], [{ type }, `${EVENT}\n`, "fast"]);
  }
});

Deno.test("readWatchLine() finds type and object in any spelling of the line", () => {
  const lines = [
    `{"object":${EVENT},"type":"ADDED"}`,
    `{"type":"ADDED","object":${EVENT}}\r`,
    ` {"type" : "ADDED" ,\t"object" : ${EVENT} } `,
    `{"type":"ADDED","object":${EVENT},"x":[{"object":{}}]}`,
    `{"type":"ADDED","object":${EVENT} }`,
    `{"type":"ADDED","object":null,"object":${EVENT}}`,
    `{"type":"ADDED","object":{"object":5},"x":"\\"}","object":${EVENT}}`,
    `{"type":"MODIFIED","object":${EVENT},"type":"ADDED"}`,
    `{"ty\\u0070e":"ADDED","\\u006fbject":${EVENT}}`,
    `{"a":12,"b":true,"c":"x","type":"ADDED","object":${EVENT},"d":-1e5}`,
  ];
  for (const text of lines) {
    const { line, written } = eventOf(text);
    assertEquals([line, written], [{ type: "ADDED" }, `${EVENT}\n`], text);
  }
});

Deno.test("readWatchLine() judges an object alike in any wrapper", () => {
  const nested = (depth: number) =>
    `{"metadata":{"resourceVersion":"1","x":${"[".repeat(depth)}${"]".repeat(depth)}}}`;
  for (const [depth, type] of [[NESTING_MAX - 2, "ADDED"], [NESTING_MAX - 1, "INVALID"]] as const) {
    assertEquals(read(`{"type":"ADDED","object":${nested(depth)}}`).type, type);
    assertEquals(read(`{"object":${nested(depth)},"type":"ADDED"}`).type, type);
  }
});

Deno.test("readWatchLine() says what is wrong with a line, and shows its beginning", () => {
  const cases: [string, string][] = [
    ["[]", "not an object"],
    ["{}", "no type"],
    [`{"object":${EVENT}}`, "no type"],
    [`{"type":null,"object":${EVENT}}`, "no type"],
    [`{"type":"FOO","object":${EVENT}}`, 'unknown type "FOO"'],
    [`{"type":"\\u001b[0m","object":${EVENT}}`, 'unknown type "\\u001b[0m"'],
    ['{"type":"ADDED"}', "no object"],
    ['{"type":"ADDED","object":null}', "no object"],
    ['{"type":"ADDED","object":[]}', "no object"],
    ['{"type":"BOOKMARK","object":7}', "no object"],
    ['{"type":"ADDED","object":{}}', "no metadata"],
    ['{"type":"ADDED","object":{"kind":"Status","metadata":{}}}', "no resourceVersion"],
    [`{"type":"ADDED","object":${EVENT},"object":{"metadata":{}}}`, "no resourceVersion"],
  ];
  for (const [text, reason] of cases) {
    assertEquals(read(text), { type: "INVALID", reason, excerpt: text });
  }
  for (
    const text of [
      `{"type":"ADDED","object":${EVENT}`,
      `{"type":"ADDED","object":${EVENT}}}`,
      `{"type":"ADDED","object":${EVENT}}{"type":"ADDED","object":${EVENT}}`,
      `{"type":"ADDED","object":${EVENT},}`,
      `\ufeff{"type":"ADDED","object":${EVENT}}`,
      EVENT.slice(0, 40),
      "<html>",
    ]
  ) {
    const line = read(text);
    assert(line.type === "INVALID" && line.reason.startsWith("not JSON: "), text);
  }
});

Deno.test("the excerpt of a broken line is printable and at most 200 bytes of it", () => {
  const line = read(`{"a\u001b\u2028 ${"x".repeat(300)}`);
  assert(line.type === "INVALID");
  assertEquals(line.excerpt, `{"a\\u001b\\u2028 ${"x".repeat(192)}...`);
  const bytes = Uint8Array.of(0x7b, 0xff, 0x0d);
  const bad = readWatchLine(new EventScan(), bytes, 0, 3, "content");
  assertEquals(bad, { type: "INVALID", reason: "not UTF-8", excerpt: "{\ufffd\\u000d" });
});

Deno.test("readWatchLine() takes a line of nothing but whitespace for none", () => {
  for (const text of ["", "\r", " \t "]) assertEquals(read(text), { type: "BLANK" });
});

Deno.test("readWatchLine() reports an ERROR whatever its object is (check 4.2.5)", () => {
  const status = (object: string) => {
    const line = read(`{"type":"ERROR","object":${object}}`);
    assert(line.type === "ERROR", object);
    return line.status;
  };
  assertEquals(
    status(
      '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":' +
        '"too old resource version: 1 (9)","reason":"Expired","code":410}',
    ),
    { code: 410, reason: "Expired", message: "too old resource version: 1 (9)" },
  );
  assertEquals(
    status('{"code":429,"reason":"TooManyRequests","details":{"retryAfterSeconds":3}}'),
    { code: 429, reason: "TooManyRequests", message: "", retryAfterSeconds: 3 },
  );
  const nothing = { code: 0, reason: "", message: "" };
  for (
    const object of [
      "null",
      "[]",
      '"x"',
      "{}",
      '{"code":"410","reason":null,"message":{},"details":[]}',
      '{"details":{"retryAfterSeconds":-1}}',
    ]
  ) assertEquals(status(object), nothing, object);
  assertEquals(read('{"type":"ERROR"}'), { type: "ERROR", status: nothing });
  assertEquals(read(`{"object":${EVENT},"type":"ERROR"}`), { type: "ERROR", status: nothing });
});

Deno.test("readWatchLine() gives a BOOKMARK's resourceVersion, if any", () => {
  const bookmark = (metadata: string) =>
    read(`{"type":"BOOKMARK","object":{"kind":"Event","apiVersion":"v1","metadata":${metadata}}}`);
  assertEquals(bookmark('{"resourceVersion":"12746","creationTimestamp":null}'), {
    type: "BOOKMARK",
    resourceVersion: "12746",
  });
  for (const metadata of ["null", "{}", '{"resourceVersion":""}', '{"resourceVersion":7}']) {
    assertEquals(bookmark(metadata), { type: "BOOKMARK", resourceVersion: null }, metadata);
  }
});

Deno.test("a LIST item and the WATCH of the same event have one identity and one line", () => {
  const corpus = Deno.readTextFileSync(new URL("../corpus/events.jsonl", import.meta.url));
  const watched = new Map<string, string>();
  let listed = 0;
  const scan = new EventScan();
  for (const text of corpus.trimEnd().split("\n")) {
    const bytes = encoder.encode(text);
    const isWatch = text.startsWith('{"type"');
    if (isWatch) assert(read(text, scan).type !== "INVALID", text);
    else assertEquals(scan.scan(bytes, 0, bytes.length, "content"), null);
    const into = new Uint8Array(scan.lineLength);
    scan.writeLine(into, 0);
    const result = `${identityHex(scan.key)} ${decoder.decode(into)}`;
    if (isWatch) watched.set(scan.resourceVersion, result);
    else {
      assertEquals(watched.get(scan.resourceVersion), result);
      listed++;
    }
  }
  assertEquals(listed, 26);
});

Deno.test("WatchLines finds lines across reads and counts what is left over (check 4.2.9)", () => {
  const lines = new WatchLines();
  const found: string[] = [];
  const drain = () => found.push(...texts(lines));
  feed(lines, encoder.encode("one\ntw"), drain);
  assertEquals([found, lines.rest], [["one"], 2]);
  feed(lines, encoder.encode("o\n\nfour\r\nfi"), drain);
  assertEquals([found, lines.rest], [["one", "two", "", "four\r"], 2]);
  feed(lines, encoder.encode("\n"), drain);
  assertEquals([found.at(-1), lines.rest], ["fi", 0]);
  lines.room();
  assertEquals(lines.rest, 0);
});

Deno.test("WatchLines grows its window for a giant line and shrinks it afterwards", () => {
  const lines = new WatchLines();
  assertEquals(lines.room().length, WINDOW_BYTES);
  const giant = "x".repeat(10 * WINDOW_BYTES);
  const found: string[] = [];
  let widest = 0;
  feed(lines, encoder.encode(`a\n${giant}\nb\nc`), () => {
    found.push(...texts(lines));
    widest = Math.max(widest, lines.bytes.buffer.byteLength);
  });
  assertEquals(found, ["a", giant, "b"]);
  assert(widest >= giant.length && widest <= 3 * giant.length, `${widest}`);
  assertEquals(lines.room().length, WINDOW_BYTES - 1);
});

Deno.test("WatchLines leaves out a line that is too long, in any chunks, and goes on behind it (fault 34)", () => {
  for (const size of [101, 5000, 300 * 1024]) {
    for (const chunk of [1, 7, 4096, 1 << 20]) {
      if (size / chunk > 10_000) continue;
      const lines = new WatchLines(100);
      const text = `first\n{"name":"huge","${"x".repeat(size)}\nsecond\n\nthird`;
      const found: string[] = [];
      const tooLong: string[] = [];
      for (let at = 0; at < text.length; at += chunk) {
        feed(lines, encoder.encode(text.slice(at, at + chunk)), () => {
          const next = () =>
            lines.nextBut(({ beginning }) => {
              tooLong.push(beginning);
              return true;
            });
          while (next()) found.push(decoder.decode(lines.bytes.subarray(lines.start, lines.end)));
        });
      }
      assertEquals(found, ["first", "second", ""]);
      assertEquals(tooLong.length, 1);
      assert(tooLong[0]!.startsWith('{"name":"huge","xxx'));
      assertEquals(lines.rest, "third".length);
    }
  }
});

Deno.test("WatchLines gives up on a line that has no end (fault 34)", () => {
  const lines = new WatchLines(WINDOW_BYTES);
  const part = new Uint8Array(WINDOW_BYTES).fill(0x78);
  const feedAll = () => {
    for (let bytes = 0; bytes <= LINE_SKIPPED_BYTES_MAX + 3 * part.length; bytes += part.length) {
      feed(lines, part, () => lines.nextBut(() => true));
    }
  };
  assertThrows(feedAll, FormatError, "does not end");
});

Deno.test("WatchLines takes a line of the longest length and throws at one byte more (fault 34; check 4.2.11)", () => {
  for (const size of [100, WINDOW_BYTES, 3 * WINDOW_BYTES + 1]) {
    const longest = "x".repeat(size);
    const lines = new WatchLines(size);
    const found: string[] = [];
    feed(lines, encoder.encode(`ok\n${longest}\n`), () => found.push(...texts(lines)));
    assertEquals(found, ["ok", longest]);
    for (const tail of ["y\n", "y"]) {
      const tooLong = new WatchLines(size);
      const error = assertThrows(
        () => feed(tooLong, encoder.encode(longest + tail), () => texts(tooLong)),
        FormatError,
        `A line of the watch is longer than ${size} bytes; it begins xxx`,
      );
      assert(error.message.length < 300);
    }
  }
});

Deno.test("WatchLines works under the BYOB reader of a real response", async () => {
  const sent = Array.from({ length: 3000 }, (_, i) => `${i} ${"é".repeat(i % 97)}`);
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response(sent.join("\n") + "\nrest"),
  );
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
  const reader = response.body!.getReader({ mode: "byob" });
  const lines = new WatchLines();
  const found: string[] = [];
  for (;;) {
    const { done, value } = await reader.read(lines.room());
    if (done) break;
    lines.fill(value);
    found.push(...texts(lines));
  }
  await server.shutdown();
  assertEquals(found, sent);
  assertEquals(lines.rest, 4);
});
