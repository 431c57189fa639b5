/**
 * GETs over connections of our own, where no proxy stands in between.
 *
 * fetch() hands over one chunk a read, and a WATCH has a chunk for each event: such a read costs
 * some 13 us, more than all the rest of an event (docs/PERFORMANCE.md). Here a read takes whatever
 * came, some 50 events in a burst, and the chunks are taken apart in place.
 *
 * Certificates are checked by the same rustls, with the same roots, as fetch() has them.
 */

import type { Answer, BodyReader, BodyResult } from "./answer_body.ts";
import { ApiFailure } from "./api_failure.ts";
import { messageOf } from "./errors.ts";
import { type AnswerHead, type Framing, framingOf, headEnd, parseHead } from "./http_framing.ts";
import { CONNECTION_KEPT_MS, HEAD_BYTES_MAX } from "./limits.ts";
import type { Credentials } from "./protocol.ts";

/** How a request is made, and when it ends. */
export interface HttpBounds {
  /** For the connection and its TLS, ms. */
  connectMs: number;
  /** Ends the request, or the reading of its answer. */
  signal: AbortSignal;
  /** The connection may be used again, if the next request comes soon. */
  isKept: boolean;
}

/** A connection that waits for its next request. */
interface Kept {
  wire: Wire;
  /** It was made with these. */
  credentials: Credentials;
  timer: ReturnType<typeof setTimeout>;
}

/** Connections to one server; at most one of them waits for its next request. */
export class HttpConnections {
  #kept: Kept | null = null;

  /**
   * Asks for what a URL names.
   *
   * @returns null where no connection was made in time: nothing was asked. Deno.connect() tries the
   * first address alone that a name has, and fetch() them all
   * @throws TypeError where a header cannot be sent; the operating system's and TLS's errors;
   * ApiFailure where the answer is none; the abort's reason
   */
  async get(
    address: string,
    headers: Record<string, string>,
    credentials: Credentials,
    bounds: HttpBounds,
  ): Promise<Answer | null> {
    const url = new URL(address);
    const request = requestBytes(
      url,
      bounds.isKept ? headers : { ...headers, connection: "close" },
    );
    const kept = this.#takeKept(credentials);
    if (kept !== null) {
      try {
        return await this.#ask(kept, request, credentials, bounds);
      } catch (error) {
        // The server may close a connection in the moment in which it is asked again.
        if (bounds.signal.aborted || kept.hasHeard) throw error;
      }
    }
    const conn = await connect(url, credentials, bounds);
    return conn === null ? null : await this.#ask(new Wire(conn), request, credentials, bounds);
  }

  /** Lets go of a connection that waits. */
  close(): void {
    if (this.#kept === null) return;
    clearTimeout(this.#kept.timer);
    this.#kept.wire.close();
    this.#kept = null;
  }

  async #ask(
    wire: Wire,
    request: Uint8Array,
    credentials: Credentials,
    { signal, isKept }: HttpBounds,
  ): Promise<Answer> {
    wire.begin(signal);
    try {
      await wire.write(request);
      const { head, rest } = await readHead(wire);
      const keep = isKept && head.isKept ? () => this.#keep(wire, credentials) : null;
      return { ...head, body: new AnswerBody(wire, framingOf(head), rest, keep) };
    } catch (error) {
      wire.close();
      throw signal.aborted ? signal.reason : error;
    }
  }

  #keep(wire: Wire, credentials: Credentials): void {
    this.close();
    wire.pause();
    const timer = setTimeout(() => this.close(), CONNECTION_KEPT_MS);
    this.#kept = { wire, credentials, timer };
  }

  /** One that was made with other credentials is let go. */
  #takeKept(credentials: Credentials): Wire | null {
    if (this.#kept?.credentials !== credentials) this.close();
    if (this.#kept === null) return null;
    const { wire, timer } = this.#kept;
    clearTimeout(timer);
    this.#kept = null;
    return wire;
  }
}

/** @throws TypeError where a header's name or value is none, such as one with a line end */
function requestBytes({ pathname, search, host }: URL, given: Record<string, string>): Uint8Array {
  const lines = Array.from(new Headers(given), ([name, value]) => `${name}: ${value}\r\n`);
  return new TextEncoder().encode(
    `GET ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n${lines.join("")}\r\n`,
  );
}

async function connect(
  url: URL,
  credentials: Credentials,
  { connectMs, signal }: HttpBounds,
): Promise<Deno.Conn | null> {
  const opening = open(url, credentials);
  const waited = Promise.withResolvers<null>();
  const giveUp = () => waited.resolve(null);
  const timer = setTimeout(giveUp, connectMs);
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  const made = opening.then(async (conn) => {
    if ("handshake" in conn) await conn.handshake();
    return conn;
  });
  const conn = await Promise.race([made, waited.promise]).catch(() => null);
  clearTimeout(timer);
  signal.removeEventListener("abort", giveUp);
  // Who gave up does not wait for a connection that comes late.
  if (conn === null || signal.aborted) opening.then(closeQuietly, () => {});
  signal.throwIfAborted();
  return conn;
}

/** Opens a connection; of TLS the handshake is to come. */
async function open(
  url: URL,
  { caCerts, cert, key }: Credentials,
): Promise<Deno.TcpConn | Deno.TlsConn> {
  const isSecure = url.protocol === "https:";
  const to = {
    hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port || (isSecure ? 443 : 80)),
  };
  // As fetch() does without HTTP/2: some servers in front of an API server close without ALPN.
  const tls = { caCerts, alpnProtocols: ["http/1.1"] };
  // Deno.startTls() takes no client certificate.
  if (isSecure && cert !== null && key !== null) {
    return await Deno.connectTls({ ...to, ...tls, cert, key });
  }
  const conn = await Deno.connect(to);
  try {
    // Without this the request waits for the server's acknowledgement of the handshake's end, which
    // comes 40 ms late on Linux. What connectTls() opens cannot be told so.
    conn.setNoDelay(true);
    return isSecure ? await Deno.startTls(conn, { ...tls, hostname: to.hostname }) : conn;
  } catch (error) {
    closeQuietly(conn);
    throw error;
  }
}

