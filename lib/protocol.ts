/**
 * The messages between the main isolate (files) and the watch isolate (network).
 *
 * Order is the contract: the watch isolate sends batches in the order in which it met the events,
 * and everything in `positions` of a batch is covered by that batch and those before it. So when
 * main has dealt with a batch, it may remember its positions.
 */

import type { Gap } from "./gap.ts";
import type { PulseReport } from "./pulse.ts";

/** Where a watch stands, as the checkpoint keeps it. All resourceVersions are opaque strings. */
export interface Position {
  /** The resourceVersion of the last event met, or that of the LIST where none came since. */
  rv: string;
  /**
   * The identity (32 hex digits, today's mode) of the first event that bore `rv`; null where there
   * is none: after a LIST, or where resourceVersions went back.
   */
  witness: string | null;
  /**
   * P: the last resourceVersion before `rv`; where `rv` came first in its WATCH, the one that WATCH
   * began at; the LIST's where no event came since. A WATCH resumes from here.
   */
  previous: string;
  /**
   * The highest resourceVersion of any event met, in LIST or WATCH. Until `rv` is as high, a WATCH
   * may show events again that were met before.
   */
  highest: string;
  /** A complete LIST has not been dealt with since continuity was last in doubt. */
  listOwed: boolean;
  /**
   * A later version than `rv` up to which the WATCH was seen to have nothing to show: where P and
   * `rv` are compacted, nothing is missed from here. Absent: it is `rv`.
   */
  passed?: string;
  /** When the WATCH was last known to be alive, ms since 1970. Absent: nobody knows. */
  seenMs?: number;
}

/** One LIST+WATCH of events. Its position is null where nothing is known yet. */
export interface WatchSpec {
  /** null = all namespaces. */
  namespace: string | null;
  /** Passed to the server as it is; null = none. */
  fieldSelector: string | null;
  position: Position | null;
}

/** The path of the collection that is watched. */
export function eventsPath(namespace: string | null): string {
  const within = namespace === null ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `/api/v1${within}/events`;
}

/** What a key is made of: the event's content, or the Python tool's `name-count`. */
export type IdentityMode = "content" | "name-count";

/** How an event becomes its line. An identity does not depend on it. */
export interface LineForm {
  /** "drop" leaves `metadata.managedFields` out. */
  managedFields: "keep" | "drop";
  /** The event's name in a wrapper; null = the line is the event itself. */
  wrap: string | null;
  /** Stands in the wrapper beside the event; null = no such field. */
  cluster: string | null;
}

/** What holds where nothing is asked for: the line is the event, with all of its bytes. */
export const PLAIN_LINE: LineForm = { managedFields: "keep", wrap: null, cluster: null };

/** Lanes (32 bits each) of an event's key in a batch: four of its content, four of name-count. */
export const KEY_LANES = 8;

/** Where in the eight lanes of a key the four of a mode begin. */
export const LANES_OF: Readonly<Record<IdentityMode, number>> = { "content": 0, "name-count": 4 };

/** What a request needs to be let in. PEM texts; `authorization` is a whole header value. */
export interface Credentials {
  caCerts: string[];
  cert: string | null;
  key: string | null;
  authorization: string | null;
}

/** Where a batch is, laid out as lib/batch.ts says. */
export interface BatchPlace {
  /** Of the pool. Main frees it when it has dealt with the batch. */
  buffer: number;
  /** Memory of its own, for a line that is too long for a buffer; null = the batch is in it. */
  long: ArrayBuffer | null;
}

/** main → watch isolate */
export type ToWatch =
  | {
    type: "start";
    /** Base URL of the API server without a trailing slash, e.g. "https://10.0.0.1:6443". */
    server: string;
    identity: IdentityMode;
    /**
     * Fill the lanes of the other mode too: some generation of the ring was written with it. It
     * costs a second scan of each event; where it is false, those lanes are 0.
     */
    bothIdentities: boolean;
    /** fetch() asks through a proxy; absent = there is none. */
    hasProxy?: boolean;
    line: LineForm;
    credentials: Credentials;
    watches: WatchSpec[];
    /** Of lib/batch_pool.ts. */
    pool: SharedArrayBuffer;
  }
  | { type: "credentials"; credentials: Credentials }
  /** A buffer of the pool is free again, as was asked for. */
  | { type: "freed" }
  /** Asks for one complete LIST of all watches that starts after this message. */
  | { type: "list"; request: number }
  | { type: "stop" };

/** watch isolate → main */
export type FromWatch =
  /** `place`: null where only the positions moved. */
  | { type: "batch"; place: BatchPlace | null; positions: (Position | null)[] }
  /**
   * All events of the LIST asked for by `request` are in the batches before this message, and each
   * WATCH is past every event that was met or could be by the end of that LIST.
   */
  | { type: "listed"; request: number }
  /** Something may have been missed. Main says and counts it. */
  | { type: "gap"; gap: Gap }
  /** Counts and signs of life: at most one a second, and none where nothing changed. */
  | { type: "pulse"; report: PulseReport }
  /** The API server let us in for the first time. */
  | { type: "connected" }
  /**
   * The API server answered 401 (`areRefused`), or its certificate is of a CA that is not ours:
   * main reads the credentials again and posts them.
   */
  | { type: "unauthorized"; areRefused: boolean }
  | { type: "log"; level: "DEBUG" | "INFO" | "WARNING" | "ERROR"; text: string };
