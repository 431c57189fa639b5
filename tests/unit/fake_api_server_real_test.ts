/**
 * The fake API server against a real kube-apiserver: the same requests to both must get the same
 * status, headers and bodies, but for what differs by nature (uids, times, absolute revisions).
 */
import { assertEquals } from "@std/assert";
import type { JsonObject } from "../fake/event.ts";
import { sampleEvent, sampleSeriesEvent } from "../fake/sample.ts";
import { startFakeApiServer } from "../fake/server.ts";
import { type ApiServerAccess, sharedApiServer } from "../real/api_server.ts";
import { API_SERVER_HOW } from "../real/assets.ts";
import { needing } from "../support/skip.ts";

interface Step {
  title: string;
  method?: string;
  path: string;
  body?: JsonObject | string;
  type?: string;
  token?: string | null;
}

interface Server {
  url: string;
  token: string;
  client: Deno.HttpClient;
}

const NS = `fake-compare-${crypto.randomUUID().slice(0, 8)}`;
const BASE = `/api/v1/namespaces/${NS}/events`;
const MERGE = "application/merge-patch+json";
/** Compacted everywhere, and not reached anywhere. */
const OLD = "1";
const FUTURE = "999999999";

function tokenAt(revision: number, start: string): string {
  const text = JSON.stringify({ v: "meta.k8s.io/v1", rv: revision, start });
  return btoa(text).replaceAll("=", "");
}

function patch(title: string, name: string, body: JsonObject, type = MERGE): Step {
  return { title, method: "PATCH", path: `${BASE}/${name}`, body, type };
}

function post(title: string, body: JsonObject | string, path = BASE): Step {
  return { title, method: "POST", path, body };
}

function bare(name: string, fields: JsonObject = {}): JsonObject {
  return { metadata: { name }, involvedObject: { namespace: NS }, ...fields };
}

/** All control characters, and what Go escapes or replaces. */
const TEXT = Array.from({ length: 32 }, (_, i) => String.fromCharCode(i)).join("") +
  '\x7f\x85\u2028\u2029\ufeff\u{1f600}<>&/"\\\ud800';

/** Only its status is compared: the real one has managedFields too. */
const SETUP = post("namespace", { metadata: { name: NS } }, "/api/v1/namespaces");

const WRITES: Step[] = [
  post("namespace again", { metadata: { name: NS } }, "/api/v1/namespaces"),
  post("kubelet's event", sampleEvent(NS, "e1")),
  post("scheduler's event", sampleSeriesEvent(NS, "e2")),
  post("minimal", bare("e3")),
  post("control characters and maps", {
    ...bare("e4", { message: TEXT, reason: "\udc00x" }),
    metadata: {
      name: "e4",
      labels: { "10": "a", "9": "b" },
      annotations: { b: "1", "10": "2", a: "<" },
    },
  }),
  post("times in other zones", bare("e5", { firstTimestamp: "2026-01-01T01:00:00.9+02:00" })),
  post("name taken", sampleEvent(NS, "e1")),
  post("no name", bare("")),
  post("another namespace", { ...bare("x"), metadata: { name: "x", namespace: "other" } }),
  post("about another namespace", { ...bare("x"), involvedObject: { namespace: "other" } }),
  post("with a resourceVersion", { ...bare("x"), metadata: { name: "x", resourceVersion: "5" } }),
  post("cluster scope", bare("x"), "/api/v1/events"),
  patch("count", "e1", { count: 2, lastTimestamp: "2026-01-02T03:05:05Z" }),
  patch("nothing new", "e1", { count: 2 }),
  patch("series", "e2", { series: { count: 2, lastObservedTime: "2026-01-02T03:05:05.000001Z" } }),
  patch("series count", "e2", { series: { count: 57 } }),
  patch("strategic", "e1", { count: 3 }, "application/strategic-merge-patch+json"),
  patch("annotation", "e1", { metadata: { annotations: { note: "x", "9": "y" } } }),
  patch("annotation gone", "e1", { metadata: { annotations: { note: null } } }),
  patch("message gone", "e3", { message: null, reason: "Now" }),
  patch("unknown type", "e1", { count: 4 }, "application/foo"),
  patch("nobody", "nobody", { count: 4 }),
  patch("stale", "e1", { metadata: { resourceVersion: "5" }, count: 9 }),
  patch("another name", "e1", { metadata: { name: "zz" } }),
  { title: "replace", method: "PUT", path: `${BASE}/e3`, body: bare("e3", { message: "put" }) },
  { title: "create by PUT", method: "PUT", path: `${BASE}/e6`, body: bare("e6") },
  {
    title: "stale PUT",
    method: "PUT",
    path: `${BASE}/e6`,
    body: { ...bare("e6"), metadata: { name: "e6", resourceVersion: "5" } },
  },
  { title: "PUT of another", method: "PUT", path: `${BASE}/e6`, body: bare("e7") },
  patch("finalizer", "e6", { metadata: { finalizers: ["example.com/hold"] } }),
  { title: "delete held", method: "DELETE", path: `${BASE}/e6` },
  patch("finalizer gone", "e6", { metadata: { finalizers: null } }),
  { title: "delete", method: "DELETE", path: `${BASE}/e5` },
  { title: "delete nobody", method: "DELETE", path: `${BASE}/e5` },
];

