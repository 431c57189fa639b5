/**
 * An answer of the API server that is an error: what it says, and how long we are to wait.
 */

import { type Answer, Body } from "./answer_body.ts";
import { ApiFailure, shown } from "./api_failure.ts";
import { FormatError, parseJson } from "./json_bytes.ts";
import { JsonNumber } from "./json_tree.ts";
import { ERROR_BODY_BYTES_MAX, RETRY_AFTER_MAX_MS } from "./limits.ts";

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

/**
 * The failure that an answer other than 200 tells of; its body is read as far as it helps.
 *
 * @param clean takes out of a text what must not be shown
 */
export async function refusalBy(
  response: Answer,
  signal: AbortSignal,
  clean: (text: string) => string,
): Promise<ApiFailure> {
  const { status, statusText, headers } = response;
  const text = response.body === null ? "" : await beginningOf(new Body(response.body, signal));
  if (status >= 300 && status < 400) {
    const message = `the server answered ${status}, a redirect, which is not followed`;
    return new ApiFailure(message, { status });
  }
  const { message, reason, retryAfterSeconds } = statusOf(text);
  const named = shown(reason || statusText);
  const told = clean(message);
  return new ApiFailure(
    `the server answered ${status}${named && ` ${named}`}${told && `: ${told}`}`,
    {
      status,
      reason,
      retryAfterMs: Math.max(
        retryAfterMs(headers.get("retry-after"), Date.now()),
        1000 * retryAfterSeconds,
      ),
    },
  );
}

/** The beginning of an error's body. An answer that breaks off is still an error. */
async function beginningOf(body: Body): Promise<string> {
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
