/**
 * What the server tells about the requests it had and the watches it has.
 */
import type { Answer, AnswerEnd } from "./answer.ts";
import type { RequestInfo } from "./faults.ts";

/** One request, and how it went so far. */
export interface RequestLog {
  readonly request: RequestInfo;
  /** When it had come in, ms since the server's start. */
  readonly at: number;
  /** 0 = no header sent yet. */
  readonly status: number;
  /** Body bytes sent (a compressed LIST: compressed). */
  readonly bytes: number;
  /** Lines of a WATCH sent. */
  readonly events: number;
  readonly ended: AnswerEnd;
}

/** An open watch: its request, and the means to disturb it from outside. */
export interface OpenWatch {
  readonly request: RequestInfo;
  /** `send` injects raw bytes between two lines, `end` and `cut` end it. */
  readonly answer: Answer;
}

/** An entry that follows its answer. */
export function logEntry(request: RequestInfo, at: number, answer: Answer): RequestLog {
  return {
    request,
    at,
    get status() {
      return answer.status;
    },
    get bytes() {
      return answer.bytes;
    },
    get events() {
      return answer.events;
    },
    get ended() {
      return answer.ended;
    },
  };
}
