/**
 * Faults on demand. A fault says which request it hits and what is done to the answer; its parts
 * compose, so `{ insert, cut, trickle }` sends a bad line, byte by byte, and then resets.
 *
 * ```ts
 * server.faults.push({
 *   match: { verb: "watch", nth: 2 },
 *   action: { cut: { events: 3, bytes: 40, how: "reset" } },
 * });
 * ```
 * Faults of the connection (refused, not answered, TLS) are methods of the server; faults of the
 * storage (compaction, rewind, TTL burst) are methods of its store.
 */
import { failure, type Status } from "./status.ts";

/** What a request asks for, as RBAC names it; "other" = everything that is not about events. */
export type Verb =
  | "list"
  | "watch"
  | "get"
  | "create"
  | "update"
  | "patch"
  | "delete"
  | "deletecollection"
  | "other";

/** A request, as the faults and the log see it. */
export interface RequestInfo {
  readonly verb: Verb;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** null = all namespaces. */
  readonly namespace: string | null;
  readonly name: string | null;
  /** Of a LIST: 1 without a continue token, else one more than the page that gave it. */
  readonly page: number;
}

/** Which requests a fault hits; all that is given must hold. */
export interface FaultMatch {
  verb?: Verb;
  page?: number;
  namespace?: string | null;
  /** Any other condition. */
  when?: (request: RequestInfo) => boolean;
  /** The first hit is the nth request that matches otherwise; default 1. */
  nth?: number;
}

/** One line of a WATCH that is about to be sent. */
export interface WatchLine {
  type: string;
  /** With its newline. */
  text: string;
  /** 1-based count of the lines of this answer. */
  index: number;
}

/** How an answer ends before its time: `end` is a proper end of the HTTP message. */
export type CutHow = "reset" | "fin" | "end" | "silence";

/** Where an answer ends. Both given: `bytes` more after that many whole `events`. */
export interface Cut {
  /** Lines of a WATCH (inserted ones do not count). */
  events?: number;
  /** Bytes of the body, before compression and framing. */
  bytes?: number;
  /** Wait this long before it, ms, so that the client has surely read what came. */
  delayMs?: number;
  /** `silence` keeps the connection open and sends nothing more, ever. */
  how: CutHow;
}

/** What is done to an answer. Everything is optional, everything composes. */
export interface FaultAction {
  /** Nothing at all is sent for this long, ms; Infinity = never anything. */
  holdMs?: number;
  /** Answer this instead of handling the request. */
  respond?: {
    status: number;
    headers?: Record<string, string>;
    body?: string | Uint8Array;
  };
  /** Headers to set, or to leave out (null). */
  headers?: Record<string, string | null>;
  /**
   * How the body's end is told; default as the server does. `eof`: by closing, as HTTP/1.0;
   * a number: this Content-Length, true or not.
   */
  framing?: "chunked" | "length" | "eof" | number;
  /** Compresses the body; each line of a WATCH is a member of its own. */
  encoding?: "gzip" | "br";
  cut?: Cut;
  /**
   * Each segment has this many bytes (default 1) and is followed by a pause (default 0 ms), of the
   * header too or (`from`) of the body alone.
   */
  trickle?: { bytes?: number; delayMs?: number; from?: "head" | "body" };
  /** WATCH: sent as they are, after this many lines (0 = before all). */
  insert?: { after: number; bytes: string | Uint8Array }[];
  /** WATCH: what is sent for a line; an array of two with the same text repeats it. */
  lines?: (line: WatchLine) => (string | Uint8Array)[];
  /** LIST and everything that is no WATCH: what is sent for the body. */
  body?: (text: string) => string | Uint8Array;
  /** WATCH: timeoutSeconds is not obeyed. */
  ignoreTimeout?: boolean;
  /** WATCH: a clean end after this long, ms, whatever timeoutSeconds says. */
  endAfterMs?: number;
}

/** A fault waiting for its request. */
export interface Fault {
  match: FaultMatch;
  /** How many requests it hits before it is gone; default 1. */
  times?: number;
  action: FaultAction | ((request: RequestInfo) => FaultAction);
}

/** The faults still to come, in the order in which they were pushed; the first match is taken. */
export class FaultQueue {
  /** Requests that were hit so far. */
  taken = 0;
  #faults: { fault: Fault; skip: number; left: number }[] = [];

  /** Adds faults. */
  push(...faults: Fault[]): void {
    for (const fault of faults) {
      this.#faults.push({ fault, skip: (fault.match.nth ?? 1) - 1, left: fault.times ?? 1 });
    }
  }

  /** Forgets these, hits left or not. */
  withdraw(...faults: Fault[]): void {
    this.#faults = this.#faults.filter(({ fault }) => !faults.includes(fault));
  }

  /** Forgets all. */
  clear(): void {
    this.#faults = [];
  }

  /** Faults that have hits left. */
  get pending(): number {
    return this.#faults.length;
  }

  /** What to do to the answer of this request; every matching fault counts it for its nth. */
  take(request: RequestInfo): FaultAction {
    let action: FaultAction | null = null;
    for (const entry of this.#faults) {
      if (!matches(entry.fault.match, request)) continue;
      if (entry.skip > 0) entry.skip--;
      else if (action === null) {
        entry.left--;
        action = typeof entry.fault.action === "function"
          ? entry.fault.action(request)
          : entry.fault.action;
      }
    }
    this.#faults = this.#faults.filter((entry) => entry.left > 0);
    if (action !== null) this.taken++;
    return action ?? {};
  }
}

function matches(match: FaultMatch, request: RequestInfo): boolean {
  return (match.verb === undefined || match.verb === request.verb) &&
    (match.page === undefined || match.page === request.page) &&
    (match.namespace === undefined || match.namespace === request.namespace) &&
    (match.when === undefined || match.when(request));
}

/** An ERROR line of a WATCH; `object` may be anything, to send what no server should. */
export function errorLine(object: Status | object | null): string {
  return `${JSON.stringify({ type: "ERROR", object })}\n`;
}

/** A BOOKMARK line, shaped as the server shapes it for events. */
export function bookmarkLine(
  resourceVersion: string,
  annotations?: Record<string, string>,
): string {
  const metadata = { resourceVersion, ...(annotations === undefined ? {} : { annotations }) };
  const object = {
    kind: "Event",
    apiVersion: "v1",
    metadata,
    involvedObject: {},
    source: {},
    firstTimestamp: null,
    lastTimestamp: null,
    eventTime: null,
    reportingComponent: "",
    reportingInstance: "",
  };
  return `${JSON.stringify({ type: "BOOKMARK", object })}\n`;
}

/** An answer with a Status as its body. */
export function statusAnswer(
  code: number,
  reason: string,
  message: string,
  headers: Record<string, string> = {},
): FaultAction {
  return {
    respond: {
      status: code,
      headers: { "Content-Type": "application/json", ...headers },
      body: `${JSON.stringify(failure(code, reason, message))}\n`,
    },
  };
}

/** 429 as priority and fairness sends it: text, no Status (apiserver filters/priority-and-fairness.go). */
export function tooManyRequests(retryAfter: string | null): FaultAction {
  return {
    respond: {
      status: 429,
      headers: {
        "Content-Type": "text/plain; charset=utf-8",
        "X-Content-Type-Options": "nosniff",
        ...(retryAfter === null ? {} : { "Retry-After": retryAfter }),
      },
      body: "Too many requests, please try again later.\n",
    },
  };
}
