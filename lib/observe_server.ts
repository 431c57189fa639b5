/**
 * The listener of --metrics-address: /metrics, /healthz and /readyz over HTTP/1.1, an answer a
 * connection.
 *
 * Whoever can reach it may send anything, so all is bounded: connections, the bytes of a request,
 * and the time that one may last. Deno.serve bounds none of them (an idle connection is kept for
 * ever, and each takes a file descriptor that the destination may need), and what Deno.listen gives
 * cannot be closed while it is read (2.8.3). It is opened before the net permission is given up,
 * and goes on after that; nothing here can dial out.
 */

import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { codeOf, IoError, messageOf } from "./errors.ts";
import {
  OBSERVE_BACKLOG,
  OBSERVE_BYTES_MAX,
  OBSERVE_CONNECTIONS_MAX,
  OBSERVE_MS,
} from "./limits.ts";
import { log } from "./log.ts";
import type { Address } from "./settings.ts";

/** What is served. None of it waits for anything. */
export interface ObservePages {
  /** Why the program is not healthy, in one sentence; null = it is. */
  unhealthy(): string | null;
  /** Why it is not ready, in one sentence; null = it is. */
  unready(): string | null;
  /** The metrics and their type. */
  metrics(): Promise<{ text: string; contentType: string }>;
}

/** Bounds that a test may want shorter; see lib/limits.ts. */
export interface ObserveBounds {
  connectionsMax: number;
  requestBytesMax: number;
  requestMs: number;
}

const BOUNDS: ObserveBounds = {
  connectionsMax: OBSERVE_CONNECTIONS_MAX,
  requestBytesMax: OBSERVE_BYTES_MAX,
  requestMs: OBSERVE_MS,
};

/** An answer: its status, and a line or more of text. */
interface Answer {
  status: number;
  text: string;
  contentType?: string;
}

const PATHS = ["/metrics", "/healthz", "/readyz"];

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

/** See the head of this file. */
export class ObserveServer {
  /** Where it listens; the port is the one that was found where 0 was asked for. */
  readonly url: string;
  readonly #listener: Server;
  readonly #bounds: ObserveBounds;
  readonly #sockets = new Set<Socket>();
  #pages: ObservePages | null = null;

  private constructor(listener: Server, bounds: ObserveBounds) {
    this.#listener = listener;
    this.#bounds = bounds;
    const { address, port } = listener.address() as AddressInfo;
    this.url = `http://${hostPort(address, port)}`;
    listener.on("connection", (socket) => this.#serve(socket));
    listener.on("error", (error) => {
      log.warning(`Cannot accept a connection at ${this.url}: ${messageOf(error)}.`);
    });
  }

  /**
   * Listens, and answers from now on.
   *
   * @throws IoError where the address cannot be listened on
   */
  static async open(
    { hostname, port }: Address,
    bounds: ObserveBounds = BOUNDS,
  ): Promise<ObserveServer> {
    // A client may end its side once it has asked.
    const listener = createServer({ allowHalfOpen: true });
    try {
      await new Promise<void>((resolve, reject) => {
        listener.once("error", reject);
        listener.listen({ port, host: hostname, backlog: OBSERVE_BACKLOG }, () => resolve());
      });
    } catch (error) {
      const address = hostPort(hostname, port);
      throw new IoError(`Cannot listen on ${address} (--metrics-address): ${whyNot(error)}`);
    }
    const server = new ObserveServer(listener, bounds);
    log.info(`Metrics at ${server.url}/metrics; health at /healthz and /readyz there.`);
    return server;
  }

  /** Says what there is to say from now on. */
  show(pages: ObservePages): void {
    this.#pages = pages;
  }

  /** Ends at once, with all connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** One request and its answer. Never throws: a scrape is nobody's trouble but its own. */
  #serve(socket: Socket): void {
    socket.on("error", () => {}); // The client left; "close" follows.
    const { connectionsMax, requestBytesMax, requestMs } = this.#bounds;
    if (this.#sockets.size >= connectionsMax) return void socket.destroy();
    this.#sockets.add(socket);
    const timer = setTimeout(() => socket.destroy(), requestMs);
    socket.on("close", () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
    });
    let head: string | null = "";
    let isAnswered = false;
    const answer = async () => {
      isAnswered = true;
      socket.end(encode(await this.#answer(head), head?.startsWith("HEAD ") === true));
    };
    socket.on("data", (bytes) => {
      // What comes behind the request must be read, or the answer may be lost to the client.
      if (isAnswered) return;
      const tooMuch = (head?.length ?? 0) + bytes.length > requestBytesMax;
      head = tooMuch ? null : head + bytes.toString("latin1");
      if (head === null || /\n\r?\n/.test(head)) void answer();
    });
    socket.on("end", () => {
      if (!isAnswered) void answer();
    });
  }

  /** @param head of the request; null = it is too long */
  async #answer(head: string | null): Promise<Answer> {
    if (head === null) return { status: 431, text: "The request is too long." };
    const [line = ""] = head.split(/\r?\n/, 1);
    const [, method, target = ""] = /^([A-Z]+) (\S+) HTTP\/1\.[01]$/.exec(line) ?? [];
    if (method === undefined) return { status: 400, text: "This is no HTTP/1.1 request." };
    const [path = ""] = target.split("?", 1);
    if (!PATHS.includes(path)) return { status: 404, text: `There is ${PATHS.join(", ")}.` };
    if (method !== "GET" && method !== "HEAD") return { status: 405, text: "GET and HEAD alone." };
    try {
      return await this.#page(path);
    } catch (error) {
      log.error(`Cannot answer ${path}: ${messageOf(error)}.`);
      return { status: 500, text: "It failed; the log says why." };
    }
  }

  async #page(path: string): Promise<Answer> {
    const pages = this.#pages;
    if (path === "/healthz") return verdict(pages === null ? null : pages.unhealthy());
    if (pages === null) return verdict("Not ready: the state is not open yet.");
    if (path === "/readyz") return verdict(pages.unready());
    return { status: 200, ...await pages.metrics() };
  }
}

/** @param whyNot one sentence; null = all is well */
function verdict(whyNot: string | null): Answer {
  return { status: whyNot === null ? 200 : 503, text: whyNot ?? "ok" };
}

/** @param isHead leave the text out */
function encode({ status, text, contentType }: Answer, isHead: boolean): Uint8Array {
  const encoder = new TextEncoder();
  const body = encoder.encode(text.endsWith("\n") ? text : `${text}\n`);
  const head = encoder.encode(
    [
      `HTTP/1.1 ${status} ${REASONS[status]}`,
      `content-type: ${contentType ?? "text/plain; charset=utf-8"}`,
      `content-length: ${body.length}`,
      ...(status === 405 ? ["allow: GET, HEAD"] : []),
      "cache-control: no-store",
      "connection: close",
      "\r\n",
    ].join("\r\n"),
  );
  if (isHead) return head;
  const answer = new Uint8Array(head.length + body.length);
  answer.set(head);
  answer.set(body, head.length);
  return answer;
}

function hostPort(hostname: string, port: number): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

function whyNot(error: unknown): string {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return "the port is in use. Stop whoever listens there, or choose another port.";
    case "EADDRNOTAVAIL":
      return "no network interface of this machine has that address. Choose another one.";
    case "EACCES":
      return "this user may not. Choose a port above 1023.";
    default:
      return messageOf(error);
  }
}
