/** Catalogue: what happens to the bytes of a WATCH (faults 1 to 4, 10, 17 to 23, 39, 40). */
import { below, type CatalogueFault, insertion, oneOf, onWatches } from "./catalogue_parts.ts";
import { bookmarkLine, errorLine, type FaultAction, type RequestInfo } from "./faults.ts";
import type { FakeApiServer } from "./server.ts";
import { failure } from "./status.ts";

const encoder = new TextEncoder();

/** How many watches a fault of the stream hits by itself: more than make a LIST of it. */
const HITS = 4;

/** Cuts each of a few watches in the middle of a line. */
function cutting(how: "reset" | "fin" | "end", rest: FaultAction = {}): CatalogueFault["inject"] {
  return (server, random) =>
    onWatches(server, () => ({
      ...rest,
      cut: { events: below(random, 3), bytes: 1 + below(random, 400), how },
    }), HITS);
}

/** Replaces a line of each of a few watches. */
function mangling(mangle: (text: string) => string | Uint8Array, times = 1) {
  return ((server, random) => {
    const index = 1 + below(random, 3);
    return onWatches(server, {
      lines: (line) => [line.index === index ? mangle(line.text) : line.text],
    }, times);
  }) satisfies CatalogueFault["inject"];
}

/** Puts a line that means nothing good behind the first few of one watch. */
function inserting(...lines: (string | Uint8Array)[]): CatalogueFault["inject"] {
  return (server, random) =>
    onWatches(server, insertion(oneOf(random, lines), below(random, 3)), 1);
}

/** Writes into all open watches every few ms, until the end. */
function chattering(text: (server: FakeApiServer) => string): CatalogueFault["inject"] {
  return (server) => {
    const timer = setInterval(() => {
      for (const { answer } of server.watches) void answer.send(text(server));
    }, 20);
    return () => clearInterval(timer);
  };
}

/** One key more than the server has of an event: the same version as it was sent before. */
function lineOf(type: string, object: object): string {
  return `${JSON.stringify({ type, object: { kind: "Event", apiVersion: "v1", ...object } })}\n`;
}

function withVersion(request: RequestInfo, version: string): void {
  request.query.set("resourceVersion", version);
}

