/**
 * Catalogue: what happens to events and their history (faults 24 to 37, 49, 50): restores, bursts,
 * odd contents, odd versions.
 */
import {
  below,
  type CatalogueFault,
  oneOf,
  onLists,
  onRequests,
  onWatches,
  type Random,
} from "./catalogue_parts.ts";
import type { JsonObject, StoredEvent } from "./event.ts";
import { statusAnswer } from "./faults.ts";
import { sampleEvent, sampleSeriesEvent } from "./sample.ts";
import type { FakeApiServer } from "./server.ts";

let made = 0;

/** A name that no event has had. */
function freshName(): string {
  return `odd-${++made}.17b3c4d5e6f70809`;
}

function create(server: FakeApiServer, fields: JsonObject = {}, namespace = "odd"): StoredEvent {
  return server.store.create(sampleEvent(namespace, freshName(), fields));
}

/** Any event that lives; one is made where there is none. */
function someEvent(server: FakeApiServer, random: Random): StoredEvent {
  const { storage, revision } = server.store;
  const { events } = storage.range({
    ...{ prefix: "", start: "", at: revision, limit: null, matches: () => true },
  });
  return events.length === 0 ? create(server) : oneOf(random, events);
}

/** A revision that etcd can be put back to. */
function earlier(server: FakeApiServer, random: Random): bigint {
  const { storage, revision } = server.store;
  const first = server.revisions[0]?.revision ?? revision;
  const oldest = storage.compacted > first ? storage.compacted : first;
  const span = Number(revision - oldest);
  return revision - BigInt(1 + below(random, Math.max(Math.min(span, 1000) - 1, 1)));
}

/** Sends the lines of the next watches otherwise. */
function mangledLines(
  mangle: (text: string) => string | Uint8Array,
  times: number,
): CatalogueFault["inject"] {
  return (server) => onWatches(server, { lines: ({ text }) => [mangle(text)] }, times);
}

function insertedBytes(bytes: string | Uint8Array): CatalogueFault["inject"] {
  return (server, random) => onWatches(server, { insert: [{ after: below(random, 3), bytes }] }, 1);
}

/** A JSON text with whitespace between its tokens, as a debugging proxy shows it. */
function pretty(text: string): string {
  return `${JSON.stringify(JSON.parse(text), null, 2)}\n`;
}

/** The first in a line: that of its event, not of the object that it is about. */
const VERSION = /"resourceVersion":"(\d+)"/;

const encoder = new TextEncoder();
const NOT_UTF8 = new Uint8Array([...encoder.encode('{"type":"ADDED","object":{"a":"'), 0xff, 0x0a]);

