import { assert, assertEquals } from "@std/assert";
import { EventScan } from "../../lib/event_scan.ts";
import { NESTING_MAX } from "../../lib/limits.ts";
import { type LineForm, PLAIN_LINE } from "../../lib/protocol.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const PLAIN = '{"kind":"Event","apiVersion":"v1","metadata":{"name":"a","namespace":"n",' +
  '"uid":"u","resourceVersion":"12","labels":{"a":"b"},"managedFields":[{"f:x":{}},[]]},' +
  '"involvedObject":{"kind":"Pod","name":"p"},"reason":"r","message":"say \\"hi\\"\\n\\u003cb",' +
  '"source":{},"firstTimestamp":null,"count":2,"type":"Normal","series":{"count":2}}';

function verdict(
  text: string | Uint8Array,
  form: LineForm = PLAIN_LINE,
): { scan: EventScan; reason: string | null } {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  const scan = new EventScan(form);
  return { scan, reason: scan.scan(bytes, 0, bytes.length, "content") };
}

function lineOf(text: string, form: LineForm = PLAIN_LINE): string {
  const { scan, reason } = verdict(text, form);
  assertEquals(reason, null, text);
  const into = new Uint8Array(scan.lineLength + 4).fill(0x7e);
  assertEquals(scan.writeLine(into, 2), scan.lineLength + 2);
  const written = decoder.decode(into);
  assert(written.startsWith("~~") && written.endsWith("~~"), "wrote outside of its range");
  return written.slice(2, -2);
}

Deno.test("scan() takes the fast way for what an API server writes", () => {
  for (const text of [PLAIN, PLAIN.replace('"kind":"Event","apiVersion":"v1",', "")]) {
    const { scan, reason } = verdict(text);
    assertEquals([reason, scan.path, scan.resourceVersion], [null, "fast", "12"]);
  }
});

Deno.test("scan() takes the fast way for each event of a real API server that escapes little", () => {
  const corpus = Deno.readTextFileSync(new URL("../corpus/events.jsonl", import.meta.url));
  let fast = 0;
  for (const line of corpus.trimEnd().split("\n")) {
    const object = line.startsWith('{"type"') ? line.slice(line.indexOf(":{") + 1, -1) : line;
    const { scan, reason } = verdict(object);
    assertEquals(reason, null);
    const isPlain = !/\u0085|\\[bf]|\\u(?!003c|003e|0026|202[89]|00[01])/.test(object);
    assertEquals(scan.path, isPlain ? "fast" : "slow", object);
    if (isPlain) fast++;
  }
  assertEquals(fast, 52);
});

Deno.test("scan() reads only the bytes of its range", () => {
  const bytes = encoder.encode(`,${PLAIN},"x"`);
  const scan = new EventScan();
  assertEquals(scan.scan(bytes, 1, 1 + PLAIN.length, "content"), null);
  assertEquals(scan.path, "fast");
  for (let end = 0; end < PLAIN.length; end++) {
    assert(scan.scan(bytes, 1, 1 + end, "content") !== null, `cut at ${end}`);
  }
});

Deno.test("scan() leaves every other spelling to the slow way, with the same result", () => {
  const spellings: [string, string][] = [
    ['"count":2', '"count": 2'],
    ['"count":2', '"count":2.0'],
    ['"count":2', '"count":2e0'],
    ['"reason":"r"', '"re\\u0061son":"r"'],
    ['"reason":"r"', '"reason":"r","unknown":null'],
    ['"reason":"r"', '"reason":"x","reason":"r"'],
    ['"name":"a"', '"name":"b","name":"a"'],
    ["\\u003c", "<"],
    ["\\u003c", "\\u003C"],
    ['"kind":"Pod","name":"p"', '"name":"p","kind":"Pod"'],
    ['"kind":"Pod","name":"p"', '"kind":"x","kind":"Pod","name":"p"'],
    ['"namespace":"n"', '"namespace":"\\u006e"'],
    ['"resourceVersion":"12"', '"resourceVersion":"\\u00312"'],
    ['"source":{}', '"source":[]'],
    ['"apiVersion":"v1",', ""],
  ];
  const expected = verdict(PLAIN).scan;
  for (const [from, to] of spellings) {
    const text = PLAIN.replace(from, to);
    const { scan, reason } = verdict(text);
    assert(text !== PLAIN && reason === null, `${to}: ${reason}`);
    assertEquals([scan.path, scan.resourceVersion], ["slow", "12"], to);
    assertEquals(scan.key, expected.key, to);
  }
});

