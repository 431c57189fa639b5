/**
 * A LIST page gives the same items, metadata or error however it is cut. Repeat a run with
 * SEED=<what it printed>.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventScan } from "../../lib/event_scan.ts";
import { FormatError } from "../../lib/json_bytes.ts";
import { WINDOW_BYTES } from "../../lib/limits.ts";
import { ListItems, type ListMetadata } from "../../lib/list_items.ts";
import { cutAt, feed, singleBytes } from "./byob.ts";
import { canonical, readTree, type Tree } from "./reference_identity.ts";

const seed = Number(Deno.env.get("SEED") ?? Date.now() % 0x7fffffff);
console.log(`seed=${seed}`);

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

interface Result {
  items: string[];
  end: ListMetadata | string;
}

/** Items that were scanned while their end was looked for, in all. */
let scanned = 0;

/** The same with and without a scan on the way. */
function read(chunks: Uint8Array[], itemBytesMax?: number): Result {
  const scan = new EventScan();
  const scanning = new ListItems(
    itemBytesMax,
    (bytes, start) => scan.scanFirst(bytes, start, "content"),
  );
  const result = readWith(new ListItems(itemBytesMax), chunks, () => {});
  const other = new EventScan();
  const itself = readWith(scanning, chunks, () => {
    if (!scanning.isScanned) return;
    scanned++;
    const { bytes, start, end } = scanning;
    assertEquals(other.scanSlowly(bytes, start, end, "content"), null);
    assertEquals(
      [scan.key, scan.resourceVersion, scan.lineLength],
      [other.key, other.resourceVersion, other.lineLength],
    );
  });
  assertEquals(itself, result);
  return result;
}

function readWith(list: ListItems, chunks: Uint8Array[], look: () => void): Result {
  const items: string[] = [];
  const drain = () => {
    while (list.next()) {
      look();
      items.push(list.tooLong ?? decoder.decode(list.bytes.subarray(list.start, list.end)));
    }
  };
  try {
    for (const chunk of chunks) feed(list, chunk, drain);
    return { items, end: list.finish() };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { items, end: error.message };
  }
}

const cuts = fc.array(fc.nat(), { maxLength: 12 });
const gap = fc.oneof(
  { weight: 5, arbitrary: fc.constant("") },
  fc.constantFrom(" ", "\n", "\t\r "),
);
const value = fc.json({ maxDepth: 3, stringUnit: "binary" });
const ITEMS = [
  '{"a":"]}\\"","b":[{},[]]}',
  '{"metadata":{"resourceVersion":"1"}}',
  '{"metadata":{"resourceVersion":"1"},"message":"is longer than 60 bytes, ü"}',
];

/** A list with its fields in any order, other fields between, any whitespace. */
const page = fc.record({
  items: fc.array(fc.oneof(value, fc.constantFrom(...ITEMS)), { maxLength: 5 }),
  others: fc.array(value, { maxLength: 3 }),
  order: fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 }),
  token: fc.constantFrom(undefined, null, "", "next"),
  gap,
}).map(({ items, others, order, token, gap }) => {
  const metadata = JSON.stringify({ resourceVersion: "614", continue: token });
  const fields = [
    '"kind":"EventList"',
    `"metadata"${gap}:${gap}${metadata}`,
    `"items":${gap}[${gap}${items.join(`${gap},${gap}`)}${gap}]`,
    ...others.map((other, i) => `"other${i}":${other}`),
  ];
  const ordered = order.map((index) => fields[index]).filter((field) => field !== undefined);
  const text = `${gap}{${gap}${ordered.join(`${gap},${gap}`)}${gap}}${gap}`;
  return { text, items, end: { resourceVersion: "614", continue: token ?? "" } };
});

Deno.test(`ListItems reads any list in any chunks (seed=${seed})`, () => {
  fc.assert(
    fc.property(page, cuts, ({ text, items, end }, places) => {
      JSON.parse(text);
      const bytes = encoder.encode(text);
      const expected = { items: items.map((item) => item.toWellFormed()), end };
      assertEquals(read(cutAt(bytes, places)), expected);
      assertEquals(read(singleBytes(bytes)), expected);
    }),
    { seed, numRuns: 1500 },
  );
  assert(scanned > 300, `${scanned} items were scanned`);
});

Deno.test(`ListItems finds the same items when they outgrow its window (seed=${seed})`, () => {
  const lengths = fc.array(
    fc.oneof(fc.nat(2000), fc.integer({ min: WINDOW_BYTES / 2, max: 4 * WINDOW_BYTES })),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(lengths, cuts, (sizes, places) => {
      const items = sizes.map((size, i) => `{"a":"${String.fromCharCode(97 + i).repeat(size)}"}`);
      const head = '{"kind":"EventList","metadata":{"resourceVersion":"1"},"items":[';
      const bytes = encoder.encode(`${head}${items.join()}]}`);
      const end = { resourceVersion: "1", continue: "" };
      assertEquals(read(cutAt(bytes, places)), { items, end });
    }),
    { seed, numRuns: 60 },
  );
});

Deno.test(`ListItems fails in the same way in any chunks (seed=${seed})`, () => {
  const tokens = ['"', "\\", ",", ":", "{", "}", "[", "]", " ", "1", "null", '"kind":"Status",'];
  const change = fc.tuple(fc.nat(), fc.nat(3), fc.constantFrom("", ...tokens));
  let failed = 0;
  fc.assert(
    fc.property(page, fc.array(change, { maxLength: 3 }), cuts, ({ text }, changes, places) => {
      const broken = changes.reduce((all, [at, drop, added]) => {
        const from = at % (all.length + 1);
        return all.slice(0, from) + added + all.slice(from + drop);
      }, text);
      const bytes = encoder.encode(broken);
      const expected = read([bytes], 60);
      if (typeof expected.end === "string") failed++;
      else agreesWithJsonParse(decoder.decode(bytes), expected.items);
      assertEquals(read(cutAt(bytes, places), 60), expected);
      assertEquals(read(singleBytes(bytes), 60), expected);
    }),
    { seed, numRuns: 1500 },
  );
  assert(failed > 300 && failed < 1400, `${failed} of 1500 failed`);
});

/** A document that was read, and whose items are JSON, is JSON and has these items. */
function agreesWithJsonParse(text: string, items: string[]): void {
  try {
    for (const item of items) JSON.parse(item);
  } catch {
    // The splitter only counts brackets; EventScan refuses such an item.
    return;
  }
  JSON.parse(text);
  const document = readTree(text) as Map<string, Tree>;
  assertEquals(canonical(document.get("items") ?? []), canonical(items.map(readTree)));
}
