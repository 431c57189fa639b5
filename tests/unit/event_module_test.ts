import { assert, assertEquals, assertThrows } from "@std/assert";
import { InternalError } from "../../lib/errors.ts";
import { EventModule } from "../../lib/event_module.ts";
import { FAST_EVENT_BYTES_MAX } from "../../lib/limits.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function event(message: string): string {
  return `{"metadata":{"name":"a","resourceVersion":"12"},"message":"${message}"}`;
}

/** Events one behind the other, and where each begins and ends. */
function stream(texts: string[]) {
  let end = 0;
  const places = texts.map((text) => ({ text, start: end, end: end += text.length }));
  return { bytes: encoder.encode(texts.join("")), places };
}

function fresh(): EventModule {
  const module = EventModule.make();
  assert(module !== null);
  return module;
}

/** The identity of an event, by a module that read nothing else. */
function keyOf(text: string): Uint32Array {
  const module = fresh();
  assertEquals(module.accept(encoder.encode(text), 0, text.length), text.length);
  return module.key.slice();
}

Deno.test("acceptHeld() reads events in any order, with others in between, as they stand", () => {
  const module = fresh();
  const { bytes, places } = stream(["one", "two", "three", ""].map(event));
  const stranger = encoder.encode(event("stranger"));
  for (const turn of [0, 1, 2, 3, 3, 1, 0, 2, 0]) {
    const { text, start, end } = places[turn]!;
    assertEquals(module.acceptHeld(bytes, start), text.length);
    assertEquals(module.key, keyOf(text));
    // Reading puts prefixes in front of values for a while: they must be gone.
    assert(module.copy(bytes, start, end, module.draft, 100));
    assertEquals(decoder.decode(module.draft.subarray(100, 100 + text.length)), text);
    if (turn % 2 === 0) continue;
    assertEquals(module.accept(stranger, 0, stranger.length), stranger.length);
    assertEquals(module.copy(bytes, start, end, module.draft, 0), false, "they are not held now");
  }
});

Deno.test("an event that is refused leaves the window as it was", () => {
  const module = fresh();
  // Its reason was hashed before, and so its prefix stood in the window.
  const refused = '{"metadata":{"name":"n","resourceVersion":"1"},"reason":"r","message":"<"}';
  const { bytes, places } = stream([event("one"), refused, event("two")]);
  const reads = () => places.map(({ start }) => module.acceptHeld(bytes, start));
  assertEquals(reads(), [places[0]!.text.length, 0, places[2]!.text.length]);
  assertEquals(reads(), [places[0]!.text.length, 0, places[2]!.text.length]);
  assert(module.copy(bytes, 0, bytes.length, module.draft, 0));
  assertEquals(module.draft.subarray(0, bytes.length), bytes);
});

Deno.test("accept() reads the bytes as they are now", () => {
  const module = fresh();
  const bytes = encoder.encode(event("before"));
  assertEquals(module.accept(bytes, 0, bytes.length), bytes.length);
  const before = module.key.slice();
  bytes.set(encoder.encode("behind"), bytes.indexOf(0x66) - 2);
  assertEquals(module.accept(bytes, 0, bytes.length), bytes.length);
  assert(module.key.some((lane, index) => lane !== before[index]));
});

Deno.test("accept() finds no event that is cut off, whatever stood in the window before", () => {
  const module = fresh();
  const whole = encoder.encode(event("m"));
  for (let end = 0; end < whole.length; end++) {
    assertEquals(module.acceptHeld(whole.slice(), 0), whole.length);
    assertEquals(module.accept(whole, 0, end), 0, `${end}`);
    assertEquals(module.acceptHeld(whole.slice(0, end + 1), 0) > 0, end + 1 === whole.length);
  }
});

Deno.test("acceptHeld() reads on behind what the window holds, and the longest event", () => {
  const module = fresh();
  const longest = event("x".repeat(FAST_EVENT_BYTES_MAX - event("").length));
  const half = event("y".repeat(FAST_EVENT_BYTES_MAX / 2 + 1));
  const { bytes, places } = stream([half, half, longest, event("z"), `${longest.slice(0, -2)}x"}`]);
  const ends = places.map(({ start }) => start + module.acceptHeld(bytes, start));
  const last = places.at(-1)!;
  assertEquals(ends, [...places.slice(0, -1).map(({ end }) => end), last.start]);
});

Deno.test("accept() takes fieldsV1 that it knows as any other, and nothing else for it", () => {
  const fields = (value: string) =>
    `{"metadata":{"resourceVersion":"1","managedFields":[{"manager":"m","fieldsV1":${value}}]}}`;
  const values = Array.from({ length: 40 }, (_, i) => `{"f:a${i % 20}":{},"f:b":{"f:c${i}":{}}}`)
    .concat(`{"f:${"long".repeat(300)}":{}}`, '{"f:a":{}}', '{"f:abcdefghi":1}');
  const module = fresh();
  // Among 16 that are remembered, each is met when it is new, known and forgotten.
  for (const value of [...values, ...values.slice(0, 12), ...values.slice(0, 12)]) {
    const bytes = encoder.encode(fields(value));
    assertEquals(module.accept(bytes, 0, bytes.length), bytes.length, value);
    assertEquals(module.key, keyOf(fields(value)));
    for (let at = bytes.indexOf(0x66) - 2; at < bytes.length; at += 5) {
      assertEquals(module.accept(bytes, 0, at), 0, `${value} cut at ${at}`);
      const damaged = bytes.slice();
      damaged[at] = damaged[at] === 0x7d ? 0x5d : 0x22;
      const expected = fresh().accept(damaged, 0, damaged.length);
      assertEquals(module.accept(damaged, 0, damaged.length), expected, `${value} at ${at}`);
    }
  }
  // The same value at another depth may be nested too deep.
  const deep = (depth: number) => `${"[".repeat(depth)}${values[0]}${"]".repeat(depth)}`;
  const event = (value: string) => `{"metadata":{"resourceVersion":"1","labels":${value}}}`;
  for (const [depth, isTaken] of [[2, true], [27, true], [28, false]] as const) {
    const bytes = encoder.encode(event(deep(depth)));
    assertEquals(module.accept(bytes, 0, bytes.length) > 0, isTaken, `${depth}`);
  }
});

Deno.test("copy() copies into the draft alone", () => {
  const module = fresh();
  const bytes = encoder.encode(event("m"));
  assertEquals(module.acceptHeld(bytes, 0), bytes.length);
  assertEquals(module.copy(bytes, 0, bytes.length, new Uint8Array(bytes.length), 0), false);
  assertEquals(module.copy(bytes, 0, bytes.length + 1, module.draft, 0), false);
  assertEquals(module.copy(bytes.subarray(0), 0, bytes.length, module.draft, 0), false);
  const last = module.draft.length - bytes.length;
  assert(module.copy(bytes, 0, bytes.length, module.draft, last));
  assertThrows(() => module.copy(bytes, 0, bytes.length, module.draft, last + 1), InternalError);
});
