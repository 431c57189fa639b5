/**
 * The fast way, the slow way and a second implementation of docs/FORMAT.md agree about any bytes.
 * Repeat a run with SEED=<what it printed>.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventScan } from "../../lib/event_scan.ts";
import { identityHex } from "../../lib/identity.ts";
import type { IdentityMode, LineForm } from "../../lib/protocol.ts";
import { checkLine, CORPUS, judged, runs, seed } from "./event_oracle.ts";
import { canonical, referenceIdentity } from "./reference_identity.ts";

const MODES: IdentityMode[] = ["content", "name-count"];
const FORMS = ([
  { managedFields: "drop", wrap: null, cluster: null },
  { managedFields: "keep", wrap: "k8s", cluster: null },
  { managedFields: "drop", wrap: "reason", cluster: "prod" },
] as LineForm[]).map((form) => ({ form, scan: new EventScan(form) }));
const encoder = new TextEncoder();

const EVENTS = CORPUS
  .map((line) => line.startsWith('{"type"') ? line.slice(line.indexOf(":{") + 1, -1) : line)
  .map((text) => encoder.encode(text));

/** All of what the scan promises, about bytes that stand in the middle of others. */
function check(scan: EventScan, bytes: Uint8Array): void {
  const padded = new Uint8Array(bytes.length + 2).fill(0x7d);
  padded.set(bytes, 1);
  const expected = judged(bytes);
  for (const mode of MODES) {
    for (const way of ["scanSlowly", "scan"] as const) {
      const reason = scan[way](padded, 1, 1 + bytes.length, mode);
      assertEquals(reason === null, expected !== null, `${way}: ${reason}`);
      if (expected === null) continue;
      assertEquals(scan.resourceVersion, expected.rv);
      assertEquals(identityHex(scan.key), referenceIdentity(expected.event, mode), way);
      const line = checkLine(scan, expected);
      const formed = FORMS[bytes.length % FORMS.length]!;
      assertEquals(formed.scan[way](padded, 1, 1 + bytes.length, mode), null);
      assertEquals(formed.scan.key, scan.key);
      checkLine(formed.scan, expected, formed.form);
      const { event, text } = expected;
      const isWhole = event.has("kind") && event.has("apiVersion");
      if (isWhole && !/[\p{Cc}\u2028\u2029]/u.test(text)) assertEquals(line, `${text.trim()}\n`);
    }
  }
}

function property(name: string, bytes: fc.Arbitrary<Uint8Array>, usual: number): void {
  const numRuns = runs(usual);
  Deno.test(`${name} (seed=${seed})`, () => {
    const scan = new EventScan();
    const ways = { fast: 0, slow: 0, invalid: 0 };
    fc.assert(
      fc.property(bytes, (value) => {
        check(scan, value);
        const reason = scan.scan(value, 0, value.length, "content");
        ways[reason === null ? scan.path : "invalid"]++;
      }),
      { seed, numRuns },
    );
    console.log(JSON.stringify(ways));
    // A run that never meets one of the three shows nothing.
    assert(Math.min(ways.fast, ways.slow, ways.invalid) > numRuns / 100, JSON.stringify(ways));
  });
}

// Bytes of real events, with a few changes: single bytes, pieces dropped, doubled or exchanged,
// and tokens that matter put somewhere between or inside others.
const TOKENS = [
  ...[
    '"',
    "\\",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    " ",
    "\n",
    "0",
    "-",
    ".5",
    "e1",
    "12345678901234567",
  ],
  ...[
    "null",
    "true",
    '""',
    "{}",
    "[]",
    "-0",
    "01",
    "\\u003c",
    "\\u003C",
    "\\b",
    "\\u0008",
    "<",
    "&",
  ],
  ...["\\ud83d", "\\udc00", "é", "🚀", "\u2028", "\u0085", "\ufeff", "\x7f", "\x1f", "\\/", "\\x"],
  ...['"name":"x",', '"namespace":"",', '"resourceVersion":"7",', '"resourceVersion":"",'],
  ...['"metadata":{"resourceVersion":"1"},', '"kind":"Event",', '"apiVersion":"v1",', '"uid":1,'],
  ...['"managedFields":[{}],', '"metadata":{"managedFields":[],"resourceVersion":"2"},'],
  ...['"count":2,', '"count":"2",', '"count":null,', '"source":{},', '"series":{"count":1},'],
  ...['"host":"h",', '"x":{"b":1,"a":[1,{}]},', '"__proto__":{},', '"1":1,', '"reason":"r",'],
].map((token) => encoder.encode(token));

const change = fc.record({
  kind: fc.constantFrom("token", "token at comma", "byte", "drop", "double", "copy"),
  at: fc.nat(),
  length: fc.oneof(fc.nat(4), fc.nat(300)),
  value: fc.nat(),
});

