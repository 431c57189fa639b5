/**
 * From the bytes of a WATCH to its events, however they were damaged and however they are cut: each
 * line is what JSON.parse and the second implementation of docs/FORMAT.md say of it, with the same
 * type, resourceVersion and identity, and what is no JSON is never written. Repeat a run with
 * SEED=<what it printed>, make a longer one with KEP_FUZZ_RUNS=<number>.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventModule } from "../../lib/event_module.ts";
import { EventScan } from "../../lib/event_scan.ts";
import { identityHex } from "../../lib/identity.ts";
import { type IdentityMode, PLAIN_LINE } from "../../lib/protocol.ts";
import { readWatchLine, WatchLines } from "../../lib/watch_lines.ts";
import { cutAt, feed, singleBytes } from "./byob.ts";
import {
  checkLine,
  CORPUS,
  depthOf,
  type Judged,
  judgedTree,
  parsed,
  runs,
  seed,
} from "./event_oracle.ts";
import { referenceIdentity } from "./reference_identity.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const module = EventModule.make()!;

const LINES = CORPUS
  .map((line) => line.startsWith('{"type"') ? line : `{"type":"MODIFIED","object":${line}}`)
  .concat([
    '{"type":"BOOKMARK","object":{"kind":"Event","metadata":{"resourceVersion":"9"}}}',
    '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"old"}}',
    '{"type":"ERROR","object":null}',
  ])
  .map((line) => encoder.encode(line));

/** What a line says. */
type Said = { type: string; event?: Judged };

/** By JSON.parse and the reference. The wrapper is a level of its own. */
function expectedOf(line: Uint8Array): Said {
  const json = parsed(line);
  if (json === null) return { type: line.every((byte) => isSpace(byte)) ? "BLANK" : "INVALID" };
  const { tree, text } = json;
  if (!(tree instanceof Map) || depthOf(text) > 1001) return { type: "INVALID" };
  const type = tree.get("type");
  const object = tree.get("object");
  if (type === "ERROR") return { type };
  if (type === "BOOKMARK") return { type: object instanceof Map ? type : "INVALID" };
  if (type !== "ADDED" && type !== "MODIFIED" && type !== "DELETED") return { type: "INVALID" };
  const event = judgedTree(object ?? null, text);
  return event === null ? { type: "INVALID" } : { type, event };
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a;
}

/** The lines of a stream, without a splitter of ours. */
function linesOf(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return lines;
}

const seen = new Map<string, number>();

/** Reads a stream as the watch does, and holds each line to what is expected of it. */
function check(stream: Uint8Array, chunks: Uint8Array[], mode: IdentityMode): void {
  const expected = linesOf(stream).map(expectedOf);
  const scan = new EventScan(PLAIN_LINE, module);
  // As where both identities are wanted: what it reads comes in between.
  const other = new EventScan(PLAIN_LINE, module);
  const otherMode = mode === "content" ? "name-count" : "content";
  const lines = new WatchLines(
    undefined,
    (bytes, start) => scan.scanFirst(bytes, start, mode),
  );
  let index = 0;
  for (const chunk of chunks) {
    feed(lines, chunk, () => {
      while (lines.next()) {
        const { bytes, start, end, scanned } = lines;
        const { type } = scanned ?? readWatchLine(scan, bytes, start, end, mode);
        const said = expected[index++]!;
        assertEquals(type, said.type);
        const { event } = said;
        const path = scanned === null ? scan.path : "first";
        const way = event === undefined ? type : `${type} ${path}`;
        seen.set(way, (seen.get(way) ?? 0) + 1);
        if (event === undefined) continue;
        assertEquals(scan.resourceVersion, event.rv);
        assertEquals(identityHex(scan.key), referenceIdentity(event.event, mode));
        if (index % 3 === 0) {
          readWatchLine(other, bytes, start, end, otherMode);
          assertEquals(identityHex(other.key), referenceIdentity(event.event, otherMode));
        }
        const line = checkLine(scan, event);
        // Nothing but the line may be touched, wherever in the draft it goes.
        const { draft } = module;
        const at = (7 * index) % (draft.length - line.length);
        draft.fill(0x7e);
        const lineEnd = scan.writeLine(draft, at);
        assertEquals(draft.findIndex((byte) => byte !== 0x7e), at);
        assertEquals(draft.findLastIndex((byte) => byte !== 0x7e), lineEnd - 1);
        assertEquals(decoder.decode(draft.subarray(at, lineEnd)), line);
      }
    });
  }
  assertEquals(index, expected.length);
  assertEquals(lines.rest, stream.length - (stream.lastIndexOf(10) + 1));
}

const PIECES: Uint8Array[] = [
  ...["\n", "\r\n", "\r", " ", "\t", "\u0000", "\ufeff", "\u2028", "\u0085", "\u007f", "é", "🚀"],
  ...['"', "\\", "\\\\", '\\"', "\\u0000", "\\ud800", "\\udc00", "\\uD83D\\uDE80", "\\u00", "\\x"],
  ...["{", "}", "[", "]", ",", ":", "{}", "[]", "null", "true", "-0", "0", "01", "1e999", "1E-7"],
  ...["9".repeat(400), `-0.${"1".repeat(300)}e-400`, "12345678901234567890", "NaN", "Infinity"],
  ...[
    '"__proto__":{"count":7},',
    '"constructor":null,',
    '"10":1,"2":2,',
    '"":"",',
    '"toString":1,',
  ],
  ...['"type":"ERROR",', '"type":"ADDED",', '"type":"FOO",', '"object":null,', '"object":{},'],
  ...['"metadata":null,', '"metadata":{"resourceVersion":"5"},', '"resourceVersion":"",'],
  ...['"resourceVersion":"\\u0031",', '"name":null,', '"namespace":"other",', '"count":1.0,'],
  ...['"count":"1",', '"count":3,', '"message":"\\/",', '"series":{"count":2,"x":[]},'],
].map((text) => encoder.encode(text)).concat([
  // Bytes that are no UTF-8: alone, overlong, surrogates, beyond, cut short.
  [0xff],
  [0x80],
  [0xc0, 0xaf],
  [0xe0, 0x80, 0xaf],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xc3],
  [0xe2, 0x80],
].map((bytes) => Uint8Array.from(bytes)));

