/** Catalogue: what the server answers instead of events (faults 5 to 9, 11, 12, 15, 42, 44, 45). */
import {
  below,
  type CatalogueFault,
  insertion,
  oneOf,
  onLists,
  onRequests,
  onWatches,
} from "./catalogue_parts.ts";
import { PREV_KV_NIL } from "./catalogue_stream.ts";
import { errorLine, type FaultAction, statusAnswer, tooManyRequests } from "./faults.ts";
import type { FakeApiServer } from "./server.ts";
import { failure } from "./status.ts";

const GONE_TEXT = "The resourceVersion for the provided watch is too old.";

/** ERROR 410: Expired, or Gone before Kubernetes 1.18. */
function gone(reason: string): string {
  return errorLine(failure(410, reason, GONE_TEXT));
}

/** Ends watches and answers every request like this until the end. */
function everyAnswer(action: () => FaultAction): CatalogueFault["inject"] {
  return (server) => {
    const withdraw = onRequests(server, { match: {}, times: Infinity, action });
    server.dropConnections("end");
    return withdraw;
  };
}

function page(status: number, type: string, body: string, headers = {}): FaultAction {
  return { respond: { status, headers: { "Content-Type": type, ...headers }, body } };
}

function onLaterPages(action: FaultAction | (() => FaultAction), times: number) {
  return ((server: FakeApiServer) =>
    onLists(server, action, { when: ({ page }) => page > 1 }, times)) satisfies CatalogueFault[
      "inject"
    ];
}

function tooManyOf(retryAfter: string | null, times: number): CatalogueFault["inject"] {
  return (server) => {
    const action = tooManyRequests(retryAfter);
    const withdraw = onRequests(server, { match: {}, times, action });
    server.dropConnections("end");
    return withdraw;
  };
}

const HTML = "<!DOCTYPE html><html><title>Log in</title></html>";

