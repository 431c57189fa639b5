import { assertEquals, assertRejects } from "@std/assert";
import { Body } from "../../lib/answer_body.ts";
import { HttpConnections } from "../../lib/http_connection.ts";
import { CONNECTION_KEPT_MS } from "../../lib/limits.ts";
import type { Credentials } from "../../lib/protocol.ts";

const NONE: Credentials = { caCerts: [], cert: null, key: null, authorization: null };
const PART = "HTTP/1.1 200 O";
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** A server that writes its answers by hand, and notes to which connection each request came. */
class RawServer {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #conns: Deno.Conn[] = [];
  readonly #serving: Promise<void>;
  /** The number of the connection, for each request. */
  readonly requests: number[] = [];

  /**
   * @param answers to the requests of a connection, each with its number; null closes it, and so
   * does a part of one
   */
  constructor(answers: (connection: number, request: number) => string | null) {
    this.#serving = this.#serve(answers);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}/`;
  }

  async #serve(answers: (connection: number, request: number) => string | null): Promise<void> {
    const serving: Promise<void>[] = [];
    for await (const conn of this.#listener) {
      const number = this.#conns.push(conn) - 1;
      serving.push(this.#talk(conn, number, answers).catch(() => {}));
    }
    await Promise.all(serving);
  }

  async #talk(
    conn: Deno.Conn,
    number: number,
    answers: (connection: number, request: number) => string | null,
  ): Promise<void> {
    const bytes = new Uint8Array(4096);
    for (let request = 0; await conn.read(bytes) !== null; request++) {
      this.requests.push(number);
      const answer = answers(number, request);
      if (answer === null) return conn.close();
      await conn.write(new TextEncoder().encode(answer));
      if (answer === PART) break;
    }
    conn.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.#conns) {
      try {
        conn.close();
      } catch {
        // It is closed.
      }
    }
    await this.#serving;
  }
}

/** Asks, reads all, and returns what came. */
async function get(
  connections: HttpConnections,
  { url }: RawServer,
  { credentials = NONE, isKept = true } = {},
): Promise<string> {
  const { signal } = new AbortController();
  const bounds = { connectMs: 5000, signal, isKept };
  const answer = await connections.get(url, {}, credentials, bounds);
  const body = new Body(answer!.body!, signal);
  let text = "";
  for (;;) {
    const bytes = await body.read(new Uint8Array(64));
    if (bytes === null) return text;
    text += new TextDecoder().decode(bytes);
  }
}

/** Runs with a server and connections to it. */
async function withRaw(
  answers: (connection: number, request: number) => string | null,
  test: (connections: HttpConnections, server: RawServer) => Promise<void>,
): Promise<void> {
  await using server = new RawServer(answers);
  const connections = new HttpConnections();
  try {
    await test(connections, server);
  } finally {
    connections.close();
  }
}

Deno.test("requests that come soon share a connection, if it is to be kept", () =>
  withRaw(() => ANSWER, async (connections, server) => {
    for (let n = 0; n < 3; n++) assertEquals(await get(connections, server), "ok");
    // It may use one that is kept, but leaves none behind.
    await get(connections, server, { isKept: false });
    await get(connections, server);
    assertEquals(server.requests, [0, 0, 0, 0, 1]);
  }));

Deno.test("with other credentials it is another connection", () =>
  withRaw(() => ANSWER, async (connections, server) => {
    await get(connections, server);
    await get(connections, server, { credentials: { ...NONE } });
    assertEquals(server.requests, [0, 1]);
  }));

Deno.test("two requests at once have a connection each", () =>
  withRaw(() => ANSWER, async (connections, server) => {
    await Promise.all([get(connections, server), get(connections, server)]);
    assertEquals(server.requests.toSorted(), [0, 1]);
  }));

Deno.test("a connection that waited too long is closed", () =>
  withRaw(() => ANSWER, async (connections, server) => {
    await get(connections, server);
    await new Promise((resolve) => setTimeout(resolve, CONNECTION_KEPT_MS + 100));
    await get(connections, server);
    assertEquals(server.requests, [0, 1]);
  }));

for (
  const [what, answer] of [
    ["says that it closes", ANSWER.replace("\r\n", "\r\nConnection: close\r\n")],
    ["says more than it was asked", `${ANSWER}HTTP/1.1 200 OK\r\n\r\n`],
    ["is of HTTP/1.0", ANSWER.replace("1.1", "1.0")],
  ] as const
) {
  Deno.test(`a connection whose answer ${what} is not used again`, () =>
    withRaw(() => answer, async (connections, server) => {
      assertEquals(await get(connections, server), "ok");
      assertEquals(await get(connections, server), "ok");
      assertEquals(server.requests, [0, 1]);
    }));
}

Deno.test("where a kept connection ends without a word, a new one is asked, and that once", () =>
  withRaw((_, request) => request === 0 ? ANSWER : null, async (connections, server) => {
    for (let n = 0; n < 3; n++) assertEquals(await get(connections, server), "ok");
    assertEquals(server.requests, [0, 0, 1, 1, 2]);
  }));

Deno.test("where a kept connection breaks off in the middle of an answer, it is a failure", () =>
  withRaw((_, request) => request === 0 ? ANSWER : PART, async (connections, server) => {
    await get(connections, server);
    await assertRejects(() => get(connections, server), Error, "before an answer came");
    assertEquals(server.requests, [0, 0]);
  }));
