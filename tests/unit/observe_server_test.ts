/** The listener of --metrics-address: what it answers, and that whoever reaches it is bounded. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { IoError } from "../../lib/errors.ts";
import { type ObserveBounds, type ObservePages, ObserveServer } from "../../lib/observe_server.ts";
import { until } from "../support/temp.ts";

const WELL: ObservePages = {
  unhealthy: () => null,
  unready: () => null,
  metrics: () => Promise.resolve({ text: "a 1\nb 2\n", contentType: "text/x-metrics" }),
};

const SHORT: ObserveBounds = { connectionsMax: 3, requestBytesMax: 256, requestMs: 300 };

/** Runs a test with a server that shows `pages`; null = nothing yet. */
async function withServer(
  pages: ObservePages | null,
  test: (server: ObserveServer) => Promise<void>,
  bounds: Partial<ObserveBounds> = {},
): Promise<void> {
  const address = { hostname: "127.0.0.1", port: 0 };
  const server = await ObserveServer.open(address, { ...SHORT, requestMs: 10_000, ...bounds });
  if (pages !== null) server.show(pages);
  try {
    await test(server);
  } finally {
    await server.close();
  }
}

function connect({ url }: ObserveServer): Promise<Deno.TcpConn> {
  const { hostname, port } = new URL(url);
  return Deno.connect({ hostname, port: Number(port) });
}

/** All that comes until the other side closes; "" where it resets. */
async function readAll(connection: Deno.TcpConn): Promise<string> {
  try {
    return await new Response(connection.readable).text();
  } catch {
    return "";
  }
}

/** Sends these parts one after another and returns the whole answer. */
async function exchange(server: ObserveServer, ...parts: string[]): Promise<string> {
  const connection = await connect(server);
  for (const part of parts) {
    // It may be closed before all is asked.
    await connection.write(new TextEncoder().encode(part)).catch(() => {});
  }
  return await readAll(connection);
}

/** The status line and the text. */
async function answer(server: ObserveServer, ...parts: string[]): Promise<[string, string]> {
  const text = await exchange(server, ...parts);
  return [text.split("\r\n", 1)[0]!, text.slice(text.indexOf("\r\n\r\n") + 4)];
}

