import { assertEquals } from "@std/assert";
import { EventGrammar } from "../../lib/event_grammar.ts";
import { encodeCanonical } from "../../lib/identity.ts";

const encoder = new TextEncoder();

Deno.test("accept() takes any valid UTF-8 but what some reader takes for the end of a line", () => {
  const grammar = new EventGrammar();
  const decoder = new TextDecoder();
  const event = encoder.encode('{"metadata":{"resourceVersion":"1"},"message":"........."}');
  const at = event.indexOf(0x2e);
  const firsts = Array.from({ length: 0xff - 0x7e }, (_, i) => 0x7f + i);
  // The bounds of what may follow, and the last bytes of U+0085, U+2028 and U+2029.
  const others = [0x7f, 0x80, 0x85, 0x8f, 0x90, 0x9f, 0xa0, 0xa8, 0xa9, 0xbf, 0xc0, 0xc2];
  const wrong: string[] = [];
  for (const first of firsts) {
    for (const second of others) {
      for (const third of others) {
        for (const fourth of others) {
          event.set([first, second, third, fourth], at);
          const text = decoder.decode(event.subarray(at, at + 4));
          // No four of these bytes are U+FFFD itself.
          const isWanted = !/[\ufffd\u0085\u2028\u2029]/.test(text);
          if ((grammar.accept(event, 0, event.length) > 0) !== isWanted) {
            wrong.push([first, second, third, fourth].map((byte) => byte.toString(16)).join(" "));
          }
        }
      }
    }
  }
  assertEquals(wrong, []);
});

Deno.test("accept() finds characters that are special wherever they stand in a string", () => {
  const grammar = new EventGrammar();
  const wrong: string[] = [];
  for (let length = 0; length < 40; length++) {
    for (let byte = 0; byte < 0x80; byte++) {
      const text = "x".repeat(length) + String.fromCharCode(byte) + "y".repeat(length % 7);
      const event = encoder.encode(`{"metadata":{"resourceVersion":"1"},"message":"${text}"}`);
      const isWanted = byte >= 0x20 && !'"\\<>&'.includes(String.fromCharCode(byte));
      const isAccepted = grammar.accept(event, 0, event.length) === event.length;
      // A backslash in front of the y or the quote is no escape either.
      if (isAccepted !== isWanted) wrong.push(JSON.stringify(text));
    }
  }
  assertEquals(wrong, []);
});

Deno.test("accept() takes an escape if it is the canonical spelling", () => {
  const grammar = new EventGrammar();
  const hex = Array.from({ length: 0x10000 }, (_, code) => code.toString(16).padStart(4, "0"));
  const upper = hex.map((digits) => digits.toUpperCase());
  const wrong = [...hex, ...upper].map((digits) => `u${digits}`).concat([...'bfnrt/\\"']).filter(
    (escape) => {
      const text = `"x\\${escape}y"`;
      const event = encoder.encode(`{"metadata":{"resourceVersion":"1"},"message":${text}}`);
      const isCanonical = encodeCanonical(JSON.parse(text)) === text;
      return (grammar.accept(event, 0, event.length) > 0) !== isCanonical;
    },
  );
  // Of many, a few say enough.
  assertEquals(wrong.slice(0, 20), []);
});

Deno.test("accept() takes values that are JSON and canonical, and no others", () => {
  const grammar = new EventGrammar();
  const isAccepted = (value: string) => {
    const event = `{"metadata":{"resourceVersion":"1","managedFields":${value}},"reason":"r"}`;
    return grammar.accept(encoder.encode(event), 0, event.length) === event.length;
  };
  const valid = [
    "[]",
    "{}",
    "[[],{}]",
    '[1,-1,0,10,true,false,null,"a"]',
    '{"a":[{"b":{}}],"c":0}',
  ];
  assertEquals(valid.filter((value) => !isAccepted(value)), []);
  const others = ["", "[}", "{]", "[1}", '{"a":1]', "[[1}]", "[1,]", "[,1]", "[1 ]", "[", "]", "[1"]
    .concat(["{", '{"a"}', '{"a":}', "{,}", '{"a":1,}', "{1:1}", '{"a":1,2}', '{"a",1}', '{"a"1}'])
    .concat(["01", "-0", "-01", "-", "1.5", "1e1", "+1", ".5", "1-", "tru", "nul", "fals", "True"])
    .concat(['"a', 'a"', '"\\x"', '"\\u12"', "[]]", "{}}", "[][]", "1 1", "\t1", "1,1"]);
  assertEquals(others.filter(isAccepted), []);
});

Deno.test("accept() says where the event ends that begins at a place", () => {
  const grammar = new EventGrammar();
  const event = '{"metadata":{"name":"a","managedFields":[{},[{"f:a":{}}]],' +
    '"resourceVersion":"12"},"count":3}';
  const bytes = encoder.encode(`[${event},${event}]`);
  const start = event.length + 2;
  assertEquals(grammar.accept(bytes, 1, bytes.length), 1 + event.length);
  assertEquals(grammar.accept(bytes, start, bytes.length), start + event.length);
  const { name, resourceVersion, count, managedFields } = grammar;
  const found = [name, resourceVersion, count, managedFields].map(({ start, end }) =>
    new TextDecoder().decode(bytes.subarray(start, end))
  );
  assertEquals(found, ["a", "12", "3", '"managedFields":[{},[{"f:a":{}}]]']);
  assertEquals(grammar.accept(bytes, start, bytes.length - 2), -1);
});

Deno.test("accept() refuses what it reads and is there twice", () => {
  const grammar = new EventGrammar();
  const isAccepted = (text: string) => grammar.accept(encoder.encode(text), 0, text.length) > 0;
  const field = (members: string) => `{"metadata":{"resourceVersion":"1"}${members}}`;
  const own = (members: string) => `{"metadata":{"resourceVersion":"1"${members}}}`;
  for (const member of [',"count":1', ',"message":"a"', ',"eventTime":null']) {
    assertEquals([isAccepted(field(member)), isAccepted(field(member + member))], [true, false]);
  }
  for (const member of [',"name":"a"', ',"uid":"u"', ',"managedFields":[]']) {
    assertEquals([isAccepted(own(member)), isAccepted(own(member + member))], [true, false]);
  }
  assertEquals(isAccepted(own(',"resourceVersion":"1"')), false);
  assertEquals(isAccepted(field(',"metadata":{"resourceVersion":"1"}')), false);
});

Deno.test("accept() takes nothing where V8 has no SIMD, and no event of more than 256 KiB", () => {
  const event = (length: number) =>
    encoder.encode(`{"metadata":{"resourceVersion":"1"},"message":"${"x".repeat(length)}"}`);
  const small = event(10);
  const largest = event(256 * 1024 - event(0).length);
  const tooLarge = event(256 * 1024 + 1 - event(0).length);
  assertEquals(new EventGrammar(null).accept(small, 0, small.length), -1);
  assertEquals(new EventGrammar().accept(small, 0, small.length), small.length);
  assertEquals(new EventGrammar().accept(largest, 0, largest.length), 256 * 1024);
  assertEquals(new EventGrammar().accept(tooLarge, 0, tooLarge.length), -1);
});
