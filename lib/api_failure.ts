/**
 * What a request to the API server can fail with.
 */

import { printable } from "./json_bytes.ts";
import { RETRY_AFTER_MAX_MS, SERVER_TEXT_MAX } from "./limits.ts";
import type { WatchStatus } from "./watch_lines.ts";

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
    this.retryAfterMs = Math.min(retryAfterMs, RETRY_AFTER_MAX_MS);
  }
}

/** A text of a server as it may stand in a message: printable, and not too long. */
export function shown(text: string): string {
  return printable(text).slice(0, SERVER_TEXT_MAX);
}

/** What an ERROR event says: 410 is Expired, before Kubernetes 1.18 Gone. */
export function failureOfError(status: WatchStatus): ApiFailure {
  const { code, reason, message, retryAfterSeconds = 0 } = status;
  const text = code === 0
    ? "the server ended it with an ERROR that is no Status"
    : shown(`the server ended it with ${code} ${reason}: ${message}`);
  return new ApiFailure(text, { status: code, reason, retryAfterMs: 1000 * retryAfterSeconds });
}

/** Whether other credentials may be the remedy: 401, 403, or a certificate that was not trusted. */
export function isAboutCredentials({ status, message }: ApiFailure): boolean {
  return status === 401 || status === 403 ||
    status === 0 && /certificate|fatal alert/i.test(message);
}

/**
 * Whether an answer says that the server cannot go on from the resourceVersion asked for: it is
 * compacted, or (504) of the future.
 */
export function isVersionRefused({ status, reason, message }: ApiFailure): boolean {
  return status === 410 || reason === "Expired" || reason === "Gone" ||
    message.includes("Too large resource version");
}