/**
 * A connection that an abort ends at once. Closing alone is not enough: Deno 2.8.3 leaves a read
 * that is under way, and with it the socket, as it is (2.6.10 ends it). So the other side is told
 * by a FIN, at which it closes, and whoever waits here is told by us.
 */
class Wire {
  readonly #conn: Deno.Conn;
  readonly #abort = () => this.close();
  /** Of the request that is under way. */
  #signal: AbortSignal | null = null;
  #isClosed = false;
  #hasHeard = false;
  #endRead: ((end: null) => void) | null = null;

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** It was closed by us. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** A byte came since begin(). */
  get hasHeard(): boolean {
    return this.#hasHeard;
  }

  /** A request begins, which an abort of this signal ends. */
  begin(signal: AbortSignal): void {
    this.#hasHeard = false;
    this.#signal = signal;
    signal.addEventListener("abort", this.#abort, { once: true });
    if (signal.aborted) this.close();
  }

  /** The request is over, and the connection goes on. */
  pause(): void {
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#signal = null;
  }

  /** Reads what is there, at least a byte; null at the end, ours too. One at a time. */
  async read(into: Uint8Array): Promise<number | null> {
    if (this.#isClosed) return null;
    const ended = Promise.withResolvers<null>();
    this.#endRead = ended.resolve;
    const count = await Promise.race([this.#conn.read(into), ended.promise]);
    if (count !== null) this.#hasHeard = true;
    return count;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  /** Ends it, once; a read that is under way finds the end. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.pause();
    this.#endRead?.(null);
    closeQuietly(this.#conn);
  }
}

/** Closes a connection whose other side may be gone. */
function closeQuietly(conn: Deno.Conn): void {
  const close = () => {
    try {
      conn.close();
    } catch {
      // It is closed.
    }
  };
  conn.closeWrite().then(close, close);
}

/** The head of the answer, those of "100 Continue" and its like passed over, and what follows. */
async function readHead(wire: Wire): Promise<{ head: AnswerHead; rest: Uint8Array }> {
  const buffer = new Uint8Array(HEAD_BYTES_MAX);
  for (let length = 0;;) {
    const end = headEnd(buffer.subarray(0, length));
    if (end >= 0) {
      const head = parseHead(buffer.subarray(0, end));
      if (head.status >= 200) return { head, rest: buffer.slice(end, length) };
      buffer.copyWithin(0, end, length);
      length -= end;
      continue;
    }
    if (length === buffer.length) throw new ApiFailure("the answer's head is too long");
    const count = await wire.read(buffer.subarray(length));
    if (count === null) throw new ApiFailure("the connection ended before an answer came");
    length += count;
  }
}

/** The body of an answer. */
class AnswerBody implements BodyReader {
  readonly #wire: Wire;
  readonly #framing: Framing;
  readonly #keep: (() => void) | null;
  /** Bytes that came with the head and are still to be read. */
  #rest: Uint8Array;
  /** The connection is closed, or another request's. */
  #isOver = false;

  /** @param keep takes the connection once all of the body was read; null = it is closed */
  constructor(wire: Wire, framing: Framing, rest: Uint8Array, keep: (() => void) | null) {
    this.#wire = wire;
    this.#framing = framing;
    this.#rest = rest;
    this.#keep = keep;
  }

  async read(room: Uint8Array<ArrayBuffer>): Promise<BodyResult> {
    try {
      while (!this.#framing.isDone) {
        const count = this.#rest.length > 0 ? this.#takeRest(room) : await this.#wire.read(room);
        if (this.#isOver || this.#wire.isClosed) return { done: true }; // Cancelled, or aborted.
        if (count === null) this.#framing.end();
        const taken = count === null ? 0 : this.#framing.take(room, count);
        if (taken > 0) return { done: false, value: room.subarray(0, taken) };
      }
    } catch (error) {
      this.#end(null);
      throw error instanceof ApiFailure
        ? error
        : new ApiFailure(`the connection broke: ${messageOf(error)}`);
    }
    this.#end(this.#rest.length === 0 && this.#framing.isReusable ? this.#keep : null);
    return { done: true };
  }

  cancel(): Promise<void> {
    this.#end(null);
    return Promise.resolve();
  }

  #end(keep: (() => void) | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (keep === null) this.#wire.close();
    else keep();
  }

  #takeRest(room: Uint8Array): number {
    const count = Math.min(room.length, this.#rest.length);
    room.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return count;
  }
}
