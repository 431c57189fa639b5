import { assertEquals, assertThrows } from "@std/assert";
import { FormatError } from "../../lib/json_bytes.ts";
import { LIST_VALUE_BYTES_MAX, WINDOW_BYTES } from "../../lib/limits.ts";
import { ListItems, type ListMetadata } from "../../lib/list_items.ts";
import { cutAt, feed, singleBytes } from "../property/byob.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const HEAD =
  '{"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":"614","continue":' +
  '"abc","remainingItemCount":20},"items":[';

interface Page {
  items: string[];
  metadata: ListMetadata;
}

function read(text: string | Uint8Array, list: ListItems = new ListItems()): Page {
  const items: string[] = [];
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  feed(list, bytes, () => {
    while (list.next()) items.push(decoder.decode(list.bytes.subarray(list.start, list.end)));
  });
  return { items, metadata: list.finish() };
}

function failsWith(text: string, expected: string): void {
  const message = `Cannot read the list of events: ${expected}`;
  assertEquals(assertThrows(() => read(text), FormatError).message, message, text);
}

Deno.test("ListItems gives the items and the metadata of a page", () => {
  assertEquals(read(`${HEAD}{"a":"]}"},{"b":[{}]}]}\n`), {
    items: ['{"a":"]}"}', '{"b":[{}]}'],
    metadata: { resourceVersion: "614", continue: "abc" },
  });
});

Deno.test("ListItems takes any order of keys, any whitespace and any unknown field", () => {
  const text =
    ' {\n"items" : [ {"a" : "\\"\\\\"} ,\r\n 1.5 , "x" ,null,[ ] ] , "x":[1,{"items":[2]}],' +
    '"y":-1e5,"\\u006betadata":{},"metadata":{"resourceVersion":"7"}\t,"kind":"EventList"} \n';
  const page = {
    items: ['{"a" : "\\"\\\\"}', "1.5", '"x"', "null", "[ ]"],
    metadata: { resourceVersion: "7", continue: "" },
  };
  assertEquals(read(text), page);
});

Deno.test("ListItems takes null and [] for no items, and null for no token", () => {
  for (const items of ["null", "[]", " [ ] "]) {
    const text = `{"kind":"EventList","metadata":{"resourceVersion":"7","continue":null},` +
      `"items":${items}}`;
    const page = { items: [], metadata: { resourceVersion: "7", continue: "" } };
    assertEquals(read(text), page);
  }
});

Deno.test("ListItems knows the resourceVersion before the first item when it comes first", () => {
  const list = new ListItems();
  assertEquals(list.resourceVersion, null);
  feed(list, encoder.encode(`${HEAD}{"a":1`), () => assertEquals(list.next(), false));
  assertEquals(list.resourceVersion, "614");
});

Deno.test("ListItems gives an item as soon as its last byte is there", () => {
  const list = new ListItems();
  const found: number[] = [];
  let count = 0;
  for (const byte of singleBytes(encoder.encode(`${HEAD}{"a":{}},7,"x"]}`))) {
    count++;
    feed(list, byte, () => {
      while (list.next()) found.push(count - HEAD.length);
    });
  }
  // A number is only over at the byte behind it.
  assertEquals(found, [8, 11, 14]);
});

Deno.test("ListItems grows its window for a giant item and shrinks it afterwards", () => {
  const giant = `{"message":"${"x".repeat(5 * WINDOW_BYTES)}"}`;
  const list = new ListItems();
  assertEquals(read(`${HEAD}{},${giant},{}]}`, list).items, ["{}", giant, "{}"]);
  assertEquals(list.room().length, WINDOW_BYTES);
});

