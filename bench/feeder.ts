/**
 * An API server that does nothing but send events, as fast as it is read: a process of its own.
 *
 * `deno run -A bench/feeder.ts [CERT KEY]` prints its port and one for LISTs, then one line of JSON for each request
 * it gets: `{"atMs":…,"verb":"watch","from":0}`. What it serves stands in the path that precedes
 * /api/v1/events, such as `/list=1000,watch=300000`:
 *
 * - `list`, `watch`: events that a LIST shows, and that happen after it
 * - `rate`: events a second in the WATCH; 0 = as fast as they are read
 * - `message`: pads messages to so many bytes
 * - `end`: 1 = the WATCH ends after the last event instead of staying open
 *
 * HTTP/1.1 is written by hand: each event of a WATCH is a chunk of its own, since a kube-apiserver
 * flushes each, and a LIST comes in chunks of 2 KiB, since it encodes item by item (1.33 and later)
 * through net/http's buffer of that size. Unlike there, many chunks go in one write: an API server
 * in a hurry is no faster.
 */

import { Block, FIRST_VERSION, numberBehind, ROUND, versionOf } from "./feed.ts";
import { type Conn, listenWithoutDelay } from "./node_conn.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Events in a write: some 260 KB. */
const BLOCK_EVENTS = 20 * ROUND;
/** Between two writes where a rate is asked for, ms. */
const TICK_MS = 10;

/** What to serve. */
interface Feed {
  list: number;
  watch: number;
  rate: number;
  message: number;
  end: number;
}

const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" +
  "Transfer-Encoding: chunked\r\n\r\n";
const LAST_CHUNK = encoder.encode("0\r\n\r\n");

/** Blocks that nobody sends of: to print the events anew for each page would cost more than they. */
const idleBlocks = new Map<string, Block[]>();

/** Sends of a block that nobody else uses meanwhile. */
async function withBlock(
  verb: "watch" | "list",
  message: number,
  use: (block: Block) => Promise<void>,
): Promise<void> {
  const name = `${verb} ${message}`;
  const idle = idleBlocks.get(name) ?? [];
  idleBlocks.set(name, idle);
  const size = message > 10_000 ? ROUND : BLOCK_EVENTS;
  const frame = verb === "watch" ? watchFrame : (text: string) => `${text},`;
  const block = idle.pop() ?? new Block(size, verb, frame, message);
  try {
    await use(block);
  } finally {
    idle.push(block);
  }
}

/** The head of a request: its path and query; null where the client went away. */
async function readRequest(conn: Conn): Promise<URL | null> {
  let text = "";
  const buffer = new Uint8Array(16 * 1024);
  while (!text.includes("\r\n\r\n")) {
    const count = await conn.read(buffer);
    if (count === null) return null;
    text += decoder.decode(buffer.subarray(0, count));
  }
  return new URL(text.split(" ")[1]!, "http://feeder");
}

