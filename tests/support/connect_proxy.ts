/**
 * An HTTP proxy that can do CONNECT and nothing else: one real TCP connection to each side, and
 * what it was asked for.
 */

/** How it is to be. */
export interface ConnectProxyOptions {
  /** "user:password" that a client must give; null = anybody may. */
  login?: string | null;
}

/** A CONNECT that came. */
export interface Connect {
  /** "host:port" as it was asked for. */
  target: string;
  /** What it was answered with. */
  status: number;
}

/** See the head of this file. */
export class ConnectProxy {
  readonly connects: Connect[] = [];
  /** Answered to all instead of what is asked for, e.g. "504 Gateway Timeout"; null = nothing. */
  refusal: string | null = null;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #login: string | null;
  readonly #open = new Set<Deno.Conn>();
  readonly #work = new Set<Promise<void>>();

  constructor({ login = null }: ConnectProxyOptions = {}) {
    this.#login = login;
    this.#begin(this.#accept());
  }

  /** Where it listens, "host:port". */
  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Ends all connections; nothing of it is left when it returns. */
  async close(): Promise<void> {
    this.#listener.close();
    for (const conn of this.#open) close(conn);
    await Promise.all(this.#work);
  }

  #begin(work: Promise<void>): void {
    const done = work.catch(() => {}).finally(() => this.#work.delete(done));
    this.#work.add(done);
  }

  async #accept(): Promise<void> {
    for await (const conn of this.#listener) this.#begin(this.#serve(conn));
  }

  async #serve(client: Deno.Conn): Promise<void> {
    this.#open.add(client);
    try {
      const head = await headOf(client);
      const target = /^CONNECT (\S+) HTTP\/1\.1\r\n/.exec(head)?.[1] ?? "";
      const refusal = this.refusal ??
        (this.#lets(head) ? null : "407 Proxy Authentication Required");
      this.connects.push({ target, status: refusal === null ? 200 : parseInt(refusal) });
      if (refusal === null) return await this.#join(client, target);
      const page = "<html>no</html>";
      const type = `Content-Type: text/html\r\nContent-Length: ${page.length}`;
      await client.write(new TextEncoder().encode(`HTTP/1.1 ${refusal}\r\n${type}\r\n\r\n${page}`));
    } finally {
      this.#open.delete(client);
      close(client);
    }
  }

  async #join(client: Deno.Conn, target: string): Promise<void> {
    const { hostname, port } = new URL(`http://${target}`);
    const server = await Deno.connect({ hostname: hostname.replace(/^\[|\]$/g, ""), port: +port });
    this.#open.add(server);
    try {
      await client.write(new TextEncoder().encode("HTTP/1.1 200 Connection established\r\n\r\n"));
      // Whoever ends first ends both.
      await Promise.race([
        client.readable.pipeTo(server.writable, { preventClose: true }),
        server.readable.pipeTo(client.writable, { preventClose: true }),
      ]);
    } finally {
      this.#open.delete(server);
      close(server);
    }
  }

  #lets(head: string): boolean {
    if (this.#login === null) return true;
    const given = /^proxy-authorization: Basic (\S+)\r$/im.exec(head)?.[1] ?? "";
    return given === btoa(this.#login);
  }
}

/** All up to the empty line; a client says nothing more until it is answered. */
async function headOf(conn: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(4096);
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    const size = await conn.read(buffer);
    if (size === null) break;
    head += new TextDecoder().decode(buffer.subarray(0, size));
  }
  return head;
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch {
    // It is closed already.
  }
}
