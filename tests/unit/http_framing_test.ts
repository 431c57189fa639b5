import { assert, assertEquals, assertThrows } from "@std/assert";
import { ApiFailure } from "../../lib/api_failure.ts";
import { type Framing, framingOf, headEnd, parseHead } from "../../lib/http_framing.ts";
import { HEAD_BYTES_MAX } from "../../lib/limits.ts";
import { randomUint32, testSeed } from "../support/temp.ts";

const encoder = new TextEncoder();
const bytesOf = (text: string) => encoder.encode(text);

function framing(headers: Record<string, string>, status = 200): Framing {
  return framingOf({ status, statusText: "", headers: new Headers(headers) });
}

const chunked = () => framing({ "transfer-encoding": "chunked" });

/** What may stand in a buffer behind what was read into it. */
const STALE = bytesOf("\r\n2\r\nab\r\n");

/** The body that a framing finds in the pieces. */
function bodyOf(framing: Framing, pieces: Uint8Array[]): string {
  let text = "";
  for (const piece of pieces) {
    const bytes = new Uint8Array([...piece, ...STALE]);
    text += new TextDecoder().decode(bytes.subarray(0, framing.take(bytes, piece.length)));
  }
  return text;
}

/** Cuts bytes at random places, one byte to many. */
function cut(bytes: Uint8Array, next: () => number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  const most = 1 + next() % 40;
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + 1 + next() % most);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

Deno.test("headEnd() and parseHead() read what servers send, and nothing that is no head", () => {
  const text = "HTTP/1.1 403 Not Allowed\r\nContent-Type:application/json\r\nX-A: b \r\n\r\nrest";
  assertEquals(headEnd(bytesOf(text)), text.length - 4);
  for (let end = 0; end < text.length - 4; end++) {
    assertEquals(headEnd(bytesOf(text.slice(0, end))), -1, `${end}`);
  }
  const { status, statusText, headers } = parseHead(bytesOf(text.slice(0, -4)));
  assertEquals([status, statusText], [403, "Not Allowed"]);
  assertEquals([...headers], [["content-type", "application/json"], ["x-a", "b"]]);
  assertEquals(parseHead(bytesOf("HTTP/1.0 200\n\n")).status, 200);
  for (
    const bad of [
      "",
      "SSH-2.0-x\r\n\r\n",
      "HTTP/2 200 OK\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
      "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
      "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
    ]
  ) assertThrows(() => parseHead(bytesOf(bad)), ApiFailure, "", bad);
});

Deno.test("a chunked body is the same however its bytes are cut", () => {
  const next = randomUint32(testSeed());
  for (let run = 0; run < 300; run++) {
    const chunks = Array.from({ length: next() % 6 }, () => "x".repeat(1 + next() % 50) + next());
    const size = (length: number) =>
      length.toString(16).padStart(next() % 5, "0") + (next() % 3 === 0 ? ";name=value" : "");
    const trailer = next() % 2 === 0 ? "" : "Trailer: yes\r\nB: c\r\n";
    const wire = chunks.map((text) => `${size(text.length)}\r\n${text}\r\n`).join("") +
      `0\r\n${trailer}\r\n`;
    const framing = chunked();
    const pieces = cut(bytesOf(wire), next);
    assertEquals(bodyOf(framing, pieces), chunks.join(""));
    assert(framing.isDone);
    framing.end();
    // One byte less is no whole body.
    const early = chunked();
    bodyOf(early, [bytesOf(wire.slice(0, -1))]);
    assert(!early.isDone);
    assertThrows(() => early.end(), ApiFailure, "in the middle");
  }
});

Deno.test("what stands behind a body is no part of it", () => {
  assertEquals(bodyOf(chunked(), [bytesOf("1\r\na\r\n0\r\n\r\nHTTP/1.1 200")]), "a");
  assertEquals(bodyOf(framing({ "content-length": "2" }), [bytesOf("abcd")]), "ab");
});

Deno.test("a connection may be used again behind a whole body, unless it says or does otherwise", () => {
  const headOf = (text: string) => parseHead(bytesOf(`${text}\r\n\r\n`)).isKept;
  assert(headOf("HTTP/1.1 200 OK"));
  assert(!headOf("HTTP/1.0 200 OK"));
  assert(!headOf("HTTP/1.1 200 OK\r\nConnection: Close"));
  const whole = "1\r\na\r\n0\r\n\r\n";
  for (const [text, isReusable] of [[whole, true], [`${whole}H`, false]] as const) {
    const chunks = chunked();
    bodyOf(chunks, [bytesOf(text)]);
    assertEquals(chunks.isReusable, isReusable, text);
    const known = framing({ "content-length": `${whole.length}` });
    bodyOf(known, [bytesOf(text)]);
    assertEquals(known.isReusable, isReusable, text);
  }
  assert(!framing({}).isReusable);
});

Deno.test("a chunk that is none is a failure", () => {
  for (
    const wire of [
      "\r\n",
      "x\r\n",
      "-1\r\n",
      "+1\r\na\r\n",
      " 1\r\na\r\n",
      "1 \r\na\r\n",
      "1\na\r\n",
      "1\r\nab\r\n",
      "1\r\na\n",
      "1\r\na\rb",
      "000000001\r\n",
      "1;a\n",
      `1;${"e".repeat(300)}`,
      ...["x\r\n", "-1\r\n", "1 \r\n", "1\n", "\n1\r\n", "fffg\r\n", "00000000f\r\n"]
        .map((second) => `1\r\na\r\n${second}`),
      `0\r\n${"t: t\r\n".repeat(HEAD_BYTES_MAX / 5)}`,
    ]
  ) {
    assertThrows(() => bodyOf(chunked(), [bytesOf(wire)]), ApiFailure, "", wire.slice(0, 40));
  }
});

Deno.test("a body of a given length, of none, and one that ends with its connection", () => {
  const known = framing({ "content-length": "3" });
  assertEquals(bodyOf(known, [bytesOf("a"), bytesOf("b")]), "ab");
  assertThrows(() => known.end(), ApiFailure, "in the middle");
  assertEquals(bodyOf(known, [bytesOf("c")]), "c");
  assert(known.isDone);
  assert(framing({ "content-length": "0" }).isDone);
  assert(framing({}, 204).isDone);
  const open = framing({});
  assertEquals(bodyOf(open, [bytesOf("abc")]), "abc");
  assert(!open.isDone);
  open.end();
  assert(open.isDone);
});

Deno.test("an answer that leaves its length in doubt is a failure", () => {
  for (
    const headers of [
      { "content-length": "x" },
      { "content-length": "-1" },
      { "content-length": "1, 1" },
      { "transfer-encoding": "gzip, chunked" },
      { "transfer-encoding": "chunked", "content-length": "1" },
    ]
  ) assertThrows(() => framing(headers as Record<string, string>), ApiFailure);
});
