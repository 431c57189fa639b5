/**
 * Every bound of what others send, of what is held in memory and of what we wait for, with its
 * reason and what happens when it is reached. What a file's format fixes stands with the format,
 * and what a setting may be in lib/settings.ts (tests/unit/tidy_test.ts looks for others).
 */

/**
 * Size of a pool buffer, bytes. About 200 events of 1.3 KB: large enough to make one write of them.
 */
export const BATCH_BYTES = 256 * 1024;

/** Most events in a batch; the index of that many stands at the head of the buffer. */
export const BATCH_EVENTS_MAX = 1024;

/** Between two batches that are not full, ms: what comes meanwhile travels together. */
export const BATCH_DELAY_MS = 2;

/**
 * Keys of a batch whose places in the ring are fetched together: their 512 bytes a generation all
 * fit into the CPU's second cache, also with some thirty generations.
 */
export const KEYS_EXPECTED = 16;

/**
 * Buffers in the pool. When all are with main, the watch stops reading: that is the back-pressure.
 */
export const POOL_BUFFERS = 8;

/**
 * Longest line, bytes. client-go gives up at 16 MiB for one object (streaming.go); etcd takes
 * 1.5 MiB, which JSON's \u00XX may make 9 MiB. More is no Event: it ends a WATCH or a LIST, and if
 * it comes again in the next one it is left out, is said, and what follows it comes.
 */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

/** Bytes of a line too long that are read to find its end. Where none comes, the WATCH ends. */
export const LINE_SKIPPED_BYTES_MAX = 8 * LINE_BYTES_MAX;

/** So much of a line too long tells it from others, bytes: name and version of an event. */
export const LINE_BEGINNING_BYTES = 1024;

/** Lines too long that are known again. With more, their WATCH goes on at a LIST's version. */
export const LINES_TOO_LONG_MAX = 100;

/**
 * Bytes of a line that `check` keeps; what is beyond them is only counted. No line of ours is
 * longer, even where one was spelled with more escapes than it came with; and an object cut short
 * is none, so a longer line is told as torn.
 */
export const LINE_KEPT_BYTES_MAX = 2 * LINE_BYTES_MAX;

/**
 * Size of the buffer that a connection is read into, bytes, while lines are of ordinary size. It
 * doubles until a quarter of it is free, up to the longest line, and shrinks by the same rule. A
 * read costs some 25 us beside its bytes, so a busy stream is read in few of them.
 */
export const WINDOW_BYTES = 128 * 1024;

/** How long reads that find their bytes at once may keep timers and messages waiting, ms. */
export const TURN_MS = 20;

/** A read that took so long, ms, found none and let the event loop turn. */
export const WAITED_MS = 1;

/**
 * Deepest nesting of JSON that is read. An Event has about 8 levels (its managedFields); the bound
 * keeps recursion off the end of the stack, at the same depth on every machine. What is deeper is
 * no Event: as a line that cannot be read.
 */
export const NESTING_MAX = 1000;

/**
 * Longest event that the fast way (wasm/event.ts) reads, bytes; etcd stores at most 1.5 MB. A
 * longer one goes the slow way, which costs some 40 times as much. The module has room for it.
 */
export const FAST_EVENT_BYTES_MAX = 256 * 1024;

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

/** Longest beginning of a line or item that is put into a message, bytes; the rest is cut off. */
export const EXCERPT_BYTES_MAX = 200;

/** Longest text of a server that is put into a message, characters; the rest is cut off. */
export const SERVER_TEXT_MAX = 500;

/**
 * Bookmarks of one watch that the log tells of. Servers send one a minute, or none; one that sends
 * a flood would make as many messages to main, which nothing holds back. More are not told.
 */
export const BOOKMARKS_TOLD_MAX = 20;

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

/**
 * Longest wait for a connection of our own and its TLS, ms. Then fetch() makes one, which tries all
 * addresses of a name, not the first alone; it has what is left of HEADER_TIMEOUT_MS.
 */
export const CONNECT_MS = 5_000;
/**
 * For this long, ms, fetch() goes on where it reached the server and a connection of our own did
 * not: with a dead first address each request would wait for CONNECT_MS.
 */
export const DIRECT_AGAIN_MS = 300_000;

/**
 * A connection of a LIST waits this long, ms, for the next page. No longer: a connection that died
 * meanwhile would hang, and a load balancer may have a better place for what comes then.
 */
export const CONNECTION_KEPT_MS = 1_000;

/** Longest head of an answer, and longest trailer, bytes; longer ones fail, and are asked again. */
export const HEAD_BYTES_MAX = 64 * 1024;
/** Longest extension of a chunk, bytes. Nobody is known to send one; the same happens. */
export const CHUNK_EXTENSION_BYTES_MAX = 256;
/** Most hexadecimal digits of a chunk's size: 4 GiB are no chunk. The same happens. */
export const CHUNK_DIGITS_MAX = 8;

/** Longest wait for the header of an answer, ms. */
export const HEADER_TIMEOUT_MS = 30_000;

/**
 * A LIST page is given up where less than these bytes come in this time, ms: a server sends it as
 * fast as it is taken, and one byte a second would hold up all that waits for the LIST for days.
 */
export const LIST_SILENCE_MS = 60_000;
/** See {@linkcode LIST_SILENCE_MS}. */
export const LIST_SILENCE_BYTES = 16 * 1024;

/**
 * A page of a LIST that was asked for ahead may wait so long, ms, until the page before it was
 * dealt with; then it is asked for anew. kube-apiserver ends a request after a minute.
 */
