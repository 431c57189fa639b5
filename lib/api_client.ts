/**
 * Requests to the API server: one HTTP client, its credentials, and every way in which an answer
 * can be none. What the bytes of an answer mean is not its business.
 *
 * Without a proxy in between it asks over connections of its own (lib/http_connection.ts), which
 * cost far less CPU; where these cannot be made, and behind a proxy, by fetch().
 *
 * HTTP/1.1, and no idle connections but between two pages of a LIST: over HTTP/2 a dead connection
 * is used again and hangs, and a body that nobody reads stalls the others (denoland/deno#21749).
 * Redirects are not followed: the Authorization header is for this server alone.
 */

import { type Answer, Body } from "./answer_body.ts";
import { ApiFailure, isAboutCredentials, shown } from "./api_failure.ts";
import { refusalBy } from "./api_refusal.ts";
import { messageOf } from "./errors.ts";
import { HttpConnections } from "./http_connection.ts";
import { CONNECT_MS, CREDENTIALS_WAIT_MS, DIRECT_AGAIN_MS, HEADER_TIMEOUT_MS } from "./limits.ts";
import type { Credentials } from "./protocol.ts";
import { VERSION } from "./version.ts";

/** Waits of a client, ms. */
export interface ClientTimes {
  /** For the header of an answer. */
  headerMs: number;
  /** Of that, for a connection of our own. */
  connectMs: number;
  /** For new credentials, after a 401. */
  credentialsMs: number;
}

/** See lib/limits.ts. */
export const CLIENT_TIMES: Readonly<ClientTimes> = {
  headerMs: HEADER_TIMEOUT_MS,
  connectMs: CONNECT_MS,
  credentialsMs: CREDENTIALS_WAIT_MS,
};

/** See the head of this file. */
export class ApiClient {
  readonly #server: string;
  readonly #askForCredentials: (areRefused: boolean) => void;
  readonly #times: ClientTimes;
  readonly #hasProxy: boolean;
  /** Until then, on performance.now(), fetch() asks: it got through where #connections did not. */
  #fetchesUntilMs = 0;
  #credentials: Credentials;
  /** Counts the credentials that came. */
  #version = 0;
  #isAsked = false;
  readonly #connections = new HttpConnections();
  #http: Deno.HttpClient | null = null;
  #waiting = new Set<() => void>();

  /**
   * @param server base URL without a trailing slash
   * @param askForCredentials called at a 401 (`areRefused`) and where the server's certificate is
   * not trusted; new ones are to come by setCredentials()
   * @param hasProxy fetch() goes through one, so it must be fetch() that asks
   */
  constructor(
    server: string,
    credentials: Credentials,
    askForCredentials: (areRefused: boolean) => void,
    times: ClientTimes = CLIENT_TIMES,
    hasProxy = false,
  ) {
    this.#server = server;
    this.#credentials = credentials;
    this.#askForCredentials = askForCredentials;
    this.#times = times;
    this.#hasProxy = hasProxy;
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
    this.#connections.close();
    this.#http?.close();
    this.#http = null;
  }

  /**
   * GETs a path and returns the body of a 200 in JSON, to be read. After a 401, and where the
   * server's certificate is not trusted, it is tried once more where credentials come in time.
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
      const areRefused = error instanceof ApiFailure && error.status === 401;
      // The CA's file may have changed with the certificate.
      const isUntrusted = error instanceof ApiFailure && error.status === 0 &&
        error.message.includes("invalid peer certificate");
      if (!(error instanceof ApiFailure) || !isAboutCredentials(error)) throw error;
      if (areRefused || isUntrusted) {
        await this.#renewed(version, areRefused, controller.signal);
      }
      if (version === this.#version) throw error;
      return await this.#open(path, query, controller);
    }
  }

  /** Settles when other credentials come, or at the signal. */
  async changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const settle = () => {
        signal.removeEventListener("abort", settle);
        this.#waiting.delete(settle);
        resolve();
      };
      signal.addEventListener("abort", settle);
      this.#waiting.add(settle);
    });
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
      // The next page of a LIST comes at once, and nothing as soon behind a WATCH.
      const isKept = !query.has("watch");
      const response = await this.#fetch(`${path}?${query}`, isKept, controller.signal);
      const type = response.headers.get("content-type") ?? "";
      if (response.status !== 200) {
        throw await refusalBy(response, controller.signal, (text) => this.#clean(text));
      }
      if (response.body !== null && /^application\/json\s*(;|$)/i.test(type)) {
        return new Body(response.body, controller.signal);
      }
      if (response.body !== null) new Body(response.body, controller.signal).cancel();
      throw new ApiFailure(`the answer is of the type "${shown(type)}" instead of JSON`);
    } finally {
      clearTimeout(timer);
    }
  }

  async #fetch(pathAndQuery: string, isKept: boolean, signal: AbortSignal): Promise<Answer> {
    const { authorization } = this.#credentials;
    const headers: Record<string, string> = {
      "accept": "application/json",
      // Deno decodes the first gzip member of a body only and then ends it cleanly, and
      // kube-apiserver from 1.37 on may send one member per flush of a watch.
      "accept-encoding": "identity",
      "user-agent": `kube-event-pipe/${VERSION}`,
    };
    if (authorization !== null) headers["authorization"] = authorization;
    try {
      const isDirect = !this.#hasProxy && performance.now() >= this.#fetchesUntilMs;
      const answer = isDirect
        ? await this.#connections.get(this.#server + pathAndQuery, headers, this.#credentials, {
          connectMs: this.#times.connectMs,
          signal,
          isKept,
        })
        : null;
      if (answer !== null) return answer;
      this.#http ??= makeHttpClient(this.#credentials);
      const init = { client: this.#http, headers, signal, redirect: "manual" as const };
      const response = await fetch(this.#server + pathAndQuery, init);
      if (isDirect) this.#fetchesUntilMs = performance.now() + DIRECT_AGAIN_MS;
      return response;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // Refused, reset, no such name, a certificate that is not trusted, credentials that are none.
      throw new ApiFailure(this.#clean(messageOf(error)));
    }
  }

  /** Settles when other credentials than those of `version` came, or did not come for too long. */
  async #renewed(version: number, areRefused: boolean, signal: AbortSignal): Promise<void> {
    if (version !== this.#version || signal.aborted) return;
    if (!this.#isAsked) this.#askForCredentials(areRefused);
    this.#isAsked = true;
    const patience = new AbortController();
    const end = () => patience.abort();
    const timer = setTimeout(end, this.#times.credentialsMs);
    signal.addEventListener("abort", end);
    await this.changed(patience.signal);
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    this.#isAsked = false;
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

/** @throws TypeError and others where the certificates or the key are none */
function makeHttpClient({ caCerts, cert, key }: Credentials): Deno.HttpClient {
  const options = { caCerts, http2: false, poolMaxIdlePerHost: 0 };
  if (cert === null || key === null) return Deno.createHttpClient(options);
  return Deno.createHttpClient({ ...options, cert, key });
}
