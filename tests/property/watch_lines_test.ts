/**
 * A stream of lines gives the same lines however it is cut. Repeat a run with SEED=<what it
 * printed>.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventScan } from "../../lib/event_scan.ts";
import { FormatError } from "../../lib/json_bytes.ts";
import { WINDOW_BYTES } from "../../lib/limits.ts";
import { readWatchLine, WatchLines } from "../../lib/watch_lines.ts";
import { cutAt, feed, singleBytes } from "./byob.ts";

const seed = Number(Deno.env.get("SEED") ?? Date.now() % 0x7fffffff);
console.log(`seed=${seed}`);

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

interface Result {
  lines: string[];
  rest: number;
  failed: boolean;
}

/** Lines that were scanned while their end was looked for, in all. */
let scanned = 0;

/** The same with and without a scan on the way. */
function split(chunks: Uint8Array[], lineBytesMax?: number): Result {
  const scan = new EventScan();
  const scanning = new WatchLines(
    lineBytesMax,
    (bytes, start) => scan.scanFirst(bytes, start, "content"),
  );
  const result = splitWith(new WatchLines(lineBytesMax), chunks);
  assertEquals(splitWith(scanning, chunks), result);
  return result;
}

function splitWith(lines: WatchLines, chunks: Uint8Array[]): Result {
  const found: string[] = [];
  const drain = () => {
    while (lines.next()) {
      found.push(decoder.decode(lines.bytes.subarray(lines.start, lines.end)));
      if (lines.scanned !== null) scanned++;
    }
  };
  try {
    for (const chunk of chunks) feed(lines, chunk, drain);
    return { lines: found, rest: lines.rest, failed: false };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { lines: found, rest: 0, failed: true };
  }
}

/** What the lines of a text are, without a splitter of ours. */
function expectedLines(text: string, lineBytesMax: number): Result {
  const lines = text.split("\n");
  const tooLong = lines.findIndex((line) => line.length > lineBytesMax);
  if (tooLong >= 0) return { lines: lines.slice(0, tooLong), rest: 0, failed: true };
  return { lines: lines.slice(0, -1), rest: lines.at(-1)!.length, failed: false };
}

const cuts = fc.array(fc.nat(), { maxLength: 12 });

Deno.test(`WatchLines finds the same lines in any chunks (check 4.2.11; seed=${seed})`, () => {
  const event = '{"type":"ADDED","object":{"metadata":{"resourceVersion":"1"}}}';
  const pieces = fc.constantFrom(
    "\n",
    "\n",
    "a",
    "\r",
    "bcd",
    "x".repeat(40),
    event,
    `\n${event}\n`,
  );
  const shortText = fc.array(pieces, { maxLength: 30 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(shortText, cuts, fc.integer({ min: 1, max: 130 }), (text, places, max) => {
      const bytes = encoder.encode(text);
      const expected = expectedLines(text, max);
      assertEquals(split(cutAt(bytes, places), max), expected);
      assertEquals(split(singleBytes(bytes), max), expected);
    }),
    { seed, numRuns: 2000 },
  );
  assert(scanned > 60, `${scanned} lines were scanned`);
});

Deno.test(`WatchLines finds the same lines when they outgrow its window (seed=${seed})`, () => {
  const lengths = fc.array(
    fc.oneof(fc.nat(2000), fc.integer({ min: WINDOW_BYTES / 2, max: 5 * WINDOW_BYTES })),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(lengths, cuts, (sizes, places) => {
      const text = sizes.map((size, i) => String.fromCharCode(97 + i).repeat(size)).join("\n");
      const max = 4 * WINDOW_BYTES;
      assertEquals(split(cutAt(encoder.encode(text), places), max), expectedLines(text, max));
    }),
    { seed, numRuns: 60 },
  );
});

Deno.test(`readWatchLine() says of any bytes what JSON.parse says of them (seed=${seed})`, () => {
  const corpus = Deno.readTextFileSync(new URL("../corpus/events.jsonl", import.meta.url))
    .split("\n").filter((line) => line.startsWith('{"type"'));
  for (const type of ["BOOKMARK", "ERROR"]) {
    corpus.push(`{"type":"${type}","object":{"kind":"Event","metadata":{"resourceVersion":"9"}}}`);
  }
  const lines = corpus.map((line) => encoder.encode(line));
  const wrappers = [
    ...['"type":"ADDED",', ',"type":"ERROR"', ',"type":"BOOKMARK"', '"type":"FOO",', '"type":1,'],
    ...[
      '"object":null,',
      '"object":{"metadata":{"resourceVersion":"1"}},',
      '"x":"\\"}{",',
      "{",
      "}",
    ],
    ...[
      '"\\u006fbject":{"metadata":{}},',
      " ",
      "\r",
      "\n",
      ",",
      ":",
      '"',
      "\\",
      "null",
      "é",
      "\xff",
    ],
  ].map((token) => encoder.encode(token));
  // Mostly at the two ends of the line, where the wrapper is.
  const place = fc.oneof(fc.constantFrom(0, 1, 16, 25, 26, -1, -1, -2), fc.nat(), fc.nat(30));
  const change = fc.tuple(place, fc.nat(3), fc.constantFrom(...wrappers, new Uint8Array()));
  const scan = new EventScan();
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(
      fc.constantFrom(...lines),
      fc.array(change, { maxLength: 3 }),
      (line, changes) => {
        const bytes = changes.reduce((all, [at, drop, added]) => {
          const from = at < 0 ? Math.max(0, all.length + at) : at % (all.length + 1);
          return new Uint8Array([...all.subarray(0, from), ...added, ...all.subarray(from + drop)]);
        }, line);
        const padded = new Uint8Array(bytes.length + 2).fill(0x7d);
        padded.set(bytes, 1);
        const read = readWatchLine(scan, padded, 1, 1 + bytes.length, "content");
        seen.set(read.type, (seen.get(read.type) ?? 0) + 1);
        const expected = expectedEvent(bytes);
        assertEquals(read.type, expected.type);
        if (expected.object === undefined) return;
        const into = new Uint8Array(scan.lineLength);
        scan.writeLine(into, 0);
        const written = JSON.parse(decoder.decode(into));
        assertEquals(written, { kind: "Event", apiVersion: "v1", ...expected.object });
      },
    ),
    { seed, numRuns: 5000 },
  );
  for (const type of ["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "INVALID"]) {
    assertEquals((seen.get(type) ?? 0) > 5, true, `${type}: ${seen.get(type)}`);
  }
});

/** What JSON.parse makes of a line. */
function expectedEvent(bytes: Uint8Array): { type: string; object?: object } {
  const invalid = { type: "INVALID" };
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const { type, object } = JSON.parse(text);
    if (type === "ERROR") return { type };
    const isObject = typeof object === "object" && object !== null && !Array.isArray(object);
    if (type === "BOOKMARK") return isObject ? { type } : invalid;
    const rv = object.metadata.resourceVersion;
    const isEvent = typeof rv === "string" && rv !== "";
    return ["ADDED", "MODIFIED", "DELETED"].includes(type) && isEvent ? { type, object } : invalid;
  } catch {
    return invalid;
  }
}
