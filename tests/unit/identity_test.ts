import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { EventScan } from "../../lib/event_scan.ts";
import { encodeCanonical, identityHex } from "../../lib/identity.ts";
import { parseTree } from "../../lib/json_tree.ts";
import { Murmur3 } from "../../lib/murmur3.ts";
import type { IdentityMode } from "../../lib/protocol.ts";

const encoder = new TextEncoder();

function identity(text: string, mode: IdentityMode = "content"): string {
  const bytes = encoder.encode(text);
  const scan = new EventScan();
  assertEquals(scan.scan(bytes, 0, bytes.length, mode), null, text);
  const either = identityHex(scan.key);
  assertEquals(scan.scanSlowly(bytes, 0, bytes.length, mode), null, text);
  assertEquals(identityHex(scan.key), either, `the slow way disagrees about ${text}`);
  return either;
}

/** The identity of an Event named x with these fields beside its metadata. */
function withFields(fields: string): string {
  return identity(`{"metadata":{"name":"x","resourceVersion":"1"},${fields}}`);
}

function canonicalOf(json: string, keys?: string[]): string {
  return encodeCanonical(parseTree(json), keys);
}

Deno.test("the test vectors of docs/FORMAT.md hold", () => {
  const text = Deno.readTextFileSync(new URL("../../docs/FORMAT.md", import.meta.url));
  const vectors = [...text.matchAll(/^([0-9a-f]{32}) (content|name-count) (\{.*)$/gm)];
  assert(vectors.length >= 12, `found ${vectors.length} vectors`);
  for (const [, expected, mode, event] of vectors) {
    assertEquals(identity(event!, mode as IdentityMode), expected, event);
  }
});

// The two digests were made with a Python program written from docs/FORMAT.md alone, with mmh3:
// the hash over the identities of all lines, joined by line feeds.
const CORPUS: [IdentityMode, string][] = [
  ["content", "0de9a8da285d5ff6e8fc9d3d7389a159"],
  ["name-count", "ff6cdfa5dfe407969f7d904cd38a0612"],
];

for (const [mode, digest] of CORPUS) {
  Deno.test(`real events have the identities that a Python program finds (${mode})`, () => {
    const corpus = Deno.readTextFileSync(new URL("../corpus/events.jsonl", import.meta.url));
    const identities = corpus.trimEnd().split("\n").map((line) => {
      const object = line.startsWith('{"type"') ? line.slice(line.indexOf(":{") + 1, -1) : line;
      return identity(object, mode);
    });
    assertEquals(identities.length, 58);
    const bytes = encoder.encode(identities.join("\n"));
    const hash = new Murmur3();
    const lanes = new Uint32Array(4);
    hash.update(bytes, 0, bytes.length);
    hash.finish(lanes);
    assertEquals(identityHex(lanes), digest);
  });
}

Deno.test("null, {}, [], an empty string and no field at all are one identity", () => {
  const none = identity('{"metadata":{"name":"x","resourceVersion":"1"}}');
  for (const field of ["reason", "source", "related", "unknownField"]) {
    for (const value of ["null", "{}", "[]", '""', " { } "]) {
      assertEquals(withFields(`"${field}":${value}`), none, `${field}: ${value}`);
    }
    for (const value of ["0", "false", '" "', '{"a":null}', "[null]"]) {
      assertNotEquals(withFields(`"${field}":${value}`), none, `${field}: ${value}`);
    }
  }
});

Deno.test("metadata other than name and namespace, kind and apiVersion are not part of it (fault 31)", () => {
  const plain = identity('{"metadata":{"name":"x","namespace":"n","resourceVersion":"1"}}');
  const other = '{"kind":"Event","metadata":{"uid":"u","namespace":"n","labels":{"name":"y"},' +
    '"resourceVersion":"2","name":"x"},"apiVersion":"v1"}';
  assertEquals(identity(other), plain);
});

Deno.test("a value under another field, or in another namespace, is another identity (fault 29)", () => {
  const seen = new Set([
    withFields('"reason":"a"'),
    withFields('"message":"a"'),
    withFields('"reason":"a","message":"a"'),
    withFields('"reason":"b"'),
    identity('{"metadata":{"name":"x","namespace":"a","resourceVersion":"1"},"reason":"a"}'),
    identity('{"metadata":{"name":"x","namespace":"b","resourceVersion":"1"},"reason":"a"}'),
    identity('{"metadata":{"namespace":"x","resourceVersion":"1"},"reason":"a"}'),
  ]);
  assertEquals(seen.size, 7);
});

Deno.test("an update of a series is another identity, and so is each of its times (fault 30)", () => {
  const seen = new Set(
    ['{"count":2,"lastObservedTime":"t"}', '{"count":3,"lastObservedTime":"t"}', '{"count":3}']
      .map((series) => withFields(`"series":${series}`)),
  );
  assertEquals(seen.size, 3);
});

Deno.test("both spellings of a character are one identity", () => {
  const pairs = [
    ["\\b", "\\u0008"],
    ["\\f", "\\u000C"],
    ["<", "\\u003c"],
    ["&", "\\u0026"],
    ["\u2028", "\\u2028"],
    ["/", "\\/"],
    ["é", "\\u00E9"],
    ["🚀", "\\uD83D\\ude80"],
    ["\ufffd", "\\ufffd"],
    ["\\ud800", "\\ufffd"],
    ["x\\udc00y", "x\ufffdy"],
    ["\x7f", "\\u007f"],
  ];
  for (const [one, other] of pairs) {
    assertEquals(withFields(`"message":"${one}"`), withFields(`"message":"${other}"`), other);
  }
  assertNotEquals(withFields('"message":"\\\\b"'), withFields('"message":"\\b"'));
  assertNotEquals(withFields('"message":"\\\\u003c"'), withFields('"message":"<"'));
});

Deno.test("encodeCanonical() writes strings as Go's encoder does", () => {
  assertEquals(
    canonicalOf(String.raw`"\u0000\b\t\n\f\r\u001f\"\\\/<>&\u2028\u2029\u0085\u007fé\\b\\\b"`),
    String.raw`"\u0000\u0008\t\n\u000c\r\u001f\"\\/\u003c\u003e\u0026\u2028\u2029` +
      "\u0085\u007fé" + String.raw`\\b\\\u0008"`,
  );
});

Deno.test("encodeCanonical() writes safe integers in digits and other numbers as they are", () => {
  for (
    const [source, expected] of [
      ["1", "1"],
      ["1.0", "1"],
      ["1e2", "100"],
      ["-0", "0"],
      ["-0.0", "0"],
      ["-7", "-7"],
      ["9007199254740991", "9007199254740991"],
      ["9007199254740992", "9007199254740992"],
      ["12345678901234567891", "12345678901234567891"],
      ["0.10", "0.10"],
      ["1E400", "1E400"],
      ["1e15", "1000000000000000"],
    ]
  ) assertEquals(canonicalOf(`[${source}]`), `[${expected}]`, source);
});

Deno.test("encodeCanonical() puts known keys first in their order, the others sorted", () => {
  const json = '{"z":1,"2":{"b":1,"a":2},"host":"h","10":[],"component":null,"__proto__":3}';
  assertEquals(
    canonicalOf(json, ["component", "host"]),
    '{"component":null,"host":"h","10":[],"2":{"a":2,"b":1},"__proto__":3,"z":1}',
  );
  assertEquals(canonicalOf("{}", ["component"]), "{}");
});

Deno.test("an escaped key is read right behind one that is a backslash (nodejs/node#63785)", () => {
  // The first text leads V8's JSON.parse to misread the second.
  assertEquals(canonicalOf(String.raw`{"a":1,"\\":2}`), String.raw`{"\\":2,"a":1}`);
  assertEquals(canonicalOf(String.raw`{"a":1,"\u0078":2}`), '{"a":1,"x":2}');
  assertEquals(canonicalOf(String.raw`{"a":1,"\"":2}`), String.raw`{"\"":2,"a":1}`);
});

Deno.test("a field named like a method of objects is a field like any other", () => {
  const seen = new Set(["constructor", "__proto__", "toString"].map((name) => {
    return withFields(`"${name}":{"host":"h","component":"c"}`);
  }));
  assertEquals(seen.size, 3);
});

Deno.test("name-count is the key of the Python tool", () => {
  const key = (text: string) => identity(text, "name-count");
  const twice = key('{"metadata":{"name":"a","namespace":"n","resourceVersion":"1"},"count":2}');
  assertEquals(twice, key('{"metadata":{"name":"a","resourceVersion":"9"},"count":2,"type":"x"}'));
  assertEquals(twice, key('{"metadata":{"name":"a","resourceVersion":"9"},"count":"2"}'));
  assertNotEquals(twice, key('{"metadata":{"name":"a","resourceVersion":"9"},"count":3}'));
  const none = key('{"metadata":{"name":"a","resourceVersion":"1"}}');
  assertEquals(none, key('{"metadata":{"name":"a","resourceVersion":"1"},"count":null}'));
  assertEquals(none, key('{"metadata":{"name":"a","resourceVersion":"1"},"count":"None"}'));
});