function changed(
  bytes: Uint8Array,
  { kind, at, length, value }: { kind: string; at: number; length: number; value: number },
): Uint8Array {
  const token = TOKENS[value % TOKENS.length]!;
  const commas = [...bytes.keys()].filter((i) => bytes[i] === 0x2c || bytes[i] === 0x7b);
  const place = kind === "token at comma" && commas.length > 0
    ? commas[at % commas.length]! + 1
    : at % (bytes.length + 1);
  const piece = bytes.subarray(place, place + length);
  const [dropped, added] = kind === "byte"
    ? [1, Uint8Array.of(value % 256)]
    : kind === "drop"
    ? [length, new Uint8Array()]
    : kind === "double"
    ? [0, piece]
    : kind === "copy"
    ? [0, bytes.subarray(value % (bytes.length + 1)).subarray(0, length)]
    : [0, token];
  const rest = bytes.subarray(place + dropped);
  return new Uint8Array([...bytes.subarray(0, place), ...added, ...rest]);
}

const mutated = fc.tuple(fc.constantFrom(...EVENTS), fc.array(change, { maxLength: 3 }))
  .map(([bytes, changes]) => changes.reduce(changed, bytes));

property("both ways and the definition agree about damaged events", mutated, 6000);

// Events made from scratch: any values in any fields, in any spelling that JSON allows.
const character = fc.oneof(
  fc.constantFrom(
    ...'"\\/<>&\b\f\n\r\t\u0000\u001f\u007f\u0085\u2028\u2029\ufeff\ufffd\ud800\udc00',
  ),
  fc.constantFrom("a", "b", "é", "日", "🚀", "{", "}", ",", ":", " "),
);
const text = fc.oneof(
  fc.constantFrom("", "a", "name", "__proto__", "count", "host"),
  fc.array(character, { maxLength: 6 }).map((characters) => characters.join("")),
);
const number = fc.oneof(
  fc.constantFrom("0", "-0", "1", "-7", "2.0", "1e3", "1E-2", "0.5", "999999999999999"),
  fc.constantFrom("1000000000000000", "9007199254740993", "1e400", "1e-400", "-1.5E+3"),
);
const fieldNames = ["kind", "apiVersion", "involvedObject", "reason", "message", "source", "count"]
  .concat(["type", "eventTime", "series", "related", "unknown", "metadata.name", "toString", "7"])
  .concat(["managedFields"]);
const nestedNames = ["name", "namespace", "kind", "host", "component", "count", "fieldPath", "x"];
const metadataNames = ["name", "namespace", "uid", "labels", "resourceVersion", "managedFields"];

const space = fc.oneof(
  { weight: 20, arbitrary: fc.constant("") },
  fc.constantFrom(" ", "\n", "\t"),
);

/** A string as JSON, spelled canonically or with an escape for some of its characters. */
const spelledString = (of: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(of, fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat())).map(
    ([value, bits]) => {
      if (bits === 0) return canonical(value);
      const units = Array.from({ length: value.length }, (_, i) => {
        const hex = value.charCodeAt(i).toString(16).padStart(4, "0");
        return (bits >> (i % 30)) & 1 ? `\\u${bits & 1 ? hex : hex.toUpperCase()}` : value[i]!;
      });
      const raw = units.map((unit) => unit.length > 1 ? unit : JSON.stringify(unit).slice(1, -1));
      return `"${raw.join("")}"`;
    },
  );

function object(members: fc.Arbitrary<[string, string]>, maxLength: number): fc.Arbitrary<string> {
  return fc.tuple(fc.array(members, { maxLength }), space).map(([list, gap]) => {
    return `{${list.map(([key, value]) => `${key}${gap}:${value}`).join(`${gap},`)}${gap}}`;
  });
}

const { value } = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    spelledString(text),
    number,
    fc.constantFrom("null", "true", "false", '""', "{}", "[]"),
    fc.array(tie("value"), { maxLength: 3 }).map((list) => `[${list.join(",")}]`),
    object(
      fc.tuple(spelledString(fc.oneof(text, fc.constantFrom(...nestedNames))), tie("value")),
      4,
    ),
  ),
}));

const metadata = fc.tuple(
  object(fc.tuple(spelledString(fc.constantFrom(...metadataNames)), value), 3),
  fc.constantFrom(
    '"resourceVersion":"12"',
    '"resourceVersion":"3","name":"a"',
    '"resourceVersion":"3\\t","name":"a\\"b"',
    '"uid":"u"',
  ),
).map(([first, rest]) => first === "{}" ? `{${rest}}` : `${first.trim().slice(0, -1)},${rest}}`);

const made = fc.tuple(
  object(fc.tuple(spelledString(fc.constantFrom(...fieldNames)), value), 5),
  metadata,
  space,
).map(([fields, meta, gap]) => {
  const inner = fields.slice(1, -1);
  const comma = inner.trim() === "" ? "" : ",";
  return encoder.encode(`${gap}{${inner}${comma}"metadata":${meta}}${gap}`.toWellFormed());
});

property("both ways and the definition agree about events in any spelling", made, 6000);
