/**
 * TLS connections without Nagle's algorithm, which a TLS listener of Deno's own cannot have: there
 * the last bytes of a page wait up to 40 ms for the reader's delayed ACK. net/http has none either.
 * Deno's own are faster, so a WATCH, which has no last bytes, stays with them.
 */

import { once } from "node:events";
import { createServer, type TLSSocket } from "node:tls";

/** What the feeder needs of a connection. */
export type Conn = Pick<Deno.Conn, "read" | "write" | "close">;

/** Listens on a port of its own; returns that port. */
export async function listenWithoutDelay(
  cert: string,
  key: string,
  serve: (conn: Conn) => void,
): Promise<number> {
  const server = createServer({ cert, key, ALPNProtocols: ["http/1.1"] }, (socket) => {
    socket.setNoDelay(true);
    serve(new NodeConn(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as { port: number }).port;
}

class NodeConn implements Conn {
  readonly #socket: TLSSocket;
  readonly #chunks: AsyncIterator<Uint8Array>;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  /** A request is far smaller than the room that the feeder gives. */
  async read(into: Uint8Array): Promise<number | null> {
    const { done, value } = await this.#chunks.next();
    if (done) return null;
    into.set(value);
    return value.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    // The caller uses its memory again.
    if (!this.#socket.write(bytes.slice())) await once(this.#socket, "drain");
    return bytes.length;
  }

  close(): void {
    this.#socket.destroy();
  }
}
