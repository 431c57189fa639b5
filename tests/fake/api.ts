/**
 * The paths of the API that the fake knows, and what each does. No sockets: requests come in as
 * {@linkcode RequestInfo}, what goes out is a text or a thrown {@linkcode ApiError}.
 */
import { isObject, type JsonObject, objectText, parseObject, type StoredEvent } from "./event.ts";
import type { EventStore, WriteOptions } from "./events.ts";
import type { RequestInfo, Verb } from "./faults.ts";
import { Lister } from "./list.ts";
import { mismatch } from "./rules.ts";
import {
  alreadyExists,
  badRequest,
  methodNotAllowed,
  notFound,
  unknownPath,
  unsupportedMediaType,
} from "./status.ts";

/** What is answered, apart from headers. */
export interface Reply {
  status: number;
  text: string;
  contentType: string;
}

const EVENTS = /^\/api\/v1\/(?:namespaces\/([^/]+)\/)?events(?:\/([^/]+))?$/;
const NAMESPACES = /^\/api\/v1\/namespaces(?:\/([^/]+))?$/;
const MERGE_PATCHES = ["application/merge-patch+json", "application/strategic-merge-patch+json"];

/** What a request asks for, from its first line. `pageOf` tells the page of a continue token. */
export function describe(
  method: string,
  target: string,
  headers: ReadonlyMap<string, string>,
  pageOf: (query: URLSearchParams) => number,
): RequestInfo {
  const url = new URL(target, "http://fake");
  const query = url.searchParams;
  const match = EVENTS.exec(url.pathname);
  const namespace = match?.[1] === undefined ? null : decodeURIComponent(match[1]);
  const name = match?.[2] === undefined ? null : decodeURIComponent(match[2]);
  const verb = match === null ? "other" : verbOf(method, name, query);
  const page = verb === "list" ? pageOf(query) : 1;
  return { verb, method, path: url.pathname, query, headers, namespace, name, page };
}

function verbOf(method: string, name: string | null, query: URLSearchParams): Verb {
  const watch = query.get("watch");
  switch (method) {
    case "GET":
      if (name !== null) return "get";
      return watch !== null && watch !== "0" && watch !== "false" ? "watch" : "list";
    case "POST":
      return "create";
    case "PUT":
      return "update";
    case "PATCH":
      return "patch";
    case "DELETE":
      return name === null ? "deletecollection" : "delete";
    default:
      return "other";
  }
}

/** Everything but WATCH. */
export class Api {
  readonly lister: Lister;
  #store: EventStore;
  #namespaces = new Map<string, JsonObject>();

  constructor(store: EventStore, pageMax: number | null) {
    this.#store = store;
    this.lister = new Lister(store.storage, pageMax);
  }

  /** Does what a request asks for. @throws ApiError */
  reply(request: RequestInfo, body: string): Reply {
    const { verb, namespace, name } = request;
    if (verb === "other") return this.#other(request, body);
    if (verb === "list") return json(200, this.lister.list(request));
    if (verb === "get" && namespace !== null && name !== null) {
      return json(200, `${objectText(this.#store.get(namespace, name))}\n`);
    }
    return this.#write(request, body);
  }

  #write(request: RequestInfo, body: string): Reply {
    const { verb, namespace, name } = request;
    if (verb === "deletecollection") {
      const deleted = this.lister.list(request);
      this.#store.deleteAll(namespace);
      return json(200, deleted);
    }
    if (namespace === null || (verb === "create") !== (name === null)) throw methodNotAllowed();
    const options: WriteOptions = { manager: managerOf(request.headers) };
    if (verb === "delete") return json(200, this.#deletion(namespace, name ?? ""));
    if (verb === "patch") {
      const type = request.headers.get("content-type")?.split(";")[0]?.trim() ?? "";
      if (!MERGE_PATCHES.includes(type)) throw unsupportedMediaType();
      const patch = parseObject(body);
      return written(200, this.#store.patch(namespace, name ?? "", patch, options));
    }
    const input = inNamespace(parseObject(body), namespace);
    if (verb === "create") return written(201, this.#store.create(input, options));
    const asked = isObject(input.metadata) ? String(input.metadata.name ?? "") : "";
    if (asked !== name) throw badRequest(mismatch(asked, name ?? ""));
    const isNew = this.#store.storage.get(`${namespace}/${name}`) === undefined;
    return written(isNew ? 201 : 200, this.#store.update(input, options));
  }

  #deletion(namespace: string, name: string): string {
    const deleted = this.#store.delete(namespace, name);
    if (deleted.metadata.finalizers !== undefined) return `${objectText(deleted)}\n`;
    const { uid } = deleted.metadata;
    const details = { name, kind: "events", uid };
    const head = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details };
    return `${JSON.stringify(head)}\n`;
  }

  #other(request: RequestInfo, body: string): Reply {
    const { path, method } = request;
    if (["/readyz", "/healthz", "/livez"].includes(path)) {
      return { status: 200, text: "ok", contentType: "text/plain; charset=utf-8" };
    }
    if (path === "/version") {
      const version = { major: "1", minor: "35", gitVersion: "v1.35.0-fake" };
      return json(200, `${JSON.stringify(version)}\n`);
    }
    const match = NAMESPACES.exec(path);
    if (match === null) throw EVENTS.test(path) ? methodNotAllowed() : unknownPath();
    return this.#namespace(method, match[1] ?? null, body);
  }

  /** Events need no namespace object here; these exist so that writers can make theirs as usual. */
  #namespace(method: string, name: string | null, body: string): Reply {
    if (method === "POST" && name === null) {
      const meta = parseObject(body).metadata;
      const asked = isObject(meta) ? String(meta.name ?? "") : "";
      if (this.#namespaces.has(asked)) throw alreadyExists("namespaces", asked);
      this.#store.bump(this.#store.revision + 1n);
      const metadata = {
        name: asked,
        uid: crypto.randomUUID(),
        resourceVersion: `${this.#store.revision}`,
        creationTimestamp: `${new Date().toISOString().slice(0, 19)}Z`,
        labels: { "kubernetes.io/metadata.name": asked },
      };
      const rest = { spec: { finalizers: ["kubernetes"] }, status: { phase: "Active" } };
      this.#namespaces.set(asked, { kind: "Namespace", apiVersion: "v1", metadata, ...rest });
      return json(201, `${JSON.stringify(this.#namespaces.get(asked))}\n`);
    }
    const found = this.#namespaces.get(name ?? "");
    if (name === null || (method !== "GET" && method !== "DELETE")) throw methodNotAllowed();
    if (found === undefined) throw notFound("namespaces", name);
    if (method === "DELETE") {
      this.#store.deleteAll(name);
      this.#namespaces.delete(name);
    }
    return json(200, `${JSON.stringify(found)}\n`);
  }
}

function json(status: number, text: string): Reply {
  return { status, text, contentType: "application/json" };
}

function written(status: number, event: StoredEvent): Reply {
  return json(status, `${objectText(event)}\n`);
}

function managerOf(headers: ReadonlyMap<string, string>): string {
  return (headers.get("user-agent") ?? "unknown").split("/")[0] ?? "unknown";
}

function inNamespace(input: JsonObject, namespace: string): JsonObject {
  const metadata = isObject(input.metadata) ? input.metadata : {};
  const given = metadata.namespace ?? "";
  if (given !== "" && given !== namespace) {
    throw badRequest(
      "the namespace of the provided object does not match the namespace sent on the request",
    );
  }
  return { ...input, metadata: { ...metadata, namespace } };
}