Deno.test("scan() takes escapes of a name or resourceVersion for what they mean", () => {
  const version = verdict(String.raw`{"metadata":{"resourceVersion":"1\\2"}}`);
  assertEquals([version.reason, version.scan.resourceVersion], [null, "1\\2"]);
  const keys = ['\\"', "\\u0022"].map((quote) => {
    const bytes = encoder.encode(`{"metadata":{"name":"a${quote}b","resourceVersion":"1"}}`);
    const scan = new EventScan();
    assertEquals(scan.scan(bytes, 0, bytes.length, "name-count"), null);
    return scan.key;
  });
  assertEquals(keys[0], keys[1]);
});

Deno.test("scan() says why bytes are no event", () => {
  const deep = "[".repeat(NESTING_MAX + 1) + "]".repeat(NESTING_MAX + 1);
  const cases: [string | Uint8Array, string][] = [
    ["", "not JSON: Unexpected end of JSON input"],
    ["[]", "not an object"],
    ["null", "not an object"],
    ["1.5", "not an object"],
    ["{}", "no metadata"],
    ['{"metadata":null}', "no metadata"],
    ['{"metadata":[]}', "no metadata"],
    ['{"metadata":1.5}', "no metadata"],
    ['{"metadata":{}}', "no resourceVersion"],
    ['{"metadata":{"resourceVersion":""}}', "no resourceVersion"],
    ['{"metadata":{"resourceVersion":12}}', "no resourceVersion"],
    ['{"metadata":{"resourceVersion":"1","resourceVersion":null}}', "no resourceVersion"],
    ['{"metadata":{"resourceVersion":"\\ud800"}}', "a resourceVersion that is no text"],
    [deep, "nested deeper than 1000 levels"],
    [Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), "not UTF-8"],
  ];
  for (const [text, expected] of cases) assertEquals(verdict(text).reason, expected);
  for (const text of [`\ufeff${PLAIN}`, `${PLAIN}x`, `${PLAIN}${PLAIN}`, PLAIN.slice(0, -1)]) {
    assert(verdict(text).reason?.startsWith("not JSON: "), text);
  }
});

Deno.test("scan() says in one printable line why JSON is broken", () => {
  const { reason } = verdict('{"metadata":\u001b[31m\n}');
  assert(reason !== null && /^not JSON: [\x20-\x7e]+$/.test(reason), reason ?? "");
});

Deno.test("scan() refuses the same depth in both ways", () => {
  const nested = (depth: number) =>
    '{"metadata":{"resourceVersion":"1","x":' + "[".repeat(depth) + "]".repeat(depth) + "}}";
  assertEquals(verdict(nested(30)).scan.path, "fast");
  assertEquals(verdict(nested(31)).scan.path, "slow");
  assertEquals(verdict(nested(NESTING_MAX - 2)).reason, null);
  assertEquals(verdict(nested(NESTING_MAX - 1)).reason, "nested deeper than 1000 levels");
});

Deno.test("resourceVersion follows from event to event, whatever it shares with the last", () => {
  const scan = new EventScan();
  for (const version of ["12", "123", "12", "22", "2", "0", "99999999999999999999999", "a-b"]) {
    const bytes = encoder.encode(PLAIN.replace('"12"', `"${version}"`));
    assertEquals(scan.scan(bytes, 0, bytes.length, "content"), null);
    assertEquals([scan.path, scan.resourceVersion], ["fast", version]);
  }
});

Deno.test("a scan does not depend on the one before", () => {
  const scan = new EventScan();
  const bytes = encoder.encode(PLAIN);
  const broken = encoder.encode(PLAIN.slice(0, -3));
  const other = encoder.encode('{"metadata":{"resourceVersion":"3"}}');
  assertEquals(scan.scan(bytes, 0, bytes.length, "content"), null);
  const key = scan.key.slice();
  assert(scan.scan(broken, 0, broken.length, "content") !== null);
  assertEquals(scan.scan(other, 0, other.length, "name-count"), null);
  assertEquals(scan.scan(bytes, 0, bytes.length, "content"), null);
  assertEquals(scan.key, key);
});

