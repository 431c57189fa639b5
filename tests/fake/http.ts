/**
 * HTTP/1.1 by hand over a socket, for the server side: only so does every byte, its segment and
 * its absence stay in our hands.
 */
import type { Socket } from "node:net";

/** A request, read whole. */
export interface HttpRequest {
  method: string;
  /** Path and query as sent. */
  target: string;
  /** Names in lower case; of a name sent twice the last. */
  headers: Map<string, string>;
  body: Uint8Array;
}

/** Longest header or body that is taken, bytes; kube-apiserver's limit for a body is 3 MiB. */
const REQUEST_BYTES_MAX = 3 * 1024 * 1024;

/** Reads one request after the other from a socket. Keeps reading, so that it sees the end. */
export class RequestReader {
  #chunks: Uint8Array[] = [];
  #held: Uint8Array = new Uint8Array(0);
  #wake: (() => void) | null = null;
  #ended = false;
  #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    const wake = () => {
      this.#wake?.();
      this.#wake = null;
    };
    socket.on("data", (chunk: Uint8Array) => {
      this.#chunks.push(chunk);
      wake();
    });
    const end = () => {
      this.#ended = true;
      wake();
    };
    socket.on("end", end).on("close", end).on("error", end);
  }

  /** The next request; null when the client is gone. @throws Error on what is no HTTP/1.1 */
  async next(): Promise<HttpRequest | null> {
    const head = await this.#headerText();
    if (head === null) return null;
    const [first = "", ...lines] = head.split("\r\n");
    const [method = "", target = "", version] = first.split(" ");
    if (version !== "HTTP/1.1" && version !== "HTTP/1.0") throw new Error(`No HTTP: ${first}`);
    const headers = new Map<string, string>();
    for (const line of lines) {
      const colon = line.indexOf(":");
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    // curl asks before it sends a large body.
    if (headers.get("expect") === "100-continue") {
      this.#socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    }
    const body = headers.get("transfer-encoding") === "chunked"
      ? await this.#chunkedBody()
      : await this.#take(Number(headers.get("content-length") ?? 0));
    return body === null ? null : { method, target, headers, body };
  }

  async #headerText(): Promise<string | null> {
    for (;;) {
      const text = latin1(this.#held);
      const end = text.indexOf("\r\n\r\n");
      if (end !== -1) {
        this.#held = this.#held.subarray(end + 4);
        return text.slice(0, end);
      }
      if (!await this.#more()) return null;
    }
  }

  async #chunkedBody(): Promise<Uint8Array | null> {
    const parts: Uint8Array[] = [];
    for (;;) {
      const line = latin1(this.#held).indexOf("\r\n");
      if (line === -1) {
        if (!await this.#more()) return null;
        continue;
      }
      const size = parseInt(latin1(this.#held.subarray(0, line)), 16);
      this.#held = this.#held.subarray(line + 2);
      const part = await this.#take(size + 2);
      if (part === null) return null;
      if (size === 0) return joined(parts);
      parts.push(part.subarray(0, size));
    }
  }

  async #take(size: number): Promise<Uint8Array | null> {
    while (this.#held.length < size) {
      if (!await this.#more()) return null;
    }
    const taken = this.#held.subarray(0, size);
    this.#held = this.#held.subarray(size);
    return taken;
  }

  /** Waits for further bytes; false = there are none to come. */
  async #more(): Promise<boolean> {
    if (this.#held.length > REQUEST_BYTES_MAX) throw new Error("Request too large");
    if (this.#chunks.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    if (this.#chunks.length === 0) return false;
    this.#held = joined([this.#held, ...this.#chunks.splice(0)]);
    return true;
  }
}

/** One array of bytes made of several. */
export function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const latin1Decoder = new TextDecoder("latin1");

function latin1(bytes: Uint8Array): string {
  return latin1Decoder.decode(bytes);
}