/** See the head of this file. */
export const STREAM_FAULTS: readonly CatalogueFault[] = [
  {
    number: 1,
    name: "TCP reset between two lines",
    hides: "nothing",
    inject: (server, random) =>
      onWatches(server, () => ({ cut: { events: below(random, 3), how: "reset" } }), HITS),
  },
  { number: 1, name: "TCP reset in a line", hides: "nothing", inject: cutting("reset") },
  {
    number: 1,
    name: "TCP reset in a UTF-8 sequence",
    hides: "nothing",
    inject: (server, random) => {
      const bytes = encoder.encode('{"type":"ADDED","object":{"message":"Grü').slice(0, -1);
      const events = below(random, 3);
      const cut = { events, bytes: bytes.length, how: "reset" } as const;
      return onWatches(server, { ...insertion(bytes, events), cut }, HITS);
    },
  },
  { number: 2, name: "FIN in a chunk", hides: "nothing", inject: cutting("fin") },
  {
    number: 2,
    name: "FIN without the last chunk",
    hides: "nothing",
    inject: (server, random) =>
      onWatches(server, () => ({ cut: { events: below(random, 3), how: "fin" } }), HITS),
  },
  {
    number: 2,
    name: "FIN short of the Content-Length",
    hides: "nothing",
    inject: cutting("fin", { framing: 1_000_000 }),
  },
  {
    number: 2,
    name: "Content-Length shorter than the body",
    hides: "nothing",
    inject: (server, random) =>
      onWatches(server, () => ({ framing: 1 + below(random, 3000) }), HITS),
  },
  {
    number: 3,
    name: "HTTP/1.0 body cut in a line",
    hides: "nothing",
    inject: cutting("fin", { framing: "eof" }),
  },
  {
    number: 4,
    name: "line broken in two, once",
    hides: "nothing",
    inject: mangling((text) => `${text.slice(0, 300)}\n${text.slice(300)}`),
  },
  {
    number: 4,
    name: "line broken in two by every watch",
    hides: "overwritten",
    inject: mangling((text) => `${text.slice(0, 300)}\n${text.slice(300)}`, Infinity),
  },
  {
    number: 10,
    name: "ERROR whose object is null or no Status",
    hides: "nothing",
    inject: inserting(errorLine(null), errorLine({ kind: "Pod" }), errorLine([] as object)),
  },
  {
    number: 10,
    name: "line of an unknown type or of none",
    hides: "nothing",
    inject: inserting('{"type":"FOO","object":{}}\n', '{"object":{}}\n', '{"type":7}\n'),
  },
  {
    number: 10,
    name: "object without metadata, or none",
    hides: "nothing",
    inject: inserting(
      '{"type":"ADDED","object":{"kind":"Event"}}\n',
      '{"type":"MODIFIED","object":{"metadata":null}}\n',
      '{"type":"DELETED"}\n',
    ),
  },
  {
    number: 17,
    name: "watches that end properly at once, without an event",
    hides: "nothing",
    inject: (server, random) =>
      onWatches(server, () => ({ cut: { events: 0, how: "end", delayMs: below(random, 50) } })),
  },
  {
    number: 18,
    name: "open watch that falls silent for ever",
    hides: "nothing",
    inject: (server) => server.dropConnections("silence"),
  },
  {
    number: 18,
    name: "watches that are silent for ever from their first or second line on",
    hides: "nothing",
    inject: (server, random) => {
      const cut = { events: below(random, 2), how: "silence" } as const;
      return onWatches(server, { ignoreTimeout: true, cut });
    },
  },
  {
    number: 18,
    name: "black hole: connections are accepted, and nothing is answered",
    hides: "nothing",
    inject: (server) => {
      server.dropConnections("silence");
      server.connections = "silent";
      return () => server.connections = "served";
    },
  },
  {
    number: 19,
    name: "header after a minute",
    hides: "nothing",
    inject: (server) => onWatches(server, { holdMs: 60_000 }),
  },
  {
    number: 19,
    name: "WATCH of one byte a second",
    hides: "nothing",
    inject: (server) =>
      onWatches(server, { trickle: { bytes: 1, delayMs: 1000, from: "body" } }, 2),
  },
  {
    number: 19,
    name: "line whose second half never comes",
    hides: "nothing",
    inject: (server, random) => {
      const cut = { events: below(random, 2), bytes: 100, how: "silence" } as const;
      return onWatches(server, { ignoreTimeout: true, cut }, 2);
    },
  },
  {
    number: 20,
    name: "bookmarks only, many",
    hides: "nothing",
    inject: chattering((server) => bookmarkLine(`${server.store.revision}`)),
  },
  {
    number: 20,
    name: "bookmarks with an old, an empty or a future version",
    hides: "nothing",
    inject: chattering((server) =>
      bookmarkLine("1") + bookmarkLine("") + bookmarkLine(`${server.store.revision + 1000n}`)
    ),
  },
  {
    number: 21,
    name: "initial events in key order that nobody asked for, cut before their end",
    hides: "overwritten",
    inject: (server, random) =>
      onWatches(server, (request) => {
        withVersion(request, "0");
        return { cut: { events: 1 + below(random, server.store.size), how: "reset" } };
      }, 1),
  },
  {
    number: 22,
    name: "watch that begins before the version it was asked for",
    hides: "nothing",
    inject: (server, random) =>
      onWatches(server, (request) => {
        const first = server.revisions[0]?.revision ?? 0n;
        // Beside it another fault may have made versions that are no numbers.
        const asked = BigInt(/\d+/.exec(request.query.get("resourceVersion") ?? "")?.[0] ?? 0);
        const span = Number(asked > first ? asked - first : 0n);
        withVersion(request, `${asked - BigInt(below(random, span + 1))}`);
        return {};
      }, 2),
  },
  {
    number: 23,
    name: "all versions of one event again",
    hides: "nothing",
    inject: (server, random) => {
      const { key } = oneOf(random, server.revisions);
      const versions = server.revisions.filter((each) => each.key === key);
      const text = versions.map(({ type, object }) => lineOf(type, object)).join("");
      for (const { answer } of server.watches) void answer.send(text);
    },
  },
  {
    number: 28,
    name: "DELETED of an event that nobody saw",
    hides: "nothing",
    inject: (server) => {
      const metadata = {
        name: "ghost",
        namespace: "nowhere",
        uid: crypto.randomUUID(),
        resourceVersion: `${server.store.revision}`,
      };
      const text = lineOf("DELETED", { metadata, message: "never shown" });
      for (const { answer } of server.watches) void answer.send(text);
    },
  },
  {
    number: 39,
    name: "segments of one byte",
    hides: "nothing",
    inject: (server) => onWatches(server, { trickle: { bytes: 1 } }, 1),
  },
  {
    number: 39,
    name: "segments of a few bytes",
    hides: "nothing",
    inject: (server, random) =>
      onWatches(server, { trickle: { bytes: 2 + below(random, 20), delayMs: 0 } }, 2),
  },
  {
    number: 39,
    name: "two lines in one segment",
    hides: "nothing",
    inject: (server) =>
      onWatches(server, () => {
        let held = "";
        return {
          lines: ({ text, index }) => {
            const both = held + text;
            held = index % 2 === 1 ? both : "";
            return index % 2 === 1 ? [] : [both];
          },
        };
      }),
  },
  {
    number: 40,
    name: "gzip that nobody asked for, a member each line",
    hides: "overwritten",
    inject: (server) => onWatches(server, { encoding: "gzip" }),
  },
  {
    number: 40,
    name: "br that nobody asked for",
    hides: "overwritten",
    inject: (server) => onWatches(server, { encoding: "br" }),
  },
  {
    number: 40,
    name: "gzip cut short",
    hides: "overwritten",
    inject: cutting("end", { encoding: "gzip" }),
  },
  {
    number: 40,
    name: "Content-Encoding that is not true",
    hides: "overwritten",
    inject: (server, random) =>
      onWatches(server, {
        headers: { "Content-Encoding": oneOf(random, ["gzip", "br", "zstd", "x"]) },
      }),
  },
];

/** ERROR 500 as etcd3/event.go gives it where the previous value is compacted. */
export const PREV_KV_NIL = errorLine(
  failure(500, "InternalError", "etcd event received with PrevKv=nil"),
);