export const LIST_AHEAD_MS = 10_000;

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

/**
 * Between two attempts that other credentials hurry, ms. A plugin that gives another token each
 * time it is asked would else make several watches hurry each other without a pause.
 */
export const CREDENTIALS_HURRY_MS = 10_000;
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

/** First wait before a full FIFO or standard output is tried again, ms; doubled each time. */
export const PIPE_FULL_FIRST_MS = 1;
/** Longest such wait, ms: a reader that took its time is noticed that soon. */
export const PIPE_FULL_MAX_MS = 50;
/** First wait for somebody to read a FIFO, ms; doubled each time. */
export const PIPE_READER_FIRST_MS = 50;
/** Longest such wait, ms. */
export const PIPE_READER_MAX_MS = 1_000;
/** A pipe that is full for this long, ms, is worth a line in the log; a busy reader is not. */
export const PIPE_FULL_SAID_MS = 1_000;

/**
 * How long flock(2) may take before the lock counts as held by another process, ms, and ours ends
 * with 65: one that was killed just now closes its files one after another, and on a busy machine
 * a free lock takes its time too. A renamed destination that is held counts as another's: its
 * tail is written again.
 */
export const LOCK_WAIT_MS = 2_000;
/** Between two tries within that time, ms. */
export const LOCK_TRY_MS = 20;

/** Bytes of a file of lines that are read at once, so that memory does not grow with the file. */
export const FILE_READ_BYTES = 64 * 1024;
/**
 * Sectors of a generation that are written at once, which takes some 0.3 ms. Events wait for it,
 * and the pool lasts for 3 ms of the fastest stream.
 */
export const SECTORS_WRITTEN = 512;
/** Keys that are remembered at once, which takes some 0.5 ms, for the same reason. */
export const KEYS_REMEMBERED = 1024;
/** Sectors of a generation that `status` reads at once, 1 MiB: memory does not grow with it. */
export const SECTORS_READ = 2048;
/** Zeros that are written to a new generation at once, bytes, for the same reason. */
export const ZEROS_BYTES = 1024 * 1024;

/**
 * Looks after the first one, before what looks wrong beside a running instance counts as wrong
 * (lib/second_look.ts).
 */
export const LOOKS_AGAIN = 4;
/** Between two looks, ms. The writes that may be seen half done take far less. */
export const LOOK_MS = 100;

/** Of each kind of finding `check` shows as many; all are counted. */
export const EXAMPLES_MAX = 10;
/** Bytes of a line that `check` shows of it; the rest is left out. */
export const EXCERPT_BYTES = 80;

/** First delay before a write that found no space is tried again, ms; doubled each time. */
export const TROUBLE_FIRST_MS = 100;
/** Longest such delay, ms. */
export const TROUBLE_MAX_MS = 5_000;

/** Most names of fields that no Event has that `import` tells; the lines are all counted. */
export const FOREIGN_NAMES_MAX = 10;

/** Between two LISTs made so that generations can be dropped, ms. */
export const REFRESH_MS = 10_000;

/** The watch isolate tells main of counts and signs of life this long, ms, after one changed. */
export const PULSE_MS = 1_000;

/**
 * Connections to --metrics-address at a time; more are closed at once. Scrapers and probes are few,
 * and each takes a file descriptor.
 */
export const OBSERVE_CONNECTIONS_MAX = 16;
/**
 * Connections that may wait to be accepted there; the kernel has a lower bound. Deno's node:net
 * (2.6.10) counts each connection for good: behind this many it accepts no other one.
 */
export const OBSERVE_BACKLOG = 2 ** 30 - 1;
/** Longest head of a request there, bytes; a longer one is refused (431). */
export const OBSERVE_BYTES_MAX = 8 * 1024;
/** A connection there is closed after this long, ms, whatever it is at. */
export const OBSERVE_MS = 5_000;

/**
 * Longest line whose delay is measured, bytes: most have 1 to 2 KB, and one of 9 MB would take a
 * while to parse. Longer ones are not looked at.
 */
export const DELAY_LINE_BYTES_MAX = 64 * 1024;
/** Between two looks at a line's delay, ms: the lines between are not measured. */
export const DELAY_LOOK_MS = 100;

/** Between two summary lines in the log, ms. */
export const SUMMARY_MS = 5 * 60_000;

/** After a stop signal, ms: what is not finished by then is left to the next start's recovery. */
export const STOP_MS = 3_000;

/**
 * From the stop signal to the end of the process, ms, however it stands then: a write that hangs in
 * the kernel must not keep it. Below 5 s, the shortest patience of a supervisor in use.
 */
export const EXIT_MS = STOP_MS + 1_500;

/**
 * Between two looks at what a service manager is to be told, ms: its sentence changes with each
 * event, and what is ill for an instant must not cost the only WATCHDOG=1 of a period.
 */
export const SERVICE_LOOK_MS = 5_000;

/** Datagrams kept while a service manager does not take them. Then the oldest ones are dropped. */
export const NOTICES_KEPT_MAX = 16;
/**
 * Longest sentence for a service manager, characters; the rest is cut off. systemd takes no
 * datagram of more than 4096 bytes.
 */
export const STATUS_MAX = 1_000;

/**
 * How long the recovery may take where a service manager waits for it, ms. It reads one
 * checkpoint's tail (64 MiB of lines) and, after an unclean stop, writes the ring again: 1.2 GB of
 * it took 3 s on our disk, FILTER_CAPACITY allows 1.6 GB a generation, and disks are slower.
 */
export const RECOVERY_MS = 15 * 60_000;
