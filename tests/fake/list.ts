/**
 * LIST: resourceVersion semantics, pages, continue tokens.
 *
 * Rules: k8s.io/apiserver pkg/storage/etcd3/store.go (GetList) and pkg/storage/continue.go; events
 * have no watch cache, so resourceVersion 0 and unset are the same here.
 */
import { isObject, itemText, type StoredEvent } from "./event.ts";
import type { RequestInfo } from "./faults.ts";
import { parseFieldSelector } from "./selector.ts";
import {
  ApiError,
  badRequest,
  continueExpired,
  listExpired,
  tooLargeResourceVersion,
} from "./status.ts";
import type { Storage } from "./storage.ts";

/** The storage key prefix of a namespace; null = all. */
export function prefixOf(namespace: string | null): string {
  return namespace === null ? "" : `${namespace}/`;
}

/** Answers LIST, and knows which page a continue token asks for. */
export class Lister {
  #storage: Storage;
  #pageMax: number | null;
  #pages = new Map<string, number>();

  /** `pageMax`: most events on a page whatever the client asks for; null = no bound. */
  constructor(storage: Storage, pageMax: number | null) {
    this.#storage = storage;
    this.#pageMax = pageMax;
  }

  /** 1 for the first page of a LIST. */
  pageOf(query: URLSearchParams): number {
    return this.#pages.get(query.get("continue") ?? "") ?? 1;
  }

  /** The body. @throws ApiError 400, 410, 422, 504 */
  list(request: RequestInfo): string {
    const { query } = request;
    const prefix = prefixOf(request.namespace);
    const selector = parseFieldSelector(query.get("fieldSelector"));
    const asked = parseNumber(query.get("limit"));
    const limits = [asked > 0 ? asked : null, this.#pageMax].filter((each) => each !== null);
    const limit = limits.length === 0 ? null : Math.min(...limits);
    const { at, start } = this.#readPoint(query, prefix, asked > 0);
    const matches = selector ?? (() => true);
    const found = this.#storage.range({ prefix, start, at, limit, matches });
    const meta: Record<string, string | number> = { resourceVersion: `${at}` };
    if (found.remaining > 0) {
      const next = `${found.lastKey.slice(prefix.length)}\0`;
      meta.continue = encodeToken(at, next);
      // A bounded memory: tests have far fewer LISTs under way.
      if (this.#pages.size > 1000) this.#pages.clear();
      this.#pages.set(meta.continue, request.page + 1);
      if (selector === null) meta.remainingItemCount = found.remaining;
    }
    return listText(meta, found.events);
  }

  /** The revision to read at and the first key. */
  #readPoint(
    query: URLSearchParams,
    prefix: string,
    isPaged: boolean,
  ): { at: bigint; start: string } {
    const current = this.#storage.revision;
    const version = query.get("resourceVersion") ?? "";
    const match = query.get("resourceVersionMatch") ?? "";
    const token = query.get("continue") ?? "";
    if (match !== "" && version === "") {
      const why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
      throw invalidOption("resourceVersionMatch", why);
    }
    if (token !== "") {
      if (version !== "" && version !== "0") {
        throw badRequest("specifying resource version is not allowed when using continue");
      }
      return this.#continuation(token, prefix);
    }
    const asked = parseVersion(version, "invalid resource version: ");
    if (asked > current) throw tooLargeResourceVersion(asked, current);
    // A limit with a resourceVersion reads at exactly that one, for clients older than "match".
    const isExact = match === "Exact" || (match === "" && isPaged);
    if (asked === 0n || !isExact) return { at: current, start: prefix };
    if (asked < this.#storage.compacted) throw listExpired();
    return { at: asked, start: prefix };
  }

  #continuation(token: string, prefix: string): { at: bigint; start: string } {
    const { revision, start } = decodeToken(token);
    const current = this.#storage.revision;
    if (revision > current) throw tooLargeResourceVersion(revision, current);
    // -1 stands in the token that a 410 offers: it goes on at whatever is newest.
    if (revision < 0n) return { at: current, start: prefix + start };
    if (revision < this.#storage.compacted) throw continueExpired(encodeToken(-1n, start));
    return { at: revision, start: prefix + start };
  }
}

/** An unsigned decimal; "" = 0. The prefix of the message differs between LIST and WATCH. */
export function parseVersion(text: string, prefix: string): bigint {
  if (/^\d*$/.test(text)) return BigInt(text);
  throw badRequest(
    `${prefix}resourceVersion: Invalid value: ${JSON.stringify(text)}: ` +
      `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
  );
}

/** A decimal of a query; null = 0. @throws ApiError 400 */
export function parseNumber(text: string | null): number {
  if (text === null || text === "") return 0;
  if (/^-?\d+$/.test(text)) return Number(text);
  throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** 422 for a forbidden list option. */
export function invalidOption(field: string, why: string): ApiError {
  const message = `Forbidden: ${why}`;
  const text = `ListOptions.meta.k8s.io "" is invalid: ${field}: ${message}`;
  const details = {
    group: "meta.k8s.io",
    kind: "ListOptions",
    causes: [{ reason: "FieldValueForbidden", message, field }],
  };
  return new ApiError(422, "Invalid", text, details);
}

function listText(meta: Record<string, string | number>, events: StoredEvent[]): string {
  const items = events.map(itemText).join(",");
  const head = `{"kind":"EventList","apiVersion":"v1","metadata":${JSON.stringify(meta)}`;
  return `${head},"items":[${items}]}\n`;
}

function encodeToken(revision: bigint, start: string): string {
  const json = `{"v":"meta.k8s.io/v1","rv":${revision},"start":${JSON.stringify(start)}}`;
  return new TextEncoder().encode(json).toBase64({ alphabet: "base64url", omitPadding: true });
}

function decodeToken(token: string): { revision: bigint; start: string } {
  try {
    const bytes = Uint8Array.fromBase64(token, { alphabet: "base64url" });
    const text = new TextDecoder().decode(bytes);
    const value: unknown = JSON.parse(text);
    const revision = /"rv":(-?\d+)/.exec(text)?.[1];
    if (isObject(value) && typeof value.start === "string" && revision !== undefined) {
      return { revision: BigInt(revision), start: value.start };
    }
  } catch {
    // Refused below, as a token that decodes to something else.
  }
  throw badRequest("invalid continue token: continue key is not valid");
}
