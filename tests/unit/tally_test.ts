/**
 * The judge of all other tests: what counts as an occurrence, as lost, as repeated.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { contentOf } from "../fake/content.ts";
import { sampleEvent } from "../fake/sample.ts";
import { isExact, linesOf, tally, tallyText } from "../fake/tally.ts";

Deno.test("content leaves out metadata but the name, kind, apiVersion, empty fields and key order", () => {
  const event = {
    metadata: { namespace: "a", name: "e", uid: "1" },
    count: 1,
    source: { b: 1, a: 2 },
  };
  const same = {
    apiVersion: "v1",
    kind: "Event",
    series: null,
    related: {},
    list: [],
    action: "",
    source: { a: 2, b: 1 },
    count: 1,
    metadata: { resourceVersion: "9", name: "e", namespace: "a", annotations: { x: "y" } },
  };
  assertEquals(contentOf(event), contentOf(same));
  const others: object[] = [
    { ...event, metadata: { namespace: "b", name: "e" } },
    { ...event, metadata: { namespace: "a", name: "f" } },
    { ...event, count: 2 },
    { ...event, count: "1" },
    { ...event, source: { a: 1, b: 2 } },
    { ...event, source: { a: 2 } },
    { ...event, new: 0 },
    JSON.parse(
      '{"metadata":{"namespace":"a","name":"e"},"count":1,"source":{"a":2,"b":1,"__proto__":3}}',
    ),
  ];
  const contents = new Set([event, ...others].map(contentOf));
  assertEquals(contents.size, others.length + 1);
});

Deno.test("the tally finds what is lost, repeated, unexpected and torn", () => {
  const line = (name: string) => JSON.stringify(sampleEvent("a", name));
  const expected = ["1", "2", "3", "3"].map((name) => contentOf(sampleEvent("a", name)));
  const text = [line("1"), line("2"), line("2"), line("4"), '{"half":', "7", line("2")].join("\n");
  const result = tally(linesOf(`${text}\n`), expected);
  assertEquals(result.lost, [contentOf(sampleEvent("a", "3"))]);
  assertEquals(result.repeated, [expected[1], expected[1]]);
  assertEquals(result.unexpected, [contentOf(sampleEvent("a", "4"))]);
  assertEquals([result.occurrences, result.lines, result.torn, isExact(result)], [3, 7, 2, false]);
  const all = "3 occurrences written, 7 lines, 1 lost, 2 repeated, 1 unexpected, 2 torn";
  assertEquals(tallyText(result), all);
});

Deno.test("an exact tally over two files reads as the demo's last line", () => {
  const names = Array.from({ length: 1500 }, (_, i) => `e${i}`);
  const lines = names.map((name) => `${JSON.stringify(sampleEvent("a", name))}\n`);
  const expected = names.map((name) => contentOf(sampleEvent("a", name)));
  const files = [lines.slice(0, 700).join(""), lines.slice(700).join("")];
  const result = tally(linesOf(...files), expected);
  assert(isExact(result));
  assertEquals(tallyText(result), "1,500 occurrences written, 1,500 lines, 0 lost, 0 repeated");
});

Deno.test("a last line without its newline is torn even where it is whole JSON", () => {
  const event = sampleEvent("a", "e");
  const result = tally(linesOf(JSON.stringify(event)), [contentOf(event)]);
  assertEquals([result.torn, result.lost.length], [1, 1]);
  assertNotEquals(isExact(result), true);
});