Deno.test("ListItems tells the beginning of an item that is too long, and goes on behind it", () => {
  const item = (length: number) => `"${"x".repeat(length - 2)}"`;
  for (const cut of [0, 1, 7, 500]) {
    const list = new ListItems(300);
    const found: [number, string | null][] = [];
    const text = `${HEAD}${item(300)},${item(301)},${item(9000)},{}]}`;
    const bytes = encoder.encode(text);
    const chunks = cut === 0 ? [bytes] : cutAt(bytes, Array.from(bytes, (_, i) => cut * i));
    for (const chunk of chunks) {
      feed(list, chunk, () => {
        while (list.next()) found.push([list.end - list.start, list.tooLong]);
      });
    }
    const beginning = `"${"x".repeat(199)}...`;
    assertEquals(found, [[300, null], [0, beginning], [0, beginning], [2, null]]);
    assertEquals(list.finish().resourceVersion, "614");
    assertEquals(list.room().length > 0, true);
  }
});

Deno.test("ListItems throws at another value that is longer than its limit", () => {
  const long = "x".repeat(LIST_VALUE_BYTES_MAX);
  failsWith(`{"some":"${long}"}`, '"some" is longer than 1048576 bytes');
  failsWith(`{"some":"${long}`, '"some" is longer than 1048576 bytes');
  failsWith(`{"${long}":1}`, "a key is longer than 1048576 bytes");
  assertEquals(read(`{"some":"${long.slice(2)}",${HEAD.slice(1)}]}`).items, []);
});

Deno.test("ListItems names a Status that stands in the place of the list", () => {
  failsWith(
    '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"The provided' +
      ' continue parameter is too old","reason":"Expired","code":410}',
    "found a Status: 410, Expired, The provided continue parameter is too old",
  );
});

Deno.test("ListItems names what is no list of events", () => {
  failsWith("", "the answer ends early");
  failsWith(HEAD, "the answer ends early");
  failsWith(`${HEAD}{}]`, "the answer ends early");
  failsWith(`${HEAD}{}`, "the answer ends early");
  failsWith("<html>", `found "<" where the list's { should be`);
  failsWith("[]", `found "[" where the list's { should be`);
  failsWith('\ufeff{"kind":"EventList"}', `found "\ufffd" where the list's { should be`);
  failsWith("{}", "found no kind");
  failsWith('{"kind":"PodList"}', "found the kind PodList instead of EventList");
  failsWith('{"kind":7}', "found the kind 7 instead of EventList");
  failsWith('{"kind":"EventList"}', "found no items");
  for (const metadata of ["{}", "null", '{"resourceVersion":""}', '{"resourceVersion":7}']) {
    const text = `{"kind":"EventList","items":[],"metadata":${metadata}}`;
    failsWith(text, "found no metadata.resourceVersion");
  }
  failsWith(
    '{"kind":"EventList","items":[],"metadata":{"resourceVersion":"1","continue":5}}',
    "found a metadata.continue that is no string",
  );
  failsWith(`${HEAD}]}x`, 'found "x" where the end of the answer should be');
  failsWith(`${HEAD}]}{}`, 'found "{" where the end of the answer should be');
  failsWith(`${HEAD}],"items":[]}`, 'found "items" twice');
  failsWith('{"kind":"EventList","kind":"EventList"}', 'found "kind" twice');
  failsWith('{"items":{}}', "found items that are no array");
  failsWith('{"items":true}', "found items that are no array");
});

Deno.test("ListItems names the byte at which the document breaks", () => {
  failsWith('{"a" "b"}', 'found """ where a colon should be');
  failsWith('{"a":}', 'found "}" where a value should be');
  failsWith('{"a":1,}', 'found "}" where a key should be');
  failsWith('{"a":1 2}', 'found "2" where a comma or } should be');
  failsWith("{1:2}", 'found "1" where a key or } should be');
  failsWith(`${HEAD},`, 'found "," where an item or ] should be');
  failsWith(`${HEAD}{},]}`, 'found "]" where an item should be');
  failsWith(`${HEAD}{}{}]}`, 'found "{" where a comma or ] should be');
  assertThrows(() => read('{"a":tru}'), FormatError, "not JSON: ");
  assertThrows(() => read('{"a":{]}'), FormatError, "not JSON: ");
  assertThrows(() => read('{"\\x":1}'), FormatError, "not JSON: ");
});
