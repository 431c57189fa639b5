/**
 * One HTTP answer on its way out: header, framing, compression, and the faults that are done to
 * bytes (cut, trickle).
 */
import type { Socket } from "node:net";
import { brotliCompressSync, gzipSync } from "node:zlib";
import type { CutHow, FaultAction } from "./faults.ts";
import { joined } from "./http.ts";

/** How an answer ended. `client`: the client went first. `open`: it has not ended. */
export type AnswerEnd = "complete" | "client" | "reset" | "fin" | "silence" | "open";

const REASONS: Record<number, string> = {
  200: "OK",
  201: "Created",
  302: "Found",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  409: "Conflict",
  410: "Gone",
  415: "Unsupported Media Type",
  422: "Unprocessable Entity",
  429: "Too Many Requests",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** Go's net/http sets Content-Length by itself for what fits its buffer, else it sends chunks. */
const LENGTH_BYTES_MAX = 2048;

const encoder = new TextEncoder();

/** Text as UTF-8, bytes as they are. */
export function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}

/** The headers of every answer, in the server's order. */
export function commonHeaders(contentType: string): [string, string][] {
  return [
    ["Audit-Id", crypto.randomUUID()],
    ["Cache-Control", "no-cache, private"],
    ["Content-Type", contentType],
  ];
}

/** See the head of this file. Writes queue behind each other, so anyone may send at any time. */
export class Answer {
  /** Status of the header sent; 0 = none yet. */
  status = 0;
  /** Body bytes before compression and framing. */
  bytes = 0;
  /** Lines sent with {@linkcode Answer.line}. */
  events = 0;
  /** How it ended. */
  ended: AnswerEnd = "open";
  /** Settles when it has ended, one way or another; never rejects. */
  readonly done: Promise<void>;
  #finish!: () => void;
  #socket: Socket;
  #raw: Socket;
  #action: FaultAction;
  #framing: "chunked" | "length" | "eof" = "chunked";
  /** Body bytes left before the cut; null = not there yet. */
  #left: number | null = null;
  #queue: Promise<void> = Promise.resolve();
  /** What to call at the end. Races against `done` would pile up on it, one for each write. */
  #waiting = new Set<() => void>();

  /** `raw` is the TCP socket under `socket` (the same one without TLS). */
  constructor(socket: Socket, raw: Socket, action: FaultAction) {
    this.#socket = socket;
    this.#raw = raw;
    this.#action = action;
    this.done = new Promise((resolve) => this.#finish = resolve);
    const gone = () => this.#end("client");
    socket.once("close", gone).once("end", gone);
    this.done.then(() => socket.off("close", gone).off("end", gone));
    if (socket.destroyed) gone();
  }

  /** Whether the connection can bear another answer. */
  get reusable(): boolean {
    return this.ended === "complete" && this.#framing !== "eof" &&
      typeof this.#action.framing !== "number";
  }

  /** Sends a header and a body that is known whole. */
  async whole(
    status: number,
    headers: [string, string][],
    data: string | Uint8Array,
  ): Promise<void> {
    const body = this.#encode(bytesOf(data));
    const framing = this.#action.framing ??
      (body.length > LENGTH_BYTES_MAX ? "chunked" : "length");
    await this.#head(status, headers, framing, body.length);
    await this.#write(bytesOf(data), body);
    await this.end();
  }

  /** Sends the header of a body that comes in lines. */
  async start(status: number, headers: [string, string][]): Promise<void> {
    await this.#head(status, headers, this.#action.framing ?? "chunked", 0);
  }

  /** Sends bytes of the body. */
  async send(data: string | Uint8Array): Promise<void> {
    const bytes = bytesOf(data);
    await this.#write(bytes, this.#encode(bytes));
  }

  /** Sends what stands for one event, which counts for a cut after a number of events. */
  async line(parts: (string | Uint8Array)[]): Promise<void> {
    await this.send(joined(parts.map(bytesOf)));
    // One that a cut ended in its middle is none.
    if (this.ended !== "open") return;
    this.events++;
    await this.#enqueue(() => this.#countedCut());
  }

  /** Ends the body properly. */
  async end(): Promise<void> {
    await this.#enqueue(async () => {
      if (this.#framing === "chunked") await this.#put(encoder.encode("0\r\n\r\n"));
      if (this.#framing === "eof") this.#socket.end();
      this.#end("complete");
    });
  }

  /** Ends it improperly, at once: behind what was handed to the kernel, before what is queued. */
  async cut(how: CutHow): Promise<void> {
    if (this.ended !== "open") return;
    if (how === "end") return await this.end();
    this.#end(how);
    // Without half-closing: both directions end. destroy() of a TLS socket sends no close_notify.
    if (how === "fin") this.#socket === this.#raw ? this.#raw.end() : this.#socket.destroy();
    if (how === "reset") this.#raw.resetAndDestroy();
  }

  #end(how: AnswerEnd): void {
    if (this.ended !== "open") return;
    this.ended = how;
    for (const resolve of this.#waiting) resolve();
    this.#finish();
  }

  #enqueue(work: () => Promise<void>): Promise<void> {
    const next = this.#queue.then(() => this.ended === "open" ? work() : undefined);
    this.#queue = next;
    return next;
  }

