/**
 * Requests to the API server: one HTTP client, its credentials, and every way in which an answer
 * can be none. What the bytes of an answer mean is not its business.
 *
 * HTTP/1.1 and no idle connections: over HTTP/2 a dead connection is used again and hangs, and a
 * body that nobody reads stalls the others (denoland/deno#21749). Redirects are not followed: the
 * Authorization header is for this server alone.
 */

import { messageOf } from "./errors.ts";
import { FormatError, parseJson, printable } from "./json_bytes.ts";
import { JsonNumber } from "./json_tree.ts";
import {
  CREDENTIALS_WAIT_MS,
  ERROR_BODY_BYTES_MAX,
  HEADER_TIMEOUT_MS,
  RETRY_AFTER_MAX_MS,
} from "./limits.ts";
import type { Credentials } from "./protocol.ts";
import { VERSION } from "./version.ts";

/** Longest text of a server that is put into a message, characters. */
const SERVER_TEXT_MAX = 500;

/**
 * No answer, or one that is none. The message is one line, and holds no credential and no query.
 */
export class ApiFailure extends Error {
  override readonly name = "ApiFailure";
  /** The HTTP status, or the code of an ERROR event; 0 where there was no answer. */
  readonly status: number;
  /** The reason of a Kubernetes Status; "" where there was none. */
  readonly reason: string;
  /** How long the server wants to be left alone, ms, at most RETRY_AFTER_MAX_MS. */
  readonly retryAfterMs: number;

