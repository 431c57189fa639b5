/**
 * What tests need to talk to the fake server: small clients and a poll with a deadline.
 */
import type { FakeApiServer, FakeApiServerOptions } from "./server.ts";
import { startFakeApiServer } from "./server.ts";

/** A LIST, an event or a Status, as far as tests look into it. */
export interface AnyBody {
  metadata: Record<string, string> & { remainingItemCount?: number };
  items: { metadata: Record<string, string>; kind?: string; count?: number }[];
  reason: string;
  message: string;
  code: number;
  details: { causes: [{ reason: string }] };
}

/** Runs a test with a server that is closed whatever happens. */
export async function withServer(
  options: FakeApiServerOptions,
  test: (server: FakeApiServer) => void | Promise<void>,
): Promise<void> {
  const server = await startFakeApiServer(options);
  try {
    await test(server);
  } finally {
    await server.close();
  }
}

/** Waits until a condition holds. @throws Error after the deadline, ms */
export async function until(condition: () => boolean, deadlineMs = 10_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Not within ${deadlineMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The text of a GET. @throws Error if it is not answered by that status */
export async function getText(
  server: FakeApiServer,
  path: string,
  headers: Record<string, string> = {},
  status = 200,
): Promise<string> {
  const response = await fetch(server.url + path, { headers });
  const text = await response.text();
  if (response.status !== status) throw new Error(`GET ${path}: ${response.status} ${text}`);
  return text;
}

/** The JSON of a GET. @throws Error if it is not answered by that status */
export async function json(server: FakeApiServer, path: string, status = 200): Promise<AnyBody> {
  return JSON.parse(await getText(server, path, {}, status));
}

/** Sends an object (PATCH: as a merge patch). @throws Error if it is not answered by that status */
export async function send(
  server: FakeApiServer,
  method: string,
  path: string,
  body: object | null,
  status: number,
): Promise<AnyBody> {
  const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
  const response = await fetch(server.url + path, {
    method,
    headers: { "content-type": type },
    ...(body !== null && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (response.status !== status) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text);
}

/** The lines of a WATCH until it ends or so many have come. @throws what the body throws */
export async function watchLines(
  server: FakeApiServer,
  path: string,
  most = Infinity,
): Promise<string[]> {
  const abort = new AbortController();
  const response = await fetch(server.url + path, { signal: abort.signal });
  const lines: string[] = [];
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    rest += decoder.decode(chunk, { stream: true });
    const parts = rest.split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    if (lines.length >= most) break;
  }
  abort.abort();
  return lines;
}

/** "TYPE resourceVersion" of each line of a WATCH. */
export function versionsOf(lines: string[]): string[] {
  return lines.map((line) => {
    const { type, object } = JSON.parse(line);
    return `${type} ${object.metadata.resourceVersion}`;
  });
}

/** The names in a LIST, in its order. */
export function namesOf(list: AnyBody): string[] {
  return list.items.map(({ metadata }) => metadata.name ?? "");
}

/** An answer as it came over the wire. */
export interface Raw {
  head: string;
  body: string;
  bytes: Uint8Array;
  /** Reads that it took. */
  segments: number;
  /** `unclean`: TLS ended without close_notify. `open`: not ended when the time was over. */
  end: "eof" | "reset" | "unclean" | "open";
}

/** GETs without an HTTP client; what has come when `waitMs` have passed without an end. */
export async function rawGet(
  server: FakeApiServer,
  path: string,
  waitMs = 5000,
  connect: () => Promise<Deno.Conn> = () => Deno.connect({ port: server.port }),
): Promise<Raw> {
  const conn = await connect();
  await conn.write(new TextEncoder().encode(`GET ${path} HTTP/1.1\r\nHost: fake\r\n\r\n`));
  const parts: Uint8Array[] = [];
  let end: Raw["end"] = "open";
  let isOver = false;
  const timer = setTimeout(() => {
    // Closing our side would not wake a read that waits, so the server has to hang up.
    isOver = true;
    server.dropConnections("fin");
  }, waitMs);
  const buffer = new Uint8Array(65536);
  try {
    for (;;) {
      const size = await conn.read(buffer);
      if (size === null) break;
      parts.push(buffer.slice(0, size));
    }
    end = "eof";
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) end = "reset";
    else if (error instanceof Deno.errors.UnexpectedEof) end = "unclean";
    else throw error;
  }
  if (isOver) end = "open";
  conn.close();
  clearTimeout(timer);
  const bytes = new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  const split = text.indexOf("\r\n\r\n") + 4;
  return {
    head: text.slice(0, split),
    body: text.slice(split),
    bytes,
    segments: parts.length,
    end,
  };
}