/** See the head of this file. */
export const ANSWER_FAULTS: readonly CatalogueFault[] = [
  {
    number: 5,
    name: "ERROR 410 Expired as the first line",
    hides: "overwritten",
    inject: (server, random) =>
      onWatches(server, insertion(gone("Expired"), 0), 1 + below(random, 3)),
  },
  {
    number: 5,
    name: "ERROR 410 Gone as the first line",
    hides: "overwritten",
    inject: (server, random) => onWatches(server, insertion(gone("Gone"), 0), 1 + below(random, 3)),
  },
  {
    number: 5,
    name: "ERROR 410 in mid stream",
    hides: "overwritten",
    inject: (server, random) =>
      onWatches(
        server,
        insertion(gone(oneOf(random, ["Expired", "Gone"])), 1 + below(random, 3)),
        2,
      ),
  },
  {
    number: 6,
    name: "HTTP 410 on a WATCH",
    hides: "overwritten",
    inject: (server, random) =>
      onWatches(server, statusAnswer(410, "Expired", GONE_TEXT), 1 + below(random, 3)),
  },
  {
    number: 6,
    name: "HTTP 410 on a later page of a LIST, with a token to go on inconsistently",
    hides: "overwritten",
    inject: (server, random) => {
      const compact = () => {
        server.store.bump(server.store.revision + 1n);
        server.store.compact();
        return {};
      };
      return onLaterPages(compact, 1 + below(random, 2))(server);
    },
  },
  {
    number: 6,
    name: "HTTP 410 on a later page of a LIST, without a token",
    hides: "overwritten",
    inject: (server, random) =>
      onLaterPages(statusAnswer(410, "Expired", GONE_TEXT), 1 + below(random, 2))(server),
  },
  {
    number: 7,
    name: "every watch is refused by 410 (compaction storm)",
    hides: "overwritten",
    inject: (server) => onWatches(server, insertion(gone("Expired"), 0)),
  },
  {
    number: 8,
    name: "ERROR 500 PrevKv=nil by every watch",
    hides: "overwritten",
    inject: (server) => onWatches(server, insertion(PREV_KV_NIL, 0)),
  },
  {
    number: 9,
    name: "504 ResourceVersionTooLarge on a WATCH, as ERROR or HTTP",
    hides: "overwritten",
    inject: (server, random) => {
      const text = "Timeout: Too large resource version: 900, current: 800";
      const action = oneOf(random, [
        insertion(errorLine(failure(504, "Timeout", text)), 0),
        statusAnswer(504, "Timeout", text),
      ]);
      return onWatches(server, action, 1 + below(random, 3));
    },
  },
  {
    number: 9,
    name: "504 ResourceVersionTooLarge on a LIST",
    hides: "overwritten",
    inject: (server) =>
      onLists(
        server,
        statusAnswer(504, "Timeout", "Timeout: Too large resource version: 900, current: 800"),
        {},
        2,
      ),
  },
  {
    number: 11,
    name: "500, 502 or 503 on a later page of a LIST",
    hides: "overwritten",
    inject: (server, random) => {
      const code = oneOf(random, [500, 502, 503]);
      return onLaterPages(statusAnswer(code, "", "no luck"), 1 + below(random, 4))(server);
    },
  },
  { number: 12, name: "429 without Retry-After", hides: "nothing", inject: tooManyOf(null, 4) },
  { number: 12, name: "429, Retry-After 1", hides: "nothing", inject: tooManyOf("1", 1) },
  {
    number: 12,
    name: "429, Retry-After 32",
    hides: "nothing",
    isSlow: true,
    inject: tooManyOf("32", 1),
  },
  {
    number: 12,
    name: "429, Retry-After 86400",
    hides: "nothing",
    isSlow: true,
    inject: tooManyOf("86400", 1),
  },
  { number: 12, name: "429, Retry-After -5", hides: "nothing", inject: tooManyOf("-5", 4) },
  {
    number: 12,
    name: "429, Retry-After as a date",
    hides: "nothing",
    inject: (server) => tooManyOf(new Date(Date.now() + 2000).toUTCString(), 1)(server, () => 0),
  },
  {
    number: 12,
    name: "429, Retry-After as a date that is past",
    hides: "nothing",
    inject: tooManyOf("Wed, 21 Oct 2015 07:28:00 GMT", 4),
  },
  {
    number: 15,
    name: "rights taken away and given back",
    hides: "nothing",
    inject: (server, random) => {
      const { allow } = server.auth;
      allow.watch = false;
      allow.list = random() < 0.5;
      server.dropConnections("end");
      return () => void Object.assign(allow, { list: true, watch: true });
    },
  },
  {
    number: 42,
    name: "a login page with status 200",
    hides: "nothing",
    inject: everyAnswer(() => page(200, "text/html", HTML)),
  },
  {
    number: 42,
    name: "redirects to another host",
    hides: "nothing",
    inject: everyAnswer(() => page(302, "text/html", HTML, { Location: "http://127.0.0.1:1/" })),
  },
  {
    number: 42,
    name: "a proxy's 407 and 504",
    hides: "nothing",
    inject: (server, random) =>
      everyAnswer(() => page(oneOf(random, [407, 504]), "text/html", HTML))(server, random),
  },
  {
    number: 44,
    name: "a replica that lags by 50 revisions",
    hides: "overwritten",
    inject: (server) => {
      const first = server.revisions[0]?.revision ?? 0n;
      const behind = server.store.revision - 50n;
      const lagging = behind > first ? behind : first;
      // It lists what it has, and its watches are silent until it has caught up.
      const withdraw = onRequests(server, {
        match: { verb: "list", page: 1 },
        times: Infinity,
        action: ({ query }) => {
          query.set("resourceVersion", `${lagging}`);
          query.set("resourceVersionMatch", "Exact");
          return {};
        },
      }, {
        match: { verb: "watch" },
        times: Infinity,
        action: { cut: { events: 0, how: "silence" } },
      });
      server.dropConnections("reset");
      return () => {
        withdraw();
        // Connections to the replica that lagged are not served by the other one.
        server.dropConnections("reset");
      };
    },
  },
  {
    number: 45,
    name: "pages of a LIST whose versions differ",
    hides: "overwritten",
    inject: (server, random) =>
      onLaterPages({
        body: (text) => text.replace(/"resourceVersion":"\d+"/, '"resourceVersion":"9"'),
      }, 1 + below(random, 2))(server),
  },
];
