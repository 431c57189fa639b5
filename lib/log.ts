/**
 * The log: one line a fact, on stderr, through @std/log.
 *
 * A line is `2026-11-23T19:00:00.123Z INFO text`. Levels bear Python's names. Text from outside
 * (an event's message, a server's answer) cannot forge a line or move a terminal's cursor: control
 * characters are written as escapes. Trouble with stderr is nobody's: a line that it does not take
 * is dropped and counted, the count stands before the next line that it does take.
 */

import { BaseHandler, getLogger, type LevelName, LogLevels, setup } from "@std/log";
import type { LogLevel } from "./settings.ts";

/** A text, or how to make it where it is shown at all. */
export type LogText = string | (() => string);

/** Our (Python's) names to those of @std/log. */
const STD_LEVELS: Readonly<Record<LogLevel, LevelName>> = {
  NOTSET: "NOTSET",
  DEBUG: "DEBUG",
  INFO: "INFO",
  WARNING: "WARN",
  ERROR: "ERROR",
  CRITICAL: "CRITICAL",
};

/** One write(2): may be short, throws the operating system's errors. */
export type WriteSync = (bytes: Uint8Array) => number;

/** Writes lines whole or not at all, as far as stderr lets it, and never throws. */
export class LineWriter {
  readonly #write: WriteSync;
  readonly #encoder = new TextEncoder();
  #torn = false;
  #dropped = 0;

  constructor(write: WriteSync) {
    this.#write = write;
  }

  /** Writes `line` and a newline. */
  write(line: string): void {
    const head = this.#torn ? "\n" : "";
    const notice = this.#dropped === 0
      ? ""
      : `${new Date().toISOString()} WARNING ${this.#dropped} log line(s) were lost here.\n`;
    const bytes = this.#encoder.encode(`${head}${notice}${line}\n`);
    let written = 0;
    try {
      while (written < bytes.length) {
        const count = this.#write(bytes.subarray(written));
        if (count === 0) throw new Error("Nothing was written");
        written += count;
      }
      this.#torn = false;
      this.#dropped = 0;
    } catch {
      // Nothing may depend on the log: a full pipe (EAGAIN), a reader that left (EPIPE), a full
      // disk (ENOSPC) or a closed descriptor (EBADF, or no code at all) costs the line alone.
      this.#torn ||= written > 0;
      this.#dropped++;
    }
  }
}

/** Control characters and those that end a line or turn it round, in escapes. */
export function escapeControls(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replaceAll(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (char) => {
    if (char === "\n") return "\\n";
    if (char === "\r") return "\\r";
    if (char === "\t") return "\\t";
    return "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0");
  });
}

class StderrHandler extends BaseHandler {
  readonly #writer: LineWriter;

  constructor(level: LevelName, writer: LineWriter) {
    super(level, {
      formatter: ({ datetime, levelName, msg }) =>
        `${datetime.toISOString()} ${levelName === "WARN" ? "WARNING" : levelName} ` +
        escapeControls(msg),
    });
    this.#writer = writer;
  }

  override log(line: string): void {
    this.#writer.write(line);
  }
}

/** The log of the program. Its methods never throw and never wait. */
export class Log {
  /** Lines of these levels so far, also those that were not shown. */
  readonly counts = { WARNING: 0, ERROR: 0, CRITICAL: 0 };

  /** Each skipped and each written event. Give a function: most of the time nobody looks. */
  debug(text: LogText): void {
    this.at("DEBUG", text);
  }

  /** What an operator wants to see of a healthy program. */
  info(text: LogText): void {
    this.at("INFO", text);
  }

  /** Something is lost, slow or about to fail; the program goes on. */
  warning(text: LogText): void {
    this.at("WARNING", text);
  }

  /** Something failed that the program tries again or exits for. */
  error(text: LogText): void {
    this.at("ERROR", text);
  }

  /** The last words before an exit with a failure. */
  critical(text: LogText): void {
    this.at("CRITICAL", text);
  }

  /** One line at a level known only at run time, as the watch isolate's messages are. */
  at(level: Exclude<LogLevel, "NOTSET">, text: LogText): void {
    if (level in this.counts) this.counts[level as keyof Log["counts"]]++;
    const logger = getLogger();
    if (logger.level > LogLevels[STD_LEVELS[level]]) return;
    const line = typeof text === "function" ? text() : text;
    switch (level) {
      case "DEBUG":
        logger.debug(line);
        return;
      case "INFO":
        logger.info(line);
        return;
      case "WARNING":
        logger.warn(line);
        return;
      case "ERROR":
        logger.error(line);
        return;
      case "CRITICAL":
        logger.critical(line);
        return;
      default:
        return level satisfies never;
    }
  }

  /** Whether lines of this level are shown. */
  enabled(level: LogLevel): boolean {
    return getLogger().level <= LogLevels[STD_LEVELS[level]];
  }
}

/** The log of the program; at INFO until {@linkcode setupLog} is called. */
export const log = new Log();

/** Shows lines of this level and above, on stderr or through `write`. */
export function setupLog(
  level: LogLevel,
  write: WriteSync = (bytes) => Deno.stderr.writeSync(bytes),
): void {
  const name = STD_LEVELS[level];
  setup({
    handlers: { stderr: new StderrHandler(name, new LineWriter(write)) },
    loggers: { default: { level: name, handlers: ["stderr"] } },
  });
}

setupLog("INFO");