async function send(conn: Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

function feedOf(path: string): Feed {
  const feed: Feed = { list: 0, watch: 0, rate: 0, message: 0, end: 0 };
  for (const [, name, value] of path.matchAll(/(\w+)=(\d+)/g)) {
    feed[name as keyof Feed] = Number(value);
  }
  return feed;
}

function note(verb: string, from: number): void {
  const atMs = performance.timeOrigin + performance.now();
  console.log(JSON.stringify({ atMs, verb, from }));
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

function watchFrame(text: string): string {
  return chunk(`{"type":"ADDED","object":${text}}\n`);
}

/** Events from number `from` on. */
async function serveWatch(conn: Conn, feed: Feed, from: number, block: Block): Promise<void> {
  const { list, watch, rate, end } = feed;
  const last = list + watch;
  const startMs = performance.now();
  // A resumed WATCH may begin anywhere: its first events come one by one until a round is full.
  for (let next = from; next < last;) {
    const due = rate === 0
      ? last
      : Math.min(last, from + Math.floor((performance.now() - startMs) * rate / 1000));
    const skew = next % ROUND;
    const count = Math.min(block.size - skew, due - next);
    if (count > 0) {
      const bytes = block.bytes(next - skew, skew + count);
      await send(conn, bytes.subarray(block.startOf(skew)));
      next += count;
    } else await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  if (end === 1) await send(conn, LAST_CHUNK);
  else await conn.read(new Uint8Array(1));
}

/** Pages of a LIST, or all of it where no limit is given. */
async function serveList(
  conn: Conn,
  feed: Feed,
  query: URLSearchParams,
  block: Block,
): Promise<void> {
  const limit = Number(query.get("limit") ?? 0) || feed.list;
  const first = Number(query.get("continue") ?? 0);
  const last = Math.min(feed.list, first + limit);
  const rest = feed.list - last;
  const next = rest === 0 ? "" : `,"continue":"${last}","remainingItemCount":${rest}`;
  const chunks = new Chunks(conn);
  await chunks.add(encoder.encode(
    `{"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":"${
      feed.list === 0 ? FIRST_VERSION : versionOf(feed.list - 1)
    }"${next}},"items":[`,
  ));
  for (let at = first; at < last; at += block.size) {
    const bytes = block.bytes(at, last - at);
    const isEnd = at + block.size >= last;
    await chunks.add(isEnd ? bytes.subarray(0, -1) : bytes);
  }
  await chunks.add(encoder.encode("]}\n"));
  await chunks.end();
}

/** Cuts what it is given into chunks of net/http's size. */
class Chunks {
  readonly #conn: Conn;
  readonly #head = encoder.encode("800\r\n");
  readonly #out = new Uint8Array(512 * 1024);
  readonly #part = new Uint8Array(2048);
  #held = 0;
  /** Bytes of #out that are still to be sent: at first the answer's head. */
  #waiting: number;

  constructor(conn: Conn) {
    this.#conn = conn;
    this.#waiting = encoder.encodeInto(HEAD, this.#out).written;
  }

  async add(bytes: Uint8Array): Promise<void> {
    // The head goes with what follows it, as from net/http's buffer.
    let to = this.#waiting;
    for (let at = 0; at < bytes.length;) {
      const count = Math.min(this.#part.length - this.#held, bytes.length - at);
      this.#part.set(bytes.subarray(at, at + count), this.#held);
      this.#held += count;
      at += count;
      if (this.#held < this.#part.length) break;
      if (to + this.#part.length + 16 > this.#out.length) {
        await send(this.#conn, this.#out.subarray(0, to));
        to = 0;
      }
      to = this.#write(to, this.#head, this.#part);
      this.#held = 0;
    }
    this.#waiting = 0;
    if (to < this.#part.length) this.#waiting = to;
    else await send(this.#conn, this.#out.subarray(0, to));
  }

  async end(): Promise<void> {
    const head = encoder.encode(`${this.#held.toString(16)}\r\n`);
    const to = this.#write(this.#waiting, head, this.#part.subarray(0, this.#held));
    this.#out.set(LAST_CHUNK, to);
    await send(this.#conn, this.#out.subarray(0, to + LAST_CHUNK.length));
  }

  #write(to: number, head: Uint8Array, bytes: Uint8Array): number {
    this.#out.set(head, to);
    this.#out.set(bytes, to + head.length);
    const end = to + head.length + bytes.length;
    this.#out[end] = 0x0d;
    this.#out[end + 1] = 0x0a;
    return end + 2;
  }
}

async function serve(conn: Conn): Promise<void> {
  try {
    for (;;) {
      const url = await readRequest(conn);
      if (url === null) return;
      const feed = feedOf(url.pathname);
      if (url.searchParams.has("watch")) {
        const from = numberBehind(url.searchParams.get("resourceVersion") ?? "");
        note("watch", from);
        await send(conn, encoder.encode(HEAD));
        await withBlock("watch", feed.message, (block) => serveWatch(conn, feed, from, block));
        return;
      }
      note("list", Number(url.searchParams.get("continue") ?? 0));
      await withBlock("list", feed.message, (block) => {
        return serveList(conn, feed, url.searchParams, block);
      });
    }
  } catch {
    // The client went away.
  } finally {
    conn.close();
  }
}

const [certFile, keyFile] = Deno.args;
const at = { hostname: "127.0.0.1", port: 0 };
const tls = certFile === undefined || keyFile === undefined
  ? null
  : { cert: Deno.readTextFileSync(certFile), key: Deno.readTextFileSync(keyFile) };
const listener = tls === null ? Deno.listen(at) : Deno.listenTls({ ...at, ...tls });
const pagesPort = tls === null
  ? listener.addr.port
  : await listenWithoutDelay(tls.cert, tls.key, (conn) => void serve(conn));
console.log(`${listener.addr.port} ${pagesPort}`);
for await (const conn of listener) {
  // As net/http does: else the last bytes of a page wait 40 ms for the reader's delayed ACK.
  if ("setNoDelay" in conn) (conn as Deno.TcpConn).setNoDelay(true);
  void serve(conn);
}
