/**
 * Stands between the program and a real API server: hands each request on, counts them, and ends
 * watches as networks, proxies and impatient servers do.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { Pki } from "../support/pki.ts";
import type { ApiServerAccess } from "./api_server.ts";

/** A request that the program made. */
export interface RelayedRequest {
  verb: "LIST" | "WATCH";
  /** HTTP status of the answer. */
  status: number;
}

/** What happens to the answer of a WATCH. */
export interface WatchFate {
  /** The server is asked to end it after so long; null = as the program wants it. */
  seconds: number | null;
  /** It breaks off behind so many bytes, wherever that is. */
  bytes: number;
}

/** Nothing happens to it. */
export const UNHARMED: WatchFate = { seconds: null, bytes: Infinity };

/** See the head of this file. */
export class Relay implements AsyncDisposable {
  /** All that the program asked for, in order. */
  readonly requests: RelayedRequest[] = [];
  /** Decides what happens to the next WATCH. */
  fate: () => WatchFate = () => UNHARMED;
  readonly #pki = new Pki("relay-ca");
  readonly #upstream: string;
  readonly #client: Deno.HttpClient;
  readonly #server: Server;
  readonly #answers = new Set<ServerResponse>();

  private constructor({ url, ca }: ApiServerAccess) {
    this.#upstream = url;
    this.#client = Deno.createHttpClient({ caCerts: [ca] });
    this.#server = createServer(
      this.#pki.server(),
      (request, answer) => void this.#handOn(request, answer),
    );
  }

  /** Starts one in front of a server. */
  static async start(server: ApiServerAccess): Promise<Relay> {
    const relay = new Relay(server);
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  /** Writes a kubeconfig that leads here. `user` as in a kubeconfig, such as `{token}`. */
  writeKubeconfig(path: string, user: Record<string, string>): void {
    const cluster = {
      server: `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      "certificate-authority-data": btoa(this.#pki.ca),
    };
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "relay",
      clusters: [{ name: "relay", cluster }],
      users: [{ name: "relay", user }],
      contexts: [{ name: "relay", context: { cluster: "relay", user: "relay" } }],
    };
    Deno.writeTextFileSync(path, JSON.stringify(config));
  }

  /** Breaks all answers off that are under way. */
  cut(): void {
    for (const answer of this.#answers) answer.destroy();
  }

  /** How many requests there were of a kind. */
  count(verb: RelayedRequest["verb"], status?: number): number {
    return this.requests.filter((one) =>
      one.verb === verb && (status === undefined || one.status === status)
    ).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#client.close();
  }

  async #handOn(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url!, this.#upstream);
    const verb = searchParams.has("watch") ? "WATCH" : "LIST";
    const { seconds, bytes } = verb === "WATCH" ? this.fate() : UNHARMED;
    if (seconds !== null) searchParams.set("timeoutSeconds", `${seconds}`);
    const end = new AbortController();
    this.#answers.add(answer);
    answer.on("close", () => {
      this.#answers.delete(answer);
      end.abort();
    });
    try {
      const { status, headers, body } = await fetch(
        `${this.#upstream}${pathname}?${searchParams}`,
        { headers: headersOf(request), client: this.#client, signal: end.signal },
      );
      this.requests.push({ verb, status });
      answer.writeHead(status, Object.fromEntries(headers));
      answer.flushHeaders();
      await pipeline(breakingOff(body!, bytes), answer);
    } catch {
      answer.destroy(); // The server is away, or the program is.
    }
  }
}

/** The first bytes of a body; then it fails, if there are more. */
async function* breakingOff(
  body: ReadableStream<Uint8Array>,
  bytes: number,
): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const part of body) {
    yield part.subarray(0, left);
    left -= part.length;
    if (left > 0) continue;
    // What is still in a buffer when an answer is destroyed is not sent.
    await new Promise((resolve) => setTimeout(resolve, 20));
    throw new Error("broken off");
  }
}

/** What the server is to know of a request. */
function headersOf({ headers }: IncomingMessage): [string, string][] {
  return ["accept", "accept-encoding", "authorization", "user-agent"]
    .flatMap((name) => typeof headers[name] === "string" ? [[name, headers[name]]] : []);
}
