/**
 * Every bound of what others send and of what we wait for, with its reason and what happens when it
 * is reached. What a file's format fixes stands with the format, what a setting may be in
 * lib/settings.ts, and how a pipe is tried again in lib/pipe_destination.ts.
 */

/**
 * Size of a pool buffer, bytes. About 200 events of 1.3 KB: large enough to make one write of them.
 */
export const BATCH_BYTES = 256 * 1024;

/** Most events in a batch; the index of that many stands at the head of the buffer. */
export const BATCH_EVENTS_MAX = 1024;

/** An event waits this long, ms, for others to travel with it. Main's sync interval is longer. */
export const BATCH_DELAY_MS = 2;

/**
 * Buffers in the pool. When all are with main, the watch stops reading: that is the back-pressure.
 */
export const POOL_BUFFERS = 8;

/**
 * Longest line, bytes. client-go gives up at 16 MiB for one object (streaming.go); etcd takes
 * 1.5 MiB, which JSON's \u00XX may make 9 MiB. More is no Event: a WATCH is ended and resumed, from
 * a LIST after the third time; in a LIST it is left out with an error, and what follows it comes.
 */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Longest top-level key or value of a LIST other than its items, bytes: the whole of it is held. A
 * longer one ends the LIST, which is tried again.
 */
export const LIST_VALUE_BYTES_MAX = 1024 * 1024;

/**
 * Attempts in which an item that is no event ends the LIST; in the next one it is left out, with an
 * ERROR in the log, so that it does not keep the others from being listed for ever.
 */
export const LIST_BAD_ITEM_TRIES = 2;

/** Longest text of a server that is put into a message, characters; the rest is cut off. */
export const SERVER_TEXT_MAX = 500;

/** Events a page of a LIST (client-go's pager.go uses the same). */
export const LIST_PAGE_EVENTS = 500;

/** A watch is asked to last this long, seconds, drawn evenly (client-go: 5 to 10 minutes). */
export const WATCH_SECONDS_MIN = 300;
/** See {@linkcode WATCH_SECONDS_MIN}. */
export const WATCH_SECONDS_MAX = 600;

/** A watch that outlives its own timeout by this, ms, hangs: no heartbeat exists, so we end it. */
export const WATCH_GRACE_MS = 30_000;

/**
 * A watch that waits for bytes this long, ms, is asked about (lib/stall_check.ts: two requests).
 * The history of a server is 5 minutes at least, so what a dead connection did not show is still to
 * be had; more often would cost requests for nothing.
 */
export const STALL_MS = 60_000;

/** Longest wait for the header of an answer, ms. */
export const HEADER_TIMEOUT_MS = 30_000;

/**
 * A LIST page is given up where less than these bytes come in this time, ms: a server sends it as
 * fast as it is taken, and one byte a second would hold up all that waits for the LIST for days.
 */
export const LIST_SILENCE_MS = 60_000;
/** See {@linkcode LIST_SILENCE_MS}. */
export const LIST_SILENCE_BYTES = 16 * 1024;

/** Failures of a LIST page before the LIST is begun anew: its continue token may be at fault. */
export const LIST_PAGE_TRIES = 3;

/**
 * Between the starts of two LISTs that continuity asks for, ms. A server whose resourceVersions
 * know no order would otherwise be listed without a pause.
 */
export const LIST_INTERVAL_MS = 10_000;

/**
 * A LIST is made where the last one is older, ms, whatever a watch says of itself: an event lives
 * an hour after its last write (--event-ttl), so what a watch silently passed over still comes. It
 * also notices that etcd went back.
 */
export const LIST_AGE_MAX_MS = 30 * 60_000;

/**
 * A watch that ends by itself sooner, ms, is not started again at once (client-go does the same).
 */
export const WATCH_SHORT_MS = 1_000;

/**
 * Failures in a row at one resourceVersion before a LIST takes its place (PrevKv=nil and others).
 */
export const VERSION_FAILURES_MAX = 3;

/**
 * The same where connections break or watches end at once, which rarely is the version's fault: a
 * proxy or a server that stops does so. Ten take the backoff about 4 minutes, and as many at the
 * next version 7 more: by then an API server has forgotten both, which it says (410).
 */
export const VERSION_CUTS_MAX = 10;

/** The witness must be the first event of a resumed watch within this, ms (DESIGN.md). */
export const WITNESS_MS = 5_000;

/** First delay after a failure, ms; doubled each time, with as much jitter again (client-go). */
export const BACKOFF_FIRST_MS = 800;
/** Longest delay before jitter, ms. */
export const BACKOFF_MAX_MS = 30_000;
/** After this long without a failure, ms, the delay starts at the first again. */
export const BACKOFF_RESET_MS = 120_000;
/**
 * Longest Retry-After that is obeyed, ms. API servers send 1 to 32 s; a proxy that says a day must
 * not cost the events of a day.
 */
export const RETRY_AFTER_MAX_MS = 60_000;
/**
 * Between two readings of the files of tokens, certificates and keys, ms: few small reads.
 * client-go takes a minute for tokens; but a server with a new CA is out of reach until then.
 */
export const CREDENTIALS_CHECK_MS = 10_000;
/** Least time to the next look at what a credential plugin gave, ms. */
export const PLUGIN_CHECK_MIN_MS = 1_000;
/** After a credential plugin failed, or gave what is old already, ms, before it is run again. */
export const PLUGIN_RETRY_MS = 10_000;
/** A plugin is run again this long before its credentials expire, ms, or at half their life. */
export const PLUGIN_MARGIN_MS = 60_000;
/** A plugin that takes longer, ms, is killed: enough for a slow cloud, short for an operator. */
export const EXEC_TIMEOUT_MS = 60_000;
/** Most that is read of what a plugin prints, bytes, a token is a few KB; the rest is dropped. */
export const EXEC_OUTPUT_MAX = 1024 * 1024;

/** After a 401: how long new credentials are waited for, ms. Then it is a failure like others. */
export const CREDENTIALS_WAIT_MS = 10_000;
/** As much of an error's body is read to find its Status, bytes; the rest is cancelled. */
export const ERROR_BODY_BYTES_MAX = 64 * 1024;

/** Between two checkpoints, ms: what a start after a crash reads again is at most that much. */
export const CHECKPOINT_MS = 10_000;
/** Bytes of lines after which a checkpoint comes at once, for the same reason. */
export const CHECKPOINT_BYTES = 64 * 1024 * 1024;

/** Lines that may wait for a sync. When it is reached, nothing is appended until one is done. */
export const PENDING_KEYS_MAX = 65_536;

/** A destination whose path vanished is made again after this, ms, unless SIGHUP comes first. */
export const VANISHED_WAIT_MS = 5_000;

/** First delay before a write that found no space is tried again, ms; doubled each time. */
export const TROUBLE_FIRST_MS = 100;
/** Longest such delay, ms. */
export const TROUBLE_MAX_MS = 5_000;

/** Between two tries of a lock that another process holds, ms, before it counts as held. */
export const LOCK_TRY_MS = 20;

/** Most names of fields that no Event has that `import` tells; the lines are all counted. */
export const FOREIGN_NAMES_MAX = 10;

/** Between two LISTs made so that generations can be dropped, ms. */
export const REFRESH_MS = 10_000;

/** Between two summary lines in the log, ms. */
export const SUMMARY_MS = 5 * 60_000;

/** After a stop signal, ms: what is not finished by then is left to the next start's recovery. */
export const STOP_MS = 3_000;