const READS: Step[] = [
  { title: "get", path: `${BASE}/e4` },
  { title: "get nobody", path: `${BASE}/nobody` },
  { title: "list", path: BASE },
  { title: "page", path: `${BASE}?limit=2` },
  { title: "page with a selector", path: `${BASE}?limit=1&fieldSelector=metadata.name!%3De1` },
  { title: "no limit", path: `${BASE}?limit=-1` },
  { title: "bad limit", path: `${BASE}?limit=x` },
  { title: "old token", path: `${BASE}?continue=${tokenAt(1, "e1\0")}` },
  { title: "inconsistent token", path: `${BASE}?limit=1&continue=${tokenAt(-1, "e1\0")}` },
  { title: "future token", path: `${BASE}?continue=${tokenAt(Number(FUTURE), "e1\0")}` },
  { title: "token and RV", path: `${BASE}?continue=${tokenAt(1, "e1\0")}&resourceVersion=5` },
  { title: "old, exact", path: `${BASE}?resourceVersion=${OLD}&resourceVersionMatch=Exact` },
  { title: "old, with a limit", path: `${BASE}?resourceVersion=${OLD}&limit=1` },
  {
    title: "old, not older",
    path: `${BASE}?resourceVersion=${OLD}&resourceVersionMatch=NotOlderThan`,
  },
  { title: "match alone", path: `${BASE}?resourceVersionMatch=Exact` },
  { title: "future", path: `${BASE}?resourceVersion=${FUTURE}` },
  { title: "RV 0", path: `${BASE}?resourceVersion=0&limit=1` },
  { title: "bad RV", path: `${BASE}?resourceVersion=abc` },
  { title: "type", path: `${BASE}?fieldSelector=type%3DWarning` },
  { title: "kind", path: `${BASE}?fieldSelector=involvedObject.kind!%3DPod,` },
  { title: "source", path: `${BASE}?fieldSelector=source%3Ddefault-scheduler` },
  { title: "bad field", path: `${BASE}?fieldSelector=foo%3D1` },
  { title: "bad selector", path: `${BASE}?fieldSelector=foo` },
  { title: "bad path", path: "/api/v1/nothing" },
  { title: "watch, all of it", path: `${BASE}?watch=1&timeoutSeconds=1&resourceVersion=START` },
  {
    title: "watch with a selector",
    path: `${BASE}?watch=1&timeoutSeconds=1&resourceVersion=START&fieldSelector=type!%3DNormal`,
  },
  { title: "watch from unset", path: `${BASE}?watch=1&timeoutSeconds=1` },
  {
    title: "watch from 0",
    path: `${BASE}?watch=1&timeoutSeconds=1&resourceVersion=0&allowWatchBookmarks=true`,
  },
  { title: "watch an old RV", path: `${BASE}?watch=1&timeoutSeconds=1&resourceVersion=${OLD}` },
  {
    title: "watch a future RV",
    path: `${BASE}?watch=1&timeoutSeconds=1&resourceVersion=${FUTURE}`,
  },
  { title: "watch a bad RV", path: `${BASE}?watch=1&timeoutSeconds=1&resourceVersion=abc` },
  {
    title: "watch with match",
    path: `${BASE}?watch=1&resourceVersion=5&resourceVersionMatch=NotOlderThan`,
  },
  {
    title: "watch list",
    path:
      `${BASE}?watch=true&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
  },
  { title: "bad timeout", path: `${BASE}?watch=1&timeoutSeconds=x&resourceVersion=1` },
  { title: "bad token", path: BASE, token: "nobody" },
  { title: "anonymous list", path: BASE, token: null },
  { title: "anonymous watch", path: "/api/v1/events?watch=1", token: null },
  { title: "anonymous get", path: `${BASE}/e1`, token: null },
];

/** Sends one step and gives everything about the answer that must be alike. */
async function answerOf(server: Server, step: Step, start: string): Promise<JsonObject> {
  const { method = "GET", body } = step;
  const headers = new Headers({ "user-agent": "compare/1", "accept-encoding": "identity" });
  const credential = step.token === undefined ? server.token : step.token;
  if (credential !== null) headers.set("authorization", `Bearer ${credential}`);
  if (body !== undefined) headers.set("content-type", step.type ?? "application/json");
  const path = step.path.replace("START", start);
  const response = await fetch(server.url + path, {
    method,
    headers,
    client: server.client,
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const names = [...response.headers.keys()].sort();
  const type = response.headers.get("content-type");
  return { status: response.status, headers: names, type, text: await response.text() };
}

/** Replaces what differs by nature; revisions become their order of appearance on this server. */
function normalised(answer: JsonObject, revisions: Map<string, string>): JsonObject {
  const nth = (revision: string) => {
    const known = revisions.get(revision) ?? `rv${revisions.size}`;
    revisions.set(revision, known);
    return known;
  };
  // Others write to the real server, so that of a LIST or BOOKMARK is only "the present one".
  const current = /"(?:EventList|BOOKMARK)",.*?"metadata":\{"resourceVersion":"(\d+)"/g;
  let present = "";
  const text = String(answer.text)
    .replaceAll(current, (part, value) => {
      present = value;
      return part.replace(/"\d+"$/, '"PRESENT"');
    })
    .replaceAll(/"continue":"([^"]*)"/g, (_, value) => {
      const { rv, start } = JSON.parse(atob(value));
      return `"continue":"${String(rv) === present ? "PRESENT" : rv} ${start}"`;
    })
    // 1234 stands in involvedObject: the writer's own.
    .replaceAll(
      /("resourceVersion":")(?!1234")(\d+)"/g,
      (_, name, value) => `${name}${nth(value)}"`,
    )
    .replaceAll(/current: \d+/g, "current: N")
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UID")
    .replaceAll(/("(?:creationTimestamp|deletionTimestamp|time)":")[^"]*"/g, '$1TIME"');
  return { ...answer, text };
}

/** Makes sure that OLD is compacted; the real server does so only every five minutes. */
async function compactBeginning(real: ApiServerAccess): Promise<void> {
  const request = { method: "POST", body: JSON.stringify({ revision: "3" }) };
  // An error says that it is compacted further already.
  await (await fetch(`${real.etcdUrl}/v3/kv/compaction`, request)).body?.cancel();
}

/** The namespace never goes away without a controller manager, so its events are deleted. */
async function cleanUp(server: Server): Promise<void> {
  for (const path of [BASE, `/api/v1/namespaces/${NS}`]) {
    await answerOf(server, { title: "clean up", method: "DELETE", path }, "");
  }
}

Deno.test(needing(
  sharedApiServer(),
  API_SERVER_HOW,
  "the fake API server answers as a real kube-apiserver does",
  async (real, t) => {
    await compactBeginning(real);
    const fake = await startFakeApiServer({ tokens: { admin: "admin" } });
    fake.store.bump(500);
    fake.store.compact();
    using open = Deno.createHttpClient({ http2: false });
    using trusting = Deno.createHttpClient({ http2: false, caCerts: [real.ca] });
    const reference: Server = { url: real.url, token: real.adminToken, client: trusting };
    const servers: Server[] = [{ url: fake.url, token: "admin", client: open }, reference];
    const revisions = [new Map<string, string>(), new Map<string, string>()];
    const starts = ["", ""];
    try {
      for (const server of servers) {
        assertEquals((await answerOf(server, SETUP, "")).status, 201);
      }
      for (const step of [...WRITES, ...READS]) {
        await t.step(step.title, async () => {
          const [ours = {}, theirs = {}] = await Promise.all(
            servers.map(async (server, index) => {
              const answer = await answerOf(server, step, starts[index] ?? "");
              starts[index] ||= /"resourceVersion":"(\d+)"/.exec(String(answer.text))?.[1] ?? "";
              return normalised(answer, revisions[index] ?? new Map());
            }),
          );
          assertEquals(ours, theirs);
        });
      }
    } finally {
      await fake.close();
      await cleanUp(reference);
    }
  },
));