Deno.test("writeLine() writes the server's bytes and a line feed", () => {
  assertEquals(lineOf(PLAIN), PLAIN + "\n");
  const spaced = PLAIN.replaceAll(",", " , ");
  assertEquals(lineOf(`\n ${spaced}\r\n`), spaced + "\n");
  const raw = PLAIN.replace("say", "é 🚀 \x7f \u00a0 1.0 <&>");
  assertEquals(lineOf(raw), raw + "\n");
});

Deno.test("writeLine() adds kind and apiVersion where they are missing, each by itself", () => {
  const bare = '{"metadata":{"resourceVersion":"1"}}';
  assertEquals(lineOf(bare), `{"kind":"Event","apiVersion":"v1",${bare.slice(1)}\n`);
  assertEquals(
    lineOf(` { ${bare.slice(1)}`),
    `{"kind":"Event","apiVersion":"v1", ${bare.slice(1)}\n`,
  );
  const kind = '{"metadata":{"resourceVersion":"1"},"kind":"Event"}';
  assertEquals(lineOf(kind), `{"apiVersion":"v1",${kind.slice(1)}\n`);
  const version = '{"apiVersion":"v1","metadata":{"resourceVersion":"1"}}';
  assertEquals(lineOf(version), `{"kind":"Event",${version.slice(1)}\n`);
});

Deno.test("writeLine() gives a LIST item the same line as a WATCH", () => {
  assertEquals(lineOf(PLAIN.replace('"kind":"Event","apiVersion":"v1",', "")), PLAIN + "\n");
});

Deno.test("writeLine() keeps whatever some splitter takes for a line end out of the line (fault 35; check 4.2.22)", () => {
  const pretty =
    '{\n\t"metadata": {\r\n  "resourceVersion": "1" }, "kind": "", "apiVersion":1.50,' +
    '\n"a\u2028b": "\\" \u0085 \\\\", "c": "\u2029 , : é 🚀\u00c2" }';
  assertEquals(
    lineOf(pretty),
    '{"metadata":{"resourceVersion":"1"},"kind":"","apiVersion":1.50,' +
      '"a\\u2028b":"\\" \\u0085 \\\\","c":"\\u2029 , : é 🚀\u00c2"}\n',
  );
  const inString = PLAIN.replace("say", "a\u0085 b").replace('"count":2', '"count": 2');
  assertEquals(lineOf(inString), PLAIN.replace("say", "a\\u0085 b") + "\n");
});

Deno.test("writeLine() leaves managedFields out with a comma, in metadata alone, however they stand", () => {
  const eventOf = (metadata: string) =>
    `{"kind":"Event","apiVersion":"v1","metadata":${metadata},"managedFields":[1]}`;
  for (
    const [metadata, left] of [
      ['{"resourceVersion":"1","managedFields":[{"a":{}}]}', '{"resourceVersion":"1"}'],
      ['{"managedFields":[],"resourceVersion":"1"}', '{"resourceVersion":"1"}'],
      ['{"uid":"u","managedFields":[],"resourceVersion":"1"}', '{"uid":"u","resourceVersion":"1"}'],
      ['{"managedFields":[],"resourceVersion":"1","managedFields":[]}', '{"resourceVersion":"1"}'],
      ['{"managedFields":[],"managedFields":1,"resourceVersion":"1"}', '{"resourceVersion":"1"}'],
      ['{"\\u006danagedFields":[],"resourceVersion":"1"}', '{"resourceVersion":"1"}'],
      [
        '{"uid":"u" , "managedFields": [] , "resourceVersion":"1"}',
        '{"uid":"u" , "resourceVersion":"1"}',
      ],
      ['{"resourceVersion":"1","labels":{"managedFields":""}}', null],
    ] as const
  ) {
    const line = lineOf(eventOf(metadata), { ...PLAIN_LINE, managedFields: "drop" });
    assertEquals(line, eventOf(left ?? metadata) + "\n");
  }
});

Deno.test("writeLine() puts an event into a wrapper, from a LIST as from a WATCH", () => {
  const wrapper = { managedFields: "keep", wrap: 'a"\u2028', cluster: "prod\n" } as const;
  const expected = `{"a\\"\\u2028":${PLAIN},"cluster":"prod\\n"}\n`;
  assertEquals(lineOf(PLAIN, wrapper), expected);
  assertEquals(lineOf(PLAIN.replace('"kind":"Event","apiVersion":"v1",', ""), wrapper), expected);
  const own = { ...wrapper, cluster: null };
  assertEquals(lineOf(PLAIN, own), `{"a\\"\\u2028":${PLAIN}}\n`);
});
