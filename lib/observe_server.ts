/**
 * The listener of --metrics-address: /metrics, /healthz and /readyz over HTTP/1.1, an answer a
 * connection.
 *
 * Whoever can reach it may send anything, so all is bounded: connections, the bytes of a request,
 * and the time that one may last. Deno.serve bounds none of them (an idle connection is kept for
 * ever, and each takes a file descriptor that the destination may need). It is opened before
 * the net permission is given up, and goes on after that; nothing here can dial out.
 */

import { codeOf, IoError, messageOf } from "./errors.ts";
import { OBSERVE_BYTES_MAX, OBSERVE_CONNECTIONS_MAX, OBSERVE_MS } from "./limits.ts";
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
  readonly #listener: Deno.TcpListener;
  readonly #bounds: ObserveBounds;
  readonly #connections = new Set<Deno.TcpConn>();
  #pages: ObservePages | null = null;
  #isClosed = false;

  private constructor(listener: Deno.TcpListener, bounds: ObserveBounds) {
    this.#listener = listener;
    this.#bounds = bounds;
    const { hostname, port } = listener.addr;
    this.url = `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
  }

  /**
   * Listens, and answers from now on.
   *
   * @throws IoError where the address cannot be listened on
   */
  static open({ hostname, port }: Address, bounds: ObserveBounds = BOUNDS): ObserveServer {
    let listener: Deno.TcpListener;
    try {
      listener = Deno.listen({ hostname, port });
    } catch (error) {
      const address = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
      throw new IoError(`Cannot listen on ${address} (--metrics-address): ${whyNot(error)}`);
    }
    const server = new ObserveServer(listener, bounds);
    void server.#acceptAlways();
    log.info(`Metrics at ${server.url}/metrics; health at /healthz and /readyz there.`);
    return server;
  }

  /** Says what there is to say from now on. */
  show(pages: ObservePages): void {
    this.#pages = pages;
  }

  /** Ends at once, with all connections. */
  close(): void {
    this.#isClosed = true;
    this.#listener.close();
    for (const connection of this.#connections) this.#end(connection);
  }

  async #acceptAlways(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const connection = await this.#listener.accept();
        if (this.#connections.size < this.#bounds.connectionsMax) void this.#serve(connection);
        else connection.close();
      } catch (error) {
        if (this.#isClosed) return;
        // Out of file descriptors, or a client that left between its SYN and here.
        log.warning(`Cannot accept a connection at ${this.url}: ${messageOf(error)}.`);
        await new Promise((resolve) => setTimeout(resolve, this.#bounds.requestMs));
      }
    }
  }

  /** One request and its answer. Never throws: a scrape is nobody's trouble but its own. */
  async #serve(connection: Deno.TcpConn): Promise<void> {
    this.#connections.add(connection);
    const timer = setTimeout(() => this.#end(connection), this.#bounds.requestMs);
    try {
      const head = await readHead(connection, this.#bounds.requestBytesMax);
      const isHead = head?.startsWith("HEAD ") === true;
      await writeAll(connection, encode(await this.#answer(head), isHead));
      await connection.closeWrite();
      // What the client still sends must be read, or the answer may be lost to it.
      const rest = new Uint8Array(1024);
      while (await connection.read(rest) !== null);
    } catch {
      // The client left, or its time was over.
    } finally {
      clearTimeout(timer);
      this.#end(connection);
    }
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

  #end(connection: Deno.TcpConn): void {
    if (this.#connections.delete(connection)) connection.close();
  }
}

/** @param whyNot one sentence; null = all is well */
function verdict(whyNot: string | null): Answer {
  return { status: whyNot === null ? 200 : 503, text: whyNot ?? "ok" };
}

/** What comes up to the empty line, or to the end; null where that is too long. */
async function readHead(connection: Deno.TcpConn, bytesMax: number): Promise<string | null> {
  const bytes = new Uint8Array(bytesMax);
  const decoder = new TextDecoder();
  for (let length = 0; length < bytesMax;) {
    const count = await connection.read(bytes.subarray(length));
    const searched = Math.max(0, length - 3);
    length += count ?? 0;
    const isWhole = /\n\r?\n/.test(decoder.decode(bytes.subarray(searched, length)));
    if (count === null || isWhole) return decoder.decode(bytes.subarray(0, length));
  }
  return null;
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

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await connection.write(bytes));
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