  async #head(
    status: number,
    headers: [string, string][],
    framing: "chunked" | "length" | "eof" | number,
    length: number,
  ): Promise<void> {
    const all = new Map([...headers, ["Date", new Date().toUTCString()]]);
    if (this.#action.encoding !== undefined) all.set("Content-Encoding", this.#action.encoding);
    this.#framing = typeof framing === "number" ? "length" : framing;
    if (framing === "eof") all.set("Connection", "close");
    else if (framing === "chunked") all.set("Transfer-Encoding", "chunked");
    else all.set("Content-Length", `${typeof framing === "number" ? framing : length}`);
    for (const [name, value] of Object.entries(this.#action.headers ?? {})) {
      if (value === null) all.delete(name);
      else all.set(name, value);
    }
    const lines = [...all].map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const text = `HTTP/1.1 ${status} ${REASONS[status] ?? "Unknown"}\r\n${lines}\r\n`;
    await this.#enqueue(async () => {
      this.status = status;
      await this.#put(encoder.encode(text), this.#action.trickle?.from !== "body");
      await this.#countedCut();
    });
  }

  /** `plain` is what a cut counts, `encoded` what goes out if there is none in it. */
  async #write(plain: Uint8Array, encoded: Uint8Array): Promise<void> {
    if (plain.length === 0) return;
    await this.#enqueue(async () => {
      const left = this.#left;
      if (left === null || plain.length < left) {
        if (left !== null) this.#left = left - plain.length;
        this.bytes += plain.length;
        return await this.#put(this.#framed(encoded));
      }
      this.bytes += left;
      const part = this.#action.encoding === undefined
        ? plain.subarray(0, left)
        : encoded.subarray(0, Math.floor(encoded.length * left / plain.length));
      // A proper end frames the part properly; any other end is in the middle of the chunk.
      const isProper = this.#action.cut?.how === "end" || part.length === encoded.length;
      const chunk = this.#framed(isProper ? part : encoded);
      const tail = this.#framing === "chunked" ? 2 : 0;
      const missing = isProper ? 0 : encoded.length - part.length + tail;
      await this.#put(chunk.subarray(0, chunk.length - missing));
      await this.#doCut();
    });
  }

  async #countedCut(): Promise<void> {
    const cut = this.#action.cut;
    if (cut === undefined || this.#left !== null || this.events < (cut.events ?? 0)) return;
    this.#left = cut.bytes ?? 0;
    if (this.#left === 0) await this.#doCut();
  }

  async #doCut(): Promise<void> {
    const cut = this.#action.cut;
    if (cut === undefined) return;
    await this.pause(cut.delayMs ?? 0);
    if (cut.how !== "end") return await this.cut(cut.how);
    if (this.#framing === "chunked") await this.#put(encoder.encode("0\r\n\r\n"));
    // Short of a Content-Length, the only proper end is that of the connection.
    else this.#socket.end();
    this.#end("complete");
  }

  #encode(bytes: Uint8Array): Uint8Array {
    if (this.#action.encoding === "gzip") return gzipSync(bytes, { level: 1 });
    return this.#action.encoding === "br" ? brotliCompressSync(bytes) : bytes;
  }

  #framed(bytes: Uint8Array): Uint8Array {
    if (this.#framing !== "chunked") return bytes;
    const size = encoder.encode(`${bytes.length.toString(16)}\r\n`);
    return joined([size, bytes, encoder.encode("\r\n")]);
  }

  /** To the kernel, in one piece or in segments; waits while the client does not read. */
  async #put(bytes: Uint8Array, isTrickled = true): Promise<void> {
    const trickle = isTrickled ? this.#action.trickle : undefined;
    const step = trickle === undefined ? bytes.length : trickle.bytes ?? 1;
    for (let at = 0; at < bytes.length && this.ended === "open"; at += step) {
      // Deno 2.8.3 panics where a TLS socket writes and the TCP socket under it is closed: it calls
      // back within the write (denoland/deno#35820, which later versions have mended).
      if (this.#raw.destroyed) return this.#end("client");
      const part = bytes.subarray(at, at + step);
      await this.#untilEnd((resolve) => this.#socket.write(part, () => resolve()));
      await this.pause(trickle?.delayMs ?? 0);
    }
  }

  /** Waits, but not longer than the answer lasts. */
  async pause(ms: number): Promise<void> {
    if (ms <= 0 || this.ended !== "open") return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await this.#untilEnd((resolve) => {
      // Infinity is longer than any timer: only the end of the answer ends such a pause.
      if (ms !== Infinity) timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
  }
  /** Waits until `start` calls its argument or the answer ends. */
  async #untilEnd(start: (resolve: () => void) => void): Promise<void> {
    let settle = () => {};
    await new Promise<void>((resolve) => {
      settle = resolve;
      this.#waiting.add(settle);
      start(resolve);
    });
    this.#waiting.delete(settle);
  }
}