  constructor(
    message: string,
    { status = 0, reason = "", retryAfterMs = 0 }: {
      status?: number;
      reason?: string;
      retryAfterMs?: number;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * The body of an answer, read into memory that the caller gives and gets back.
 *
 * An abort also cancels the reader. On its own it may be lost: fetch() follows a signal that is
 * derived from the given one, and Deno (2.6.10, 2.8.3) lets the garbage collector take that one
 * once the header is there.
 */
export class Body {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #signal: AbortSignal;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>, signal: AbortSignal) {
    this.#reader = stream.getReader({ mode: "byob" });
    this.#signal = signal;
    signal.addEventListener("abort", () => this.cancel(), { once: true });
    if (signal.aborted) this.cancel();
  }

  /** Nothing more of it is wanted. */
  cancel(): void {
    // Where the stream broke or an abort got through to it, there is nothing to cancel.
    this.#reader.cancel().catch(() => {});
  }

  /**
   * The next bytes: at the front of `room`, whose memory moves into the result; null at the end.
   *
   * @throws ApiFailure where the connection broke; the abort's reason
   */
  async read(room: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer> | null> {
    let result: ReadableStreamReadResult<Uint8Array<ArrayBuffer>>;
    try {
      result = await this.#reader.read(room);
    } catch (error) {
      if (this.#signal.aborted) throw this.#signal.reason;
      throw new ApiFailure(messageOf(error));
    }
    if (this.#signal.aborted) throw this.#signal.reason;
    return result.done ? null : result.value;
  }
}

/** Waits of a client, ms. */
export interface ClientTimes {
  /** For the header of an answer. */
  headerMs: number;
  /** For new credentials, after a 401. */
  credentialsMs: number;
}

/** See lib/limits.ts. */
export const CLIENT_TIMES: Readonly<ClientTimes> = {
  headerMs: HEADER_TIMEOUT_MS,
  credentialsMs: CREDENTIALS_WAIT_MS,
};

/** See the head of this file. */
export class ApiClient {
  readonly #server: string;
  readonly #askForCredentials: () => void;
  readonly #times: ClientTimes;
  #credentials: Credentials;
  /** Counts the credentials that came. */
  #version = 0;
  #isAsked = false;
  #http: Deno.HttpClient | null = null;
  #waiting = new Set<() => void>();

  /**
   * @param server base URL without a trailing slash
   * @param askForCredentials called at a 401; new ones are to come by setCredentials()
   */
  constructor(
    server: string,
    credentials: Credentials,
    askForCredentials: () => void,
    times: ClientTimes = CLIENT_TIMES,
  ) {
    this.#server = server;
    this.#credentials = credentials;
    this.#askForCredentials = askForCredentials;
    this.#times = times;
  }

  /**
   * For all requests from now on. What is under way goes on: a server looks at its beginning.
   *
   * @throws TypeError and others where the certificates or the key are none; then the old ones stay
   * in use, with the new Authorization header
   */
  setCredentials(credentials: Credentials): void {
    const { caCerts, cert, key } = this.#credentials;
    const isSame = caCerts.join() === credentials.caCerts.join() && cert === credentials.cert &&
      key === credentials.key;
    this.#credentials = { caCerts, cert, key, authorization: credentials.authorization };
    this.#version++;
    this.#isAsked = false;
    for (const wake of this.#waiting) wake();
    if (isSame) return;
    const http = makeHttpClient(credentials);
    this.#credentials = credentials;
    this.close();
    this.#http = http;
  }

  /** Lets the connections go. A later request makes new ones. */
  close(): void {
    this.#http?.close();
    this.#http = null;
  }

  /**
   * GETs a path and returns the body of a 200 in JSON, to be read. After a 401 it is tried once
   * more where new credentials come in time.
   *
   * @param controller aborts the request and the reading; it is aborted here where no header came
   * @throws ApiFailure; the abort's reason
   */
  async open(
    path: string,
    query: URLSearchParams,
    controller: AbortController,
  ): Promise<Body> {
    const version = this.#version;
    try {
      return await this.#open(path, query, controller);
    } catch (error) {
      if (!(error instanceof ApiFailure) || error.status !== 401) throw error;
      await this.#renewed(version, controller.signal);
      if (version === this.#version) throw error;
      return await this.#open(path, query, controller);
    }
  }

  async #open(
    path: string,
    query: URLSearchParams,
    controller: AbortController,
  ): Promise<Body> {
    const { headerMs } = this.#times;
    const timer = setTimeout(() => {
      controller.abort(new ApiFailure(`no answer within ${headerMs / 1000} s`));
    }, headerMs);
    try {
      const response = await this.#fetch(`${path}?${query}`, controller.signal);
      const type = response.headers.get("content-type") ?? "";
      if (response.status !== 200) throw await this.#failureOf(response, controller.signal);
      if (response.body !== null && /^application\/json\s*(;|$)/i.test(type)) {
        return new Body(response.body, controller.signal);
      }
      await cancel(response);
      throw new ApiFailure(`the answer is of the type ${quoted(type)} instead of JSON`);
    } finally {
      clearTimeout(timer);
    }
  }

  async #fetch(pathAndQuery: string, signal: AbortSignal): Promise<Response> {
    const { authorization } = this.#credentials;
    const headers: Record<string, string> = {
      "accept": "application/json",
      "user-agent": `kube-event-pipe/${VERSION}`,
    };
    if (authorization !== null) headers["authorization"] = authorization;
    try {
      this.#http ??= makeHttpClient(this.#credentials);
      const init = { client: this.#http, headers, signal, redirect: "manual" as const };
      return await fetch(this.#server + pathAndQuery, init);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // Refused, reset, no such name, a certificate that is not trusted, credentials that are none.
      throw new ApiFailure(this.#clean(messageOf(error)));
    }
  }

  /** Settles when other credentials than those of `version` came, or did not come for too long. */
  async #renewed(version: number, signal: AbortSignal): Promise<void> {
    if (version !== this.#version || signal.aborted) return;
    if (!this.#isAsked) this.#askForCredentials();
    this.#isAsked = true;
    await new Promise<void>((resolve) => {
      const settle = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", settle);
        this.#waiting.delete(settle);
        resolve();
      };
      const timer = setTimeout(settle, this.#times.credentialsMs);
      signal.addEventListener("abort", settle);
      this.#waiting.add(settle);
    });
    this.#isAsked = false;
  }

  /** The failure that an answer tells of; reads or cancels its body. */
  async #failureOf(response: Response, signal: AbortSignal): Promise<ApiFailure> {
    const { status } = response;
    if (status >= 300 && status < 400) {
      await cancel(response);
      return new ApiFailure(`the server answered ${status}, a redirect, which is not followed`, {
        status,
      });
    }
    const text = await errorText(response, signal);
    const { message, reason, retryAfterSeconds } = statusOf(text);
    const named = reason || response.statusText;
    const told = this.#clean(message);
    return new ApiFailure(
      `the server answered ${status}${named && ` ${shown(named)}`}${told && `: ${told}`}`,
      {
        status,
        reason,
        retryAfterMs: Math.max(
          retryAfterMs(response.headers.get("retry-after"), Date.now()),
          Math.min(1000 * retryAfterSeconds, RETRY_AFTER_MAX_MS),
        ),
      },
    );
  }

  /** A text from outside as it may stand in the log. */
  #clean(text: string): string {
    const { authorization } = this.#credentials;
    const secret = authorization?.replace(/^\S+\s+/, "") ?? "";
    // fetch() names the whole URL first; a query may hold a token that goes on with a LIST.
    const at = Math.max(text.indexOf("client error ("), 0);
    const shortened = text.slice(at).replaceAll(/(https?:\/\/[^\s?()]*)\?[^\s()]*/g, "$1");
    // A shorter one could not be told from a part of a word.
    return shown(secret.length < 8 ? shortened : shortened.replaceAll(secret, "[redacted]"));
  }
}

/**
 * What a Retry-After header asks for, ms: seconds or an HTTP date (RFC 9110, 10.2.3). 0 where it is
 * absent, past or cannot be read; never more than RETRY_AFTER_MAX_MS.
 *
 * @param nowMs the wall clock, ms since 1970
 */
export function retryAfterMs(header: string | null, nowMs: number): number {
  const text = header?.trim() ?? "";
  if (text === "") return 0;
  const ms = /^[+-]?\d+$/.test(text) ? 1000 * Number(text) : Date.parse(text) - nowMs;
  return ms > 0 ? Math.min(ms, RETRY_AFTER_MAX_MS) : 0;
}

/** @throws TypeError and others where the certificates or the key are none */
function makeHttpClient({ caCerts, cert, key }: Credentials): Deno.HttpClient {
  const options = { caCerts, http2: false, poolMaxIdlePerHost: 0 };
  if (cert === null || key === null) return Deno.createHttpClient(options);
  return Deno.createHttpClient({ ...options, cert, key });
}

/** The beginning of an error's body. An answer that breaks off is still an error. */
async function errorText(response: Response, signal: AbortSignal): Promise<string> {
  if (response.body === null) return "";
  const body = new Body(response.body, signal);
  const text = new Uint8Array(ERROR_BODY_BYTES_MAX);
  let length = 0;
  try {
    while (length < text.length) {
      const bytes = await body.read(new Uint8Array(text.length - length));
      if (bytes === null) break;
      text.set(bytes, length);
      length += bytes.length;
    }
  } catch {
    // Its status says enough.
  }
  body.cancel();
  return new TextDecoder().decode(text.subarray(0, length));
}

async function cancel(response: Response): Promise<void> {
  try {
    await response.body?.cancel();
  } catch {
    // The connection broke meanwhile: nothing is left to cancel.
  }
}

/** A Kubernetes Status (apimachinery meta/v1 types.go), or plain text as it came, but no page. */
function statusOf(text: string): { message: string; reason: string; retryAfterSeconds: number } {
  const none = { message: "", reason: "", retryAfterSeconds: 0 };
  const bytes = new TextEncoder().encode(text);
  try {
    const status = parseJson(bytes, 0, bytes.length);
    if (!(status instanceof Map)) return none;
    const message = status.get("message");
    const reason = status.get("reason");
    const details = status.get("details");
    const seconds = details instanceof Map ? details.get("retryAfterSeconds") : null;
    return {
      message: typeof message === "string" ? message : "",
      reason: typeof reason === "string" ? reason : "",
      retryAfterSeconds: seconds instanceof JsonNumber ? Math.max(Number(seconds.text), 0) : 0,
    };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return text.trimStart().startsWith("<") ? none : { ...none, message: text.trim() };
  }
}

function shown(text: string): string {
  return printable(text).slice(0, SERVER_TEXT_MAX);
}

function quoted(text: string): string {
  return `"${shown(text)}"`;
}