Deno.test("ObserveServer answers GET with a page, and HEAD with its header alone", async () => {
  await withServer(WELL, async (server) => {
    const head = "HTTP/1.1 200 OK\r\ncontent-type: text/x-metrics\r\ncontent-length: 8\r\n" +
      "cache-control: no-store\r\nconnection: close\r\n\r\n";
    assertEquals(await exchange(server, "GET /metrics HTTP/1.1\r\n\r\n"), `${head}a 1\nb 2\n`);
    assertEquals(await exchange(server, "GET /metrics?a=b HTTP/1.0\n\n"), `${head}a 1\nb 2\n`);
    assertEquals(await exchange(server, "HEAD /metrics HTTP/1.1\r\n", "a: b\r\n\r", "\n"), head);
    const ok: [string, string] = ["HTTP/1.1 200 OK", "ok\n"];
    assertEquals(await answer(server, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"), ok);
    assertEquals(await answer(server, "GET /readyz HTTP/1.1\r\n\r\n"), ok);
  });
});

Deno.test("ObserveServer says why the program is not healthy, and why it is not ready", async () => {
  const pages = { ...WELL, unhealthy: () => "It is ill.", unready: () => "It is late." };
  await withServer(pages, async (server) => {
    const unavailable = "HTTP/1.1 503 Service Unavailable";
    const get = (path: string) => answer(server, `GET ${path} HTTP/1.1\r\n\r\n`);
    assertEquals(await get("/healthz"), [unavailable, "It is ill.\n"]);
    assertEquals(await get("/readyz"), [unavailable, "It is late.\n"]);
  });
});

Deno.test("ObserveServer refuses everything else, and goes on", async () => {
  await withServer(WELL, async (server) => {
    const cases: [request: string, status: string][] = [
      ["GET / HTTP/1.1\r\n\r\n", "404 Not Found"],
      ["GET /metrics/../metrics HTTP/1.1\r\n\r\n", "404 Not Found"],
      ["GET http://127.0.0.1/metrics HTTP/1.1\r\n\r\n", "404 Not Found"],
      ["POST /metrics HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", "405 Method Not Allowed"],
      ["DELETE /healthz HTTP/1.1\r\n\r\n", "405 Method Not Allowed"],
      ["GET /metrics HTTP/2\r\n\r\n", "400 Bad Request"],
      ["\x16\x03\x01\x02\x00 a TLS client's hello\r\n\r\n", "400 Bad Request"],
      [
        `GET /metrics HTTP/1.1\r\na: ${"b".repeat(300)}\r\n\r\n`,
        "431 Request Header Fields Too Large",
      ],
    ];
    for (const [request, status] of cases) {
      assertEquals((await answer(server, request))[0], `HTTP/1.1 ${status}`, request);
    }
    const refused = await exchange(server, "PUT /healthz HTTP/1.1\r\n\r\n");
    assert(refused.includes("\r\nallow: GET, HEAD\r\n"), refused);
    assertEquals((await answer(server, "GET /healthz HTTP/1.1\r\n\r\n"))[1], "ok\n");
  });
});

Deno.test("ObserveServer is healthy and not ready while there is nothing to show yet", async () => {
  await withServer(null, async (server) => {
    const get = (path: string) => answer(server, `GET ${path} HTTP/1.1\r\n\r\n`);
    assertEquals(await get("/healthz"), ["HTTP/1.1 200 OK", "ok\n"]);
    for (const path of ["/readyz", "/metrics"]) {
      assertEquals(await get(path), [
        "HTTP/1.1 503 Service Unavailable",
        "Not ready: the state is not open yet.\n",
      ]);
    }
  });
});

Deno.test("ObserveServer answers 500 where a page cannot be made, and throws nothing", async () => {
  const pages = { ...WELL, metrics: () => Promise.reject(new Error("a bug")) };
  await withServer(pages, async (server) => {
    const [status] = await answer(server, "GET /metrics HTTP/1.1\r\n\r\n");
    assertEquals(status, "HTTP/1.1 500 Internal Server Error");
    assertEquals((await answer(server, "GET /healthz HTTP/1.1\r\n\r\n"))[1], "ok\n");
  });
});

Deno.test("ObserveServer ends a connection whose time is over, whatever it is at", async () => {
  const endless = {
    ...WELL,
    metrics: () => Promise.resolve({ text: "x".repeat(50e6), contentType: "a" }),
  };
  await withServer(endless, async (server) => {
    const idle = await connect(server);
    const slow = await connect(server);
    await slow.write(new TextEncoder().encode("GET /healthz HTT"));
    // It asks for more than fits into the sockets' buffers, and reads none of it.
    const deaf = await connect(server);
    await deaf.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\n\r\n"));
    assertEquals([await readAll(idle), await readAll(slow)], ["", ""]);
    await until(
      "there is room again",
      async () => (await answer(server, "GET /healthz HTTP/1.1\r\n\r\n"))[1] === "ok\n",
    );
    assert((await readAll(deaf)).length < 50e6);
  }, { requestMs: 300 });
});

Deno.test("ObserveServer closes at once what is more than its connections", async () => {
  await withServer(WELL, async (server) => {
    const held = [await connect(server), await connect(server), await connect(server)];
    assertEquals(await exchange(server, "GET /healthz HTTP/1.1\r\n\r\n"), "");
    held.pop()!.close();
    await until(
      "there is room again",
      async () => (await answer(server, "GET /healthz HTTP/1.1\r\n\r\n"))[1] === "ok\n",
    );
    for (const connection of held) connection.close();
  });
});

Deno.test("ObserveServer.open() listens on IPv6, and says why where it cannot listen", async () => {
  const server = await ObserveServer.open({ hostname: "::1", port: 0 });
  try {
    server.show(WELL);
    assert(/^http:\/\/\[::1\]:\d+$/.test(server.url), server.url);
    assertEquals(await (await fetch(`${server.url}/healthz`)).text(), "ok\n");
    const port = Number(new URL(server.url).port);
    await assertRejects(
      () => ObserveServer.open({ hostname: "::1", port }),
      IoError,
      `Cannot listen on [::1]:${port} (--metrics-address): the port is in use.`,
    );
  } finally {
    await server.close();
  }
});
