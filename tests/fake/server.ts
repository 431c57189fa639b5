/**
 * A kube-apiserver as far as events go: LIST, WATCH, writes, the whole revision log, and any fault
 * on demand. The demo's embedded cluster, and the oracle of the tests.
 *
 * ```ts
 * const server = await startFakeApiServer();
 * server.store.create(sampleEvent("default", "pod-1.17"));
 * ```
 */
import { createServer, type Server, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { Answer, commonHeaders } from "./answer.ts";
import { Api, describe } from "./api.ts";
import { Auth } from "./auth.ts";
import { contentOf } from "./content.ts";
import { EventStore } from "./events.ts";
import { type CutHow, type FaultAction, FaultQueue, type RequestInfo } from "./faults.ts";
import { type HttpRequest, RequestReader } from "./http.ts";
import { type KubeconfigParts, kubeconfigText } from "./kubeconfig.ts";
import { logEntry, type OpenWatch, type RequestLog } from "./request_log.ts";
import { ApiError } from "./status.ts";
import { secure, type TlsOptions } from "./tls.ts";
import { parseWatch, streamWatch } from "./watch.ts";

/** How the server is to be. */
export interface FakeApiServerOptions {
  /** Speak TLS; default plain HTTP. */
  tls?: TlsOptions;
  /** Bearer tokens that are let in, with their user's name. None and no client CA: no auth. */
  tokens?: Record<string, string>;
  /** Events expire this long after their last write; default 0 = never. */
  ttlSec?: number;
  /** Most events on a page of a LIST, even where the client asks for more or sets no limit. */
  pageLimitMax?: number;
  /** Address to listen on; default 127.0.0.1. */
  hostname?: string;
  /** Default: any free one. */
  port?: number;
  /** The counter stands here before the first write; default 100. */
  firstRevision?: bigint | number;
  /** The server's clock, ms since 1970; default the real one. */
  now?: () => number;
}

/** Bodies above this are compressed for clients that accept it (handlers/responsewriters). */
const GZIP_BYTES_MIN = 128 * 1024;

/** Starts a server; it is listening when this returns. */
export async function startFakeApiServer(
  options: FakeApiServerOptions = {},
): Promise<FakeApiServer> {
  const server = new FakeApiServer(options);
  await server.up();
  return server;
}

/** See the head of this file. Made by {@linkcode startFakeApiServer}. */
export class FakeApiServer {
  /** The events: read and write them, compact, rewind, expire. */
  readonly store: EventStore;
  /** What is to go wrong. */
  readonly faults = new FaultQueue();
  /** Every request since the start. */
  readonly log: RequestLog[] = [];
  /** Watches under way, oldest first. */
  readonly watches: OpenWatch[] = [];
  /** Who is let in; its `tokens` and `allow` may be changed at any time. */
  readonly auth: Auth;
  /** What becomes of new connections: served, reset at once, or accepted and left waiting. */
  connections: "served" | "reset" | "silent" = "served";
  readonly hostname: string;
  #port: number;
  #tls: TlsOptions | undefined;
  #api: Api;
  #listener: Server | null = null;
  #sockets = new Set<Socket>();
  #ttlTimer: ReturnType<typeof setInterval> | undefined;
  #startedAt = performance.now();

  constructor(options: FakeApiServerOptions) {
    const { ttlSec = 0, now = Date.now, firstRevision = 100 } = options;
    this.store = new EventStore(now, ttlSec, BigInt(firstRevision));
    this.auth = new Auth(options.tokens ?? {}, options.tls?.clientCa ?? null);
    this.hostname = options.hostname ?? "127.0.0.1";
    this.#port = options.port ?? 0;
    this.#tls = options.tls;
    this.#api = new Api(this.store, options.pageLimitMax ?? null);
    if (ttlSec > 0) {
      const step = Math.min(1000, ttlSec * 250);
      this.#ttlTimer = setInterval(() => this.store.expireDue(), step);
    }
  }

  /** The port listened on, also while down. */
  get port(): number {
    return this.#port;
  }

  /** Base URL without a trailing slash. */
  get url(): string {
    const host = this.hostname.includes(":") ? `[${this.hostname}]` : this.hostname;
    return `${this.#tls === undefined ? "http" : "https"}://${host}:${this.#port}`;
  }

  /** Full log of everything stored: see {@linkcode EventStore.revisions}. */
  get revisions(): EventStore["revisions"] {
    return this.store.revisions;
  }

  /**
   * Every occurrence ever stored, in the order of its first write, with the number of writes that
   * bore it. `keys()` are the contents that a destination must hold once each.
   */
  oracle(): Map<string, number> {
    const contents = new Map<string, number>();
    for (const { type, object } of this.store.revisions) {
      if (type === "DELETED") continue;
      const content = contentOf(object);
      contents.set(content, (contents.get(content) ?? 0) + 1);
    }
    return contents;
  }

  /**
   * The contents among those of {@linkcode oracle} that were stored since so many
   * {@linkcode revisions} and are not there any more: overwritten, deleted, or rewound.
   */
  passing(since: number): Set<string> {
    const { storage, revision: at } = this.store;
    const { events } = storage.range({
      ...{ prefix: "", start: "", at, limit: null, matches: () => true },
    });
    const living = new Set(events.map(contentOf));
    const stored = this.revisions.slice(since).filter(({ type }) => type !== "DELETED");
    return new Set(stored.map(({ object }) => contentOf(object))).difference(living);
  }

  /** The text of a kubeconfig for this server. */
  kubeconfig(parts: Omit<KubeconfigParts, "server"> = {}): string {
    const ca = this.#tls?.ca;
    return kubeconfigText({ server: this.url, ...(ca !== undefined && { ca }), ...parts });
  }

  /** Writes such a file. */
  async writeKubeconfig(path: string, parts: Omit<KubeconfigParts, "server"> = {}): Promise<void> {
    await Deno.writeTextFile(path, this.kubeconfig(parts), { mode: 0o600 });
  }

  /** Uses another certificate for new connections. */
  setTls(tls: TlsOptions): void {
    if (this.#tls === undefined) throw new Error("Cannot change to TLS: the server speaks HTTP");
    this.#tls = tls;
  }

  /** Listens (again, on the same port). */
  async up(): Promise<void> {
    if (this.#listener !== null) return;
    const listener = createServer((raw: Socket) => void this.#serve(raw));
    await new Promise<void>((resolve, reject) => {
      listener.once("error", reject);
      listener.listen(this.#port, this.hostname, () => resolve());
    });
    this.#listener = listener;
    const address = listener.address();
    if (typeof address === "object" && address !== null) this.#port = address.port;
  }

  /** Stops listening and resets every connection: the process is gone, new ones are refused. */
  async down(): Promise<void> {
    const listener = this.#listener;
    if (listener === null) return;
    this.#listener = null;
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    this.dropConnections("reset");
    await closed;
  }

  /** Ends every connection; `end` ends watches properly and leaves the rest. */
  dropConnections(how: CutHow): void {
    for (const watch of [...this.watches]) void watch.answer.cut(how);
    if (how === "silence" || how === "end") return;
    for (const socket of this.#sockets) {
      if (how === "reset") socket.resetAndDestroy();
      else socket.end();
    }
  }

  /** Ends everything; nothing of the server is left when it returns. */
  async close(): Promise<void> {
    clearInterval(this.#ttlTimer);
    const gone = [...this.#sockets].map((socket) =>
      new Promise<void>((resolve) => socket.once("close", () => resolve()))
    );
    await this.down();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(gone);
    // Reads of clients in this process end by it, within a few turns: Deno 2.8.3 does not end them
    // when a client closes its connection, and its tests count what is still under way.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  }

  async #serve(raw: Socket): Promise<void> {
    this.#sockets.add(raw);
    raw.on("error", () => {});
    raw.once("close", () => this.#sockets.delete(raw));
    raw.setNoDelay(true);
    if (this.connections === "reset") return void raw.resetAndDestroy();
    if (this.connections === "silent") return;
    const socket = this.#tls === undefined ? raw : secure(raw, this.#tls);
    const reader = new RequestReader(socket);
    for (;;) {
      const request = await reader.next().catch(() => null);
      if (request === null) return;
      const answer = await this.#handle(request, socket, raw);
      if (answer.reusable && request.headers.get("connection") !== "close") continue;
      if (answer.ended === "complete") socket.end();
      return;
    }
  }

  async #handle(request: HttpRequest, socket: Socket, raw: Socket): Promise<Answer> {
    const { method, target, headers, body } = request;
    const info = describe(method, target, headers, (query) => this.#api.lister.pageOf(query));
    const action = this.faults.take(info);
    const answer = new Answer(socket, raw, action);
    this.log.push(logEntry(info, performance.now() - this.#startedAt, answer));
    if (action.holdMs !== undefined) await answer.pause(action.holdMs);
    try {
      const { respond } = action;
      if (respond !== undefined) {
        const list = Object.entries(respond.headers ?? {});
        await answer.whole(respond.status, list, respond.body ?? "");
      } else await this.#route(info, new TextDecoder().decode(body), socket, answer, action);
    } catch (error) {
      await this.#refuse(error, answer);
    }
    return answer;
  }

  async #route(
    info: RequestInfo,
    body: string,
    socket: Socket,
    answer: Answer,
    action: FaultAction,
  ): Promise<void> {
    this.auth.check(info, socket);
    if (info.verb === "watch") return await this.#watch(info, answer, action);
    const { status, text, contentType } = this.#api.reply(info, body);
    const data = action.body?.(text) ?? text;
    const headers = commonHeaders(contentType);
    const accepts = info.headers.get("accept-encoding")?.includes("gzip") ?? false;
    if (info.verb === "list" && accepts && data.length > GZIP_BYTES_MIN && !action.encoding) {
      headers.push(["Content-Encoding", "gzip"], ["Vary", "Accept-Encoding"]);
      return await answer.whole(status, headers, gzipSync(data, { level: 1 }));
    }
    await answer.whole(status, headers, data);
  }

  async #watch(info: RequestInfo, answer: Answer, action: FaultAction): Promise<void> {
    const query = parseWatch(info);
    const watch: OpenWatch = { request: info, answer };
    this.watches.push(watch);
    await streamWatch(this.store.storage, query, answer, action);
    await answer.done;
    this.watches.splice(this.watches.indexOf(watch), 1);
  }

  async #refuse(error: unknown, answer: Answer): Promise<void> {
    if (!(error instanceof ApiError)) throw error;
    const headers = commonHeaders("application/json");
    if (error.code === 403) headers.push(["X-Content-Type-Options", "nosniff"]);
    await answer.whole(error.code, headers, `${JSON.stringify(error.status)}\n`);
  }
}
