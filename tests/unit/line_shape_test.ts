import { assertEquals } from "@std/assert";
import { identityHex } from "../../lib/identity.ts";
import { LineKeys } from "../../lib/line_keys.ts";
import { sampleEvent } from "../support/rig.ts";

const EVENT = sampleEvent(1);
const OTHER = sampleEvent(2);

/** What a line is, and of an event its text and whether its keys are those of EVENT. */
function read(line: string): { kind: string; text?: string; isSame?: boolean } {
  // Other bytes stand around it, as in a file.
  const bytes = new TextEncoder().encode(`}\n${line}\n{`);
  const keys = new LineKeys();
  const kind = keys.read(bytes, 2, bytes.length - 2);
  if (kind !== "event") return { kind };
  const text = new TextDecoder().decode(bytes.subarray(keys.event.start, keys.event.end));
  return { kind, text, isSame: identityHex(keys.lanes) === keysOf(EVENT) };
}

function keysOf(event: string): string {
  const bytes = new TextEncoder().encode(event);
  const keys = new LineKeys();
  assertEquals(keys.read(bytes, 0, bytes.length), "event");
  return identityHex(keys.lanes);
}

/** The same event twice: for both ways of EventScan. */
const SPELLINGS = {
  "as the server writes it": EVENT,
  "with an escape and a space": EVENT.replace('"message":"S', '"message": "\\u0053'),
};

/** What stands around an event in its line. */
const WRAPPERS: Record<string, (event: string) => string> = {
  "nothing": (event) => event,
  "--wrap": (event) => `{"k8s":${event}}`,
  "--wrap and --cluster": (event) => `{"k8s":${event},"cluster":"prod"}`,
  "a name with quotes": (event) => `{"a\\"},\\"cluster\\":\\"b":${event},"cluster":"prod"}`,
  "a cluster that looks like a member": (event) =>
    `{"k8s":${event},"cluster":"{},\\"cluster\\":\\"\\\\"}`,
  "a name beyond ASCII": (event) => `{"événement":${event},"cluster":"größe"}`,
  "an empty name": (event) => `{"":${event}}`,
  "the name of a field of Event": (event) => `{"involvedObject":${event},"cluster":"prod"}`,
  "a name with a prototype": (event) => `{"__proto__":${event}}`,
  "the cluster in front": (event) => `{"cluster":"prod","k8s":${event}}`,
  "other members": (event) => `{"host":"n1","n":[1,{}],"k8s":${event},"cluster":{"a":null}}`,
  "whitespace": (event) => ` { "k8s" :\t${event} , "cluster" : "prod" } `,
  "an escaped key": (event) => `{"\\u006b8s":${event}}`,
  "eventrouter's ADDED": (event) => `{"verb":"ADDED","event":${event}}`,
  "eventrouter's UPDATED": (event) => `{"verb":"UPDATED","event":${event},"old_event":${OTHER}}`,
  "the old event in front": (event) => `{"old_event":${OTHER},"event":${event},"verb":"UPDATED"}`,
  "the same name twice, the last counts": (event) => `{"k8s":${OTHER},"k8s":${event}}`,
  "its name once with a cluster": (event) => `{"k8s":{"a":"b"},"cluster":"x","k8s":${event}}`,
};

for (const [spelling, event] of Object.entries(SPELLINGS)) {
  for (const [name, wrap] of Object.entries(WRAPPERS)) {
    Deno.test(`An event ${spelling}, is read out of a line with ${name}`, () => {
      assertEquals(read(wrap(event)), { kind: "event", text: event, isSame: true });
    });
  }
}

Deno.test("An object that is no single event is another line", () => {
  for (
    const line of [
      "{}",
      '{"k8s":{}}',
      '{"k8s":{"metadata":{}},"cluster":"prod"}',
      '{"k8s":{"metadata":{"resourceVersion":""}}}',
      '{"k8s":{"metadata":{"resourceVersion":"\\ud800"}}}',
      `{"a":${EVENT},"b":${OTHER}}`,
      `{"old_event":${EVENT}}`,
      `{"k8s":[${EVENT}]}`,
      `{"outer":{"k8s":${EVENT}}}`,
      `{"cluster":${EVENT},"cluster":"prod"}`,
      `{"k8s":${EVENT},"k8s":1}`,
    ]
  ) assertEquals(read(line), { kind: "other" }, line);
});

Deno.test("A line that is no JSON object is broken, also where an event stands in it", () => {
  for (
    const line of [
      "",
      "null",
      `[${EVENT}]`,
      `{"k8s":${EVENT}`,
      `{"k8s":${EVENT.slice(0, -1)}}`,
      `{"k8s":${EVENT}},`,
      `{"k8s":${EVENT},"cluster":"prod"`,
      `{"k8s":${EVENT},"cluster":"a"b"}`,
      `{"k8s":${EVENT},"cluster":}`,
      `{"k8s"${EVENT}}`,
      `{"k8s":x${EVENT}}`,
      `{"k8s\x01":${EVENT}}`,
      `"k8s":${EVENT}}`,
    ]
  ) assertEquals(read(line), { kind: "broken" }, line);
});

Deno.test("A wrapper takes no level of nesting from its event", () => {
  // The event and its field are levels too.
  const deep = (levels: number) =>
    EVENT.replace(
      '"message":',
      `"x":${"[".repeat(levels - 1)}${"]".repeat(levels - 1)},"message":`,
    );
  assertEquals(read(`{"k8s":${deep(1000)}}`).kind, "event");
  assertEquals(read(`{ "k8s":${deep(1000)}}`).kind, "event");
  assertEquals(read(`{"k8s":${deep(1001)}}`).kind, "broken");
});
