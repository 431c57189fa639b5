/**
 * A line in any form holds its event byte for byte, without managedFields where they are dropped,
 * and is read back as what it was. Repeat a run with SEED=<what it printed>.
 */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventScan } from "../../lib/event_scan.ts";
import { identityHex } from "../../lib/identity.ts";
import { LineKeys } from "../../lib/line_keys.ts";
import { CLUSTER_NAME_MAX, WRAP_NAME_MAX } from "../../lib/settings.ts";
import { CORPUS, judgedTree, lineOf, parsed, runs, seed } from "./event_oracle.ts";
import { readTree, referenceIdentity, type Tree } from "./reference_identity.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Keys and values as they are spelled. */
type Members = [key: string, value: string][];

/** An object with the same whitespace, or none, at every place where JSON allows some. */
function spelled(members: Members, gap: string): string {
  const texts = members.map(([key, value]) => `${gap}${key}${gap}:${gap}${value}${gap}`);
  return `{${texts.join(",")}}`;
}

const MANAGED = '"managedFields"';
const managedKey = fc.constantFrom(MANAGED, MANAGED, MANAGED, '"\\u006danagedFields"');
const managedValue = fc.constantFrom(
  "[]",
  "null",
  '[{"manager":"kubelet","fieldsV1":{"f:count":{},"k:{\\"uid\\":\\"u\\"}":{".":{}}}}]',
  '"}],\\"managedFields\\":"',
  '{"managedFields":[1,{}],"resourceVersion":"9"}',
  '[ "é\u2028" ]',
);
const managedMember = fc.tuple(managedKey, managedValue);

const otherMetadata: fc.Arbitrary<[string, string]> = fc.constantFrom(
  ['"name"', '"web.1"'],
  ['"namespace"', '"shop"'],
  ['"uid"', '"u-1"'],
  ['"labels"', '{"managedFields":"kept"}'],
  ['"annotations"', '{"a":"\\"managedFields\\":[],"}'],
  ['"managedfields"', "[]"],
);

const metadata = fc.record({
  members: fc.uniqueArray(otherMetadata, { maxLength: 4, selector: ([key]) => key }),
  managed: fc.array(fc.tuple(managedMember, fc.nat()), { maxLength: 3 }),
  versionAt: fc.nat(),
}).map(({ members, managed, versionAt }) => {
  const all: Members = [...members];
  all.splice(versionAt % (all.length + 1), 0, ['"resourceVersion"', '"12"']);
  for (const [member, at] of managed) all.splice(at % (all.length + 1), 0, member);
  return all;
});

const plainField: fc.Arbitrary<[string, string]> = fc.constantFrom(
  ['"kind"', '"Event"'],
  ['"apiVersion"', '"v1"'],
  ['"reason"', '"Pulled"'],
  ['"message"', '"an \\u003ca\\u003e"'],
  ['"count"', "2"],
  ['"involvedObject"', '{"kind":"Pod","name":"web"}'],
);
const oddField: fc.Arbitrary<[string, string]> = fc.constantFrom(
  ['"message"', '"é 🚀"'],
  ['"message"', '"\u0085\u2028"'],
  ['"count"', "2.0"],
  ['"involvedObject"', '{"metadata":{"resourceVersion":"3"},"managedFields":[]}'],
  ['"managedFields"', "[1]"],
  ['"cluster"', '"not the wrapper\'s"'],
  ['"resourceVersion"', '"8"'],
);

const name = (lengthMax: number) =>
  fc.oneof(
    fc.constantFrom(
      ...["event", "k8s", "kind", "involvedObject", "__proto__", "constructor", "événement", " "],
      ...['a"b\\', '"},"cluster":"', "\n\u0000\x7f\u0085\u2028\u2029", "🚀", "\ud800"],
      "x".repeat(lengthMax),
    ),
    fc.string({ minLength: 1, maxLength: lengthMax, unit: "binary" }),
  );
const wrapName = name(WRAP_NAME_MAX).filter((text) =>
  !["cluster", "old_event", "metadata"].includes(text)
);

const form = fc.record({
  managedFields: fc.constantFrom("keep" as const, "drop" as const),
  wrap: fc.option(wrapName),
  cluster: fc.option(name(CLUSTER_NAME_MAX)),
});

const event = fc.record({
  metadata,
  fields: fc.uniqueArray(fc.oneof({ weight: 9, arbitrary: plainField }, oddField), {
    maxLength: 5,
    selector: ([key]) => key,
  }),
  metadataAt: fc.nat(),
  gap: fc.oneof({ weight: 3, arbitrary: fc.constant("") }, fc.constantFrom(" ", "\n", "\t ")),
});