/** See the head of this file. */
export const HISTORY_FAULTS: readonly CatalogueFault[] = [
  {
    number: 24,
    name: "etcd restored from an older copy, the API server restarted",
    hides: "unseen",
    inject: (server, random) => {
      server.store.rewindTo(earlier(server, random));
      server.dropConnections("reset");
    },
  },
  {
    number: 25,
    name: "etcd restored, its revision raised and marked compacted",
    hides: "unseen",
    inject: (server, random) => {
      const before = server.store.revision;
      server.store.rewindTo(earlier(server, random));
      server.store.bump(before + 1_000_000_000n);
      server.store.compact();
      server.dropConnections("reset");
    },
  },
  {
    number: 26,
    name: "etcd restored from an older copy under an open watch",
    hides: "unseen",
    inject: (server, random) => server.store.rewindTo(earlier(server, random)),
  },
  {
    number: 27,
    name: "TTL burst: up to 1000 DELETED under one version, the stream cut in it",
    hides: "nothing",
    inject: (server, random) => {
      const count = Math.min(server.store.size, 1000);
      const cut = {
        events: below(random, count),
        bytes: below(random, 300),
        how: "reset",
      } as const;
      const end = onWatches(server, { cut }, 1);
      server.store.expire(count);
      return end;
    },
  },
  {
    number: 28,
    name: "event deleted and made again with a higher count",
    hides: "nothing",
    inject: (server, random) => {
      const { metadata: { namespace, name }, count } = someEvent(server, random);
      server.store.delete(namespace, name);
      server.store.create(sampleEvent(namespace, name, { count: Number(count ?? 1) + 1 }));
    },
  },
  {
    number: 29,
    name: "one name and count in two namespaces",
    hides: "nothing",
    inject: (server) => {
      const name = freshName();
      for (const namespace of ["odd-a", "odd-b"]) {
        server.store.create(sampleEvent(namespace, name, { count: 7 }));
      }
    },
  },
  {
    number: 29,
    name: "event made again under its name with count 1",
    hides: "nothing",
    inject: (server) => {
      const { metadata: { namespace, name } } = create(server, { count: 4 });
      server.store.delete(namespace, name);
      server.store.create(sampleEvent(namespace, name, { message: `made again: ${name}` }));
    },
  },
  {
    number: 30,
    name: "series from none to 2 to 57, then written again unchanged",
    hides: "nothing",
    inject: (server) => {
      const name = freshName();
      server.store.create(sampleSeriesEvent("odd", name));
      server.store.series("odd", name, 2);
      server.store.series("odd", name, 57);
      server.store.annotate("odd", name, { again: "1" });
    },
  },
  {
    number: 31,
    name: "writes of metadata alone: annotation, managedFields, finalizer and deletion",
    hides: "nothing",
    inject: (server) => {
      const name = freshName();
      const event = sampleEvent("odd", name);
      const metadata = { name, namespace: "odd", finalizers: ["example.com/held"] };
      server.store.create({ ...event, metadata });
      server.store.annotate("odd", name, { note: "1" });
      server.store.patch("odd", name, { metadata: { labels: { by: "x" } } }, { manager: "other" });
      server.store.delete("odd", name);
      server.store.patch("odd", name, { metadata: { finalizers: null } });
    },
  },
  {
    number: 32,
    name: "new message under the same count",
    hides: "nothing",
    inject: (server) => {
      const { metadata: { namespace, name } } = create(server);
      for (const message of ["(combined from similar events): a", "b"]) {
        server.store.patch(namespace, name, { message });
      }
    },
  },
  {
    number: 33,
    name: "count that jumps from 3 to 9",
    hides: "nothing",
    inject: (server) => {
      const { metadata: { namespace, name } } = create(server, { count: 3 });
      server.store.repeat(namespace, name, 6);
    },
  },
  {
    number: 34,
    name: "messages of 64 KiB and of 1.4 MiB of control bytes",
    hides: "nothing",
    inject: (server) => {
      create(server, { message: "m".repeat(64 * 1024) });
      create(server, { message: "\u0001".repeat(1.4 * 1024 * 1024) });
    },
  },
  {
    number: 34,
    name: "line over the longest, by one watch",
    hides: "nothing",
    inject: (server) => {
      const bytes = `{"type":"ADDED","object":{"message":"${"x".repeat(17 * 1024 * 1024)}"}}\n`;
      return onWatches(server, { insert: [{ after: 1, bytes }] }, 1);
    },
  },
  {
    number: 35,
    name: "bytes that are no UTF-8",
    hides: "nothing",
    inject: insertedBytes(NOT_UTF8),
  },
  {
    number: 35,
    name: "lone surrogates and line separators in a message",
    hides: "nothing",
    inject: (server) => {
      create(server, { message: "high \ud83d low \ude80 all" });
      create(server, { message: "a\u2028b\u2029c\u0085d\ve\ff\u001cg" });
    },
  },
  {
    number: 35,
    name: "NUL or a BOM between lines",
    hides: "nothing",
    inject: (server, random) =>
      insertedBytes(oneOf(random, ["\u0000\n", "\ufeff\n"]))(server, random),
  },
  {
    number: 35,
    name: "lines that end in CRLF, and blank lines",
    hides: "nothing",
    inject: mangledLines((text) => `${text.trimEnd()}\r\n\n \r\n`, 2),
  },
  {
    number: 35,
    name: "JSON over several lines",
    hides: "overwritten",
    inject: mangledLines(pretty, Infinity),
  },
  {
    number: 36,
    name: "annotations named __proto__ and like numbers",
    hides: "nothing",
    inject: (server) => {
      const { metadata: { namespace, name } } = create(server);
      const annotations = JSON.parse('{"__proto__":"a","10":"b","2":"c","constructor":"d"}');
      server.store.annotate(namespace, name, annotations);
    },
  },
  {
    number: 36,
    name: "versions beyond 2^53, or of 128 bits",
    hides: "nothing",
    inject: (server, random) => {
      const { revision } = server.store;
      const bits = revision > 2n ** 64n ? 127n : oneOf(random, [60n, 127n]);
      if (revision < 2n ** bits) server.store.bump(2n ** bits);
    },
  },
  {
    number: 36,
    name: "versions that are no numbers",
    hides: "overwritten",
    inject: mangledLines((text) => text.replace(VERSION, '"resourceVersion":"v$1"'), 2),
  },
  {
    number: 36,
    name: "versions that are empty",
    hides: "overwritten",
    inject: mangledLines((text) => text.replace(VERSION, '"resourceVersion":""'), 2),
  },
  {
    number: 37,
    name: "count, timestamps and source that are null, absent or empty",
    hides: "nothing",
    inject: (server) => {
      const bare = { count: null, firstTimestamp: null, lastTimestamp: null, source: null };
      create(server, bare);
      create(server, { ...bare, source: {}, message: "empty source" });
    },
  },
  {
    number: 49,
    name: "all events deleted while the server was out of reach for a short time",
    hides: "nothing",
    inject: (server) => outOfReach(server, () => server.store.deleteAll(null)),
  },
  {
    number: 49,
    name: "all events deleted while the server was out of reach for longer than its history",
    hides: "unseen",
    inject: (server) =>
      outOfReach(server, () => {
        server.store.deleteAll(null);
        server.store.compact();
      }),
  },
  {
    number: 50,
    name: "event written twice while page 1 is served, and 410 on page 2",
    hides: "overwritten",
    inject: (server, random) => {
      const { metadata: { namespace, name } } = someEvent(server, random);
      const gone = statusAnswer(410, "Expired", "The provided continue parameter is too old");
      const onPage2 = { match: { verb: "list" as const, page: 2 }, action: gone };
      const withdraw = onRequests(server, onPage2);
      const end = onLists(
        server,
        () => {
          server.store.repeat(namespace, name);
          server.store.repeat(namespace, name);
          return {};
        },
        { page: 1 },
        1,
      );
      return () => {
        withdraw();
        end();
      };
    },
  },
];

/** Connections are reset from the change on, until the end. */
function outOfReach(server: FakeApiServer, change: () => void): () => void {
  server.connections = "reset";
  server.dropConnections("reset");
  change();
  return () => server.connections = "served";
}