/** Values nested around the deepest that is read. */
const deep = fc.tuple(fc.integer({ min: 990, max: 1010 }), fc.boolean(), fc.boolean()).map(
  ([depth, isArray, isMember]) => {
    const [open, close] = isArray ? ["[", "]"] : ['{"a":', "}"];
    const value = `${open.repeat(depth)}1${close.repeat(depth)}`;
    return encoder.encode(isMember ? `"deep":${value},` : value);
  },
);

/** Where something is done: anywhere, or behind a byte that begins a member. */
const place = fc.tuple(fc.nat(), fc.boolean());

function indexOf(bytes: Uint8Array, [at, isMember]: [number, boolean]): number {
  if (!isMember) return at % (bytes.length + 1);
  const starts = [...bytes.keys()].filter((i) => bytes[i] === 0x2c || bytes[i] === 0x7b);
  return starts.length === 0 ? 0 : starts[at % starts.length]! + 1;
}

function spliced(bytes: Uint8Array, at: number, dropped: number, added: Uint8Array): Uint8Array {
  return new Uint8Array([...bytes.subarray(0, at), ...added, ...bytes.subarray(at + dropped)]);
}

/** One thing that is done to the bytes of a line. */
const change: fc.Arbitrary<(line: Uint8Array) => Uint8Array> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(place, fc.nat(3), fc.constantFrom(...PIECES)).map(
      ([at, dropped, piece]) => (line: Uint8Array) =>
        spliced(line, indexOf(line, at), dropped, piece),
    ),
  },
  // A bit flips.
  fc.tuple(fc.nat(), fc.nat(7)).map(([at, bit]) => (line: Uint8Array) => {
    const flipped = line.slice();
    if (line.length > 0) flipped[at % line.length]! ^= 1 << bit;
    return flipped;
  }),
  // Bytes of any kind.
  fc.tuple(place, fc.uint8Array({ maxLength: 6 })).map(([at, bytes]) => (line: Uint8Array) =>
    spliced(line, indexOf(line, at), 0, bytes)
  ),
  // The end is cut off, or a piece is.
  fc.tuple(place, fc.nat()).map(([at, length]) => (line: Uint8Array) => {
    const start = indexOf(line, at);
    return spliced(line, start, length % 3 === 0 ? line.length : length % 200, new Uint8Array());
  }),
  // A piece comes twice: also a member, whose key is then there twice.
  fc.tuple(place, fc.nat(300)).map(([at, length]) => (line: Uint8Array) => {
    const start = indexOf(line, at);
    return spliced(line, start, 0, line.subarray(start, start + length));
  }),
  // The rest is that of another line.
  fc.tuple(place, place, fc.constantFrom(...LINES)).map(([at, from, other]) => (line: Uint8Array) =>
    spliced(line, indexOf(line, at), line.length, other.subarray(indexOf(other, from)))
  ),
  fc.tuple(place, deep).map(([at, value]) => (line: Uint8Array) =>
    spliced(line, indexOf(line, at), 0, value)
  ),
);

const damaged = fc.tuple(fc.constantFrom(...LINES), fc.array(change, { maxLength: 2 }))
  .map(([line, changes]) => changes.reduce<Uint8Array>((bytes, make) => make(bytes), line));

const stream = fc.tuple(
  fc.array(damaged, { minLength: 1, maxLength: 4 }),
  fc.constantFrom("\n", "\r\n", "\n\n"),
  fc.boolean(),
).map(([lines, end, isEnded]) => {
  const parts = lines.flatMap((line) => [...line, ...encoder.encode(end)]);
  return new Uint8Array(isEnded ? parts : parts.slice(0, -end.length));
});

Deno.test(`a stream of damaged lines is what JSON.parse says of it, in any chunks (check 4.2.11; seed=${seed})`, () => {
  const cuts = fc.array(fc.nat(), { maxLength: 12 });
  const numRuns = runs(800);
  fc.assert(
    fc.property(stream, cuts, fc.constantFrom("content", "name-count"), (bytes, places, mode) => {
      check(bytes, cutAt(bytes, places), mode as IdentityMode);
      if (bytes.length % 16 === 0) check(bytes, singleBytes(bytes), mode as IdentityMode);
    }),
    { seed, numRuns },
  );
  console.log(JSON.stringify(Object.fromEntries(seen)));
  // A run that never meets one of them shows nothing.
  for (
    const kind of [
      "ADDED first",
      "ADDED fast",
      "ADDED slow",
      "INVALID",
      "ERROR",
      "BOOKMARK",
      "BLANK",
    ]
  ) {
    assert((seen.get(kind) ?? 0) > 0, kind);
  }
});