/** As one line, if a splitter would see more than one in it. */
function onOneLine(text: string): string {
  return text.replace(/[\u007f-\u009f\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

Deno.test(`a line in any form is the event's bytes, and is read back (seed=${seed})`, () => {
  const numRuns = runs(6000);
  const met = { fast: 0, slow: 0, fastDropped: 0, slowDropped: 0, wrapped: 0 };
  fc.assert(
    fc.property(event, form, ({ metadata, fields, metadataAt, gap }, form) => {
      const isDropped = form.managedFields === "drop";
      const kept = metadata.filter(([key]) => !isDropped || JSON.parse(key) !== "managedFields");
      const textOf = (metadata: Members, gap: string) => {
        const all = [...fields];
        all.splice(metadataAt % (all.length + 1), 0, ['"metadata"', spelled(metadata, gap)]);
        return spelled(all, gap);
      };
      const text = textOf(metadata, gap);
      const bytes = encoder.encode(text);
      const scan = new EventScan(form);
      assertEquals(scan.scan(bytes, 0, bytes.length, "content"), null);
      const line = lineOf(scan);

      const breaks = /[\n\t\u0085\u2028\u2029]/.test(textOf(kept, gap));
      const own = breaks ? onOneLine(withoutSpace(textOf(kept, ""))) : textOf(kept, gap);
      const has = (key: string) => fields.some(([field]) => field === key);
      const typeMeta = (has('"kind"') ? "" : '"kind":"Event",') +
        (has('"apiVersion"') ? "" : '"apiVersion":"v1",');
      const expected = `{${typeMeta}${own.slice(1)}`;
      const json = (name: string) => onOneLine(JSON.stringify(name));
      const cluster = form.cluster === null ? "" : `,"cluster":${json(form.cluster)}`;
      assertEquals(
        line,
        (form.wrap === null ? expected : `{${json(form.wrap)}:${expected}${cluster}}`) + "\n",
      );

      const written = encoder.encode(line);
      const keys = new LineKeys();
      assertEquals(keys.read(written, 0, written.length - 1), "event");
      assertEquals(decoder.decode(written.subarray(keys.event.start, keys.event.end)), expected);
      const original = readTree(text) as Map<string, Tree>;
      const identity = ["content", "name-count"] as const;
      assertEquals(
        identityHex(keys.lanes),
        identity.map((mode) => referenceIdentity(original, mode)).join(""),
      );
      assertEquals(identityHex(scan.key), referenceIdentity(original, "content"));

      met[scan.path]++;
      if (kept.length < metadata.length) met[`${scan.path}Dropped`]++;
      if (form.wrap !== null) met.wrapped++;
    }),
    { seed, numRuns },
  );
  console.log(JSON.stringify(met));
  // A run that never meets one of them shows nothing.
  assert(Math.min(...Object.values(met)) > numRuns / 100, JSON.stringify(met));
});

/** A value with a space of its own: outside of strings it goes where the line is one of several. */
function withoutSpace(text: string): string {
  return text.replace(/("(?:[^"\\]|\\.)*")|\s/g, (_match, string) => string ?? "");
}

/** What a line is by docs/FORMAT.md, "Reading lines back": an identity, or a word. */
function judgedLine(bytes: Uint8Array): string {
  const json = parsed(bytes);
  if (!(json?.tree instanceof Map)) return "broken";
  const isEvent = (tree: Tree) => judgedTree(tree, json.text) !== null;
  const members = [...json.tree].filter(([name, tree]) => name !== "old_event" && isEvent(tree));
  const event = isEvent(json.tree) ? json.tree : members.length === 1 ? members[0]![1] : null;
  return event === null ? "other" : referenceIdentity(event as Map<string, Tree>, "content");
}

const EVENTS = CORPUS.filter((line) => line.startsWith('{"type"'))
  .map((line) => line.slice(line.indexOf(":{") + 1, -1));
const someEvent = fc.constantFrom(...EVENTS);
const someLine = fc.tuple(someEvent, someEvent, fc.nat()).map(([event, other, n]) =>
  [
    event,
    `{"k8s":${event}}`,
    `{"k8s":${event},"cluster":"prod"}`,
    `{"verb":"UPDATED","event":${event},"old_event":${other}}`,
    `{"old_event":${event},"cluster":"x"}`,
  ][n % 5]!
);
const token = fc.constantFrom(
  ...[
    '"',
    "\\",
    ",",
    ":",
    "{",
    "}",
    "}}",
    " ",
    "\n",
    "null",
    '"a"',
    ',"cluster":"x"',
    '"cluster":',
  ],
  ...['"metadata":{"resourceVersion":"1"},', '"a":{"metadata":{"resourceVersion":"1"}},', "{}"],
  ...['"metadata":', '"old_event":', "\\u0063", '"k8s":1,', ',"k8s":{}', "é"],
);
// Most changes at the ends of a line, where its wrapper is.
const change = fc.tuple(fc.oneof(fc.nat(30), fc.integer({ min: -30, max: -1 }), fc.nat()), token)
  .chain(([at, token]) => fc.nat(12).map((dropped) => ({ at, token, dropped })));
const changedLine = fc.tuple(someLine, fc.array(change, { maxLength: 3 })).map(([line, changes]) =>
  changes.reduce((text, { at, token, dropped }) => {
    const place = at < 0 ? Math.max(0, text.length + at) : at % (text.length + 1);
    return text.slice(0, place) + token + text.slice(place + (dropped > 6 ? dropped - 6 : 0));
  }, line).replaceAll("\n", " ")
);

Deno.test(`a damaged line is what docs/FORMAT.md says of it (seed=${seed})`, () => {
  const numRuns = runs(6000);
  const met = { event: 0, other: 0, broken: 0 };
  const keys = new LineKeys();
  fc.assert(
    fc.property(changedLine, (line) => {
      const bytes = encoder.encode(`}${line}}`);
      const kind = keys.read(bytes, 1, bytes.length - 1);
      const found = kind === "event" ? identityHex(keys.lanes.subarray(0, 4)) : kind;
      assertEquals(found, judgedLine(bytes.subarray(1, -1)));
      met[kind]++;
    }),
    { seed, numRuns },
  );
  console.log(JSON.stringify(met));
  assert(Math.min(...Object.values(met)) > numRuns / 100, JSON.stringify(met));
});
