/**
 * Stand-in for what this project uses of `@std/log` 0.224, for machines that cannot reach JSR.
 *
 * Same names, types and behaviour as the package's documented API; tests/unit/closed_test.ts holds
 * both to it. There are no file handlers here, and the "default" logger writes to the console.
 */

/** The levels by name. Python's WARNING is WARN here. */
export const LogLevels = {
  NOTSET: 0,
  DEBUG: 10,
  INFO: 20,
  WARN: 30,
  ERROR: 40,
  CRITICAL: 50,
} as const;

/** The name of a level. */
export type LevelName = keyof typeof LogLevels;

/** The number of a level. */
export type LogLevel = typeof LogLevels[LevelName];

/** The names of all levels, the lowest first. */
export const LogLevelNames: LevelName[] = Object.keys(LogLevels) as LevelName[];

/**
 * The number of a level.
 *
 * @throws Error where there is no level of that name
 */
export function getLevelByName(name: LevelName): LogLevel {
  const level: LogLevel | undefined = LogLevels[name];
  if (level === undefined) throw new Error(`Cannot get log level: no level named ${name}`);
  return level;
}

/**
 * The name of a level.
 *
 * @throws Error where there is no level of that number
 */
export function getLevelName(level: LogLevel): LevelName {
  const name = LogLevelNames.find((name) => LogLevels[name] === level);
  if (name === undefined) throw new Error(`Cannot get log level: no name for level: ${level}`);
  return name;
}

/** What {@linkcode LogRecord} is made of. */
export interface LogRecordOptions {
  /** The text. */
  msg: string;
  /** Whatever was logged with it. */
  args: unknown[];
  /** The number of its level. */
  level: LogLevel;
  /** The name of the logger. */
  loggerName: string;
}

/** One message on its way to the handlers; like the package, we export no more than its type. */
export type { LogRecord };
class LogRecord {
  /** The text. */
  readonly msg: string;
  /** The number of its level. */
  readonly level: number;
  /** The name of its level. */
  readonly levelName: string;
  /** The name of the logger. */
  readonly loggerName: string;
  readonly #args: unknown[];
  readonly #timeMs = Date.now();

  constructor(options: LogRecordOptions) {
    this.msg = options.msg;
    this.level = options.level;
    this.levelName = getLevelName(options.level);
    this.loggerName = options.loggerName;
    this.#args = [...options.args];
  }

  /** A copy of what was logged with the text. */
  get args(): unknown[] {
    return [...this.#args];
  }

  /** When the record was made. */
  get datetime(): Date {
    return new Date(this.#timeMs);
  }
}

/** Makes the text of a record. */
export type FormatterFunction = (logRecord: LogRecord) => string;

/** Options of {@linkcode BaseHandler}. */
export interface BaseHandlerOptions {
  /** Makes the text of a record; `INFO text` where there is none. */
  formatter?: FormatterFunction;
}

/** Formats the records of a level and above and hands the text to `log`, which a subclass gives. */
export abstract class BaseHandler {
  /** Makes the text of a record. */
  formatter: FormatterFunction;
  #level: LogLevel;

  constructor(levelName: LevelName, options: BaseHandlerOptions = {}) {
    this.#level = getLevelByName(levelName);
    this.formatter = options.formatter ?? (({ levelName, msg }) => `${levelName} ${msg}`);
  }

  /** The lowest level that is handled. */
  get level(): LogLevel {
    return this.#level;
  }

  /** Sets the lowest level that is handled. */
  set level(level: LogLevel) {
    this.#level = getLevelByName(getLevelName(level));
  }

  /** The name of the lowest level that is handled. */
  get levelName(): LevelName {
    return getLevelName(this.#level);
  }

  /** Sets the lowest level that is handled. */
  set levelName(levelName: LevelName) {
    this.#level = getLevelByName(levelName);
  }

  /** Logs the record, unless it is below the level of this handler. */
  handle(logRecord: LogRecord): void {
    if (logRecord.level >= this.#level) this.log(this.format(logRecord));
  }

  /** The text of a record. */
  format(logRecord: LogRecord): string {
    return this.formatter(logRecord);
  }

  /** Writes a text. */
  abstract log(msg: string): void;

  /** Called when {@linkcode setup} takes the handler in. */
  setup(): void {}

  /** Called when another {@linkcode setup} puts the handler away. */
  destroy(): void {}

  /** Puts the handler away. */
  [Symbol.dispose](): void {
    this.destroy();
  }
}

/** Writes to the console. */
export class ConsoleHandler extends BaseHandler {
  /** Writes a text. */
  override log(msg: string): void {
    console.log(msg);
  }
}

/** Options of {@linkcode Logger}. */
export interface LoggerOptions {
  /** Where its records go. */
  handlers?: BaseHandler[];
}

/** The type of any function, as @std/log names it. */
// deno-lint-ignore no-explicit-any -- the package's own type.
export type GenericFunction = (...args: any[]) => any;

/** A message: a value, or a function that is called only where the level is logged. */
type Message<T> = (T extends GenericFunction ? never : T) | (() => T);

/** Makes records of messages at its level and above, for its handlers. */
export class Logger {
  /** Where its records go. */
  handlers: BaseHandler[];
  readonly #loggerName: string;
  #level: LogLevel;

  constructor(loggerName: string, levelName: LevelName, options: LoggerOptions = {}) {
    this.#loggerName = loggerName;
    this.#level = getLevelByName(levelName);
    this.handlers = options.handlers ?? [];
  }

  /** The lowest level that is logged. */
  get level(): LogLevel {
    return this.#level;
  }

  /**
   * Sets the lowest level that is logged.
   *
   * @throws TypeError where there is no such level
   */
  set level(level: LogLevel) {
    if (!Object.values(LogLevels).includes(level)) {
      throw new TypeError(`Invalid log level: ${level}`);
    }
    this.#level = level;
  }

  /** The name of the lowest level that is logged. */
  get levelName(): LevelName {
    return getLevelName(this.#level);
  }

  /** Sets the lowest level that is logged. */
  set levelName(levelName: LevelName) {
    this.#level = getLevelByName(levelName);
  }

  /** The name of this logger. */
  get loggerName(): string {
    return this.#loggerName;
  }

  /** Logs at DEBUG and returns the message; a function is called only where it is logged. */
  debug<T>(msg: () => T, ...args: unknown[]): T | undefined;
  debug<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  debug<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.DEBUG, msg, args);
  }

  /** Logs at INFO; see {@linkcode Logger.debug}. */
  info<T>(msg: () => T, ...args: unknown[]): T | undefined;
  info<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  info<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.INFO, msg, args);
  }

  /** Logs at WARN; see {@linkcode Logger.debug}. */
  warn<T>(msg: () => T, ...args: unknown[]): T | undefined;
  warn<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  warn<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.WARN, msg, args);
  }

  /** Logs at ERROR; see {@linkcode Logger.debug}. */
  error<T>(msg: () => T, ...args: unknown[]): T | undefined;
  error<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  error<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.ERROR, msg, args);
  }

  /** Logs at CRITICAL; see {@linkcode Logger.debug}. */
  critical<T>(msg: () => T, ...args: unknown[]): T | undefined;
  critical<T>(msg: T extends GenericFunction ? never : T, ...args: unknown[]): T;
  critical<T>(msg: Message<T>, ...args: unknown[]): T | undefined {
    return this.#log(LogLevels.CRITICAL, msg, args);
  }

  #log<T>(level: LogLevel, msg: Message<T>, args: unknown[]): T | undefined {
    const logged = level >= this.#level;
    const value: T | undefined = msg instanceof Function ? (logged ? msg() : undefined) : msg;
    if (logged) {
      const loggerName = this.#loggerName;
      const record = new LogRecord({ msg: textOf(value), args, level, loggerName });
      for (const handler of this.handlers) handler.handle(record);
    }
    return value;
  }
}

/** How a value is shown; a string inside an object stands in quotes. */
function textOf(value: unknown, inside = false): string {
  if (typeof value === "string") return inside ? `"${value}"` : value;
  if (value instanceof Error) return value.stack ?? String(value);
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).map(([key, value]) => `"${key}":${textOf(value, true)}`);
    return `{${fields.join(",")}}`;
  }
  return typeof value === "function" ? "undefined" : String(value);
}

/** How one logger is set up. A class without members of its own, as in @std/log. */
export class LoggerConfig {
  /** Its level; INFO where there is none. */
  level?: LevelName;
  /** The names of its handlers; a name without a handler is passed over. */
  handlers?: string[];
}

/** What {@linkcode setup} takes. */
export interface LogConfig {
  /** The handlers by name. */
  handlers?: { [name: string]: BaseHandler };
  /** The loggers by name. */
  loggers?: { [name: string]: LoggerConfig };
}

const handlers = new Map<string, BaseHandler>();
const loggers = new Map<string, Logger>();

/**
 * Puts all handlers and loggers away and makes those of the config. A "default" handler (console)
 * and a "default" logger that uses it are made where the config names none.
 */
export function setup(config: LogConfig): void {
  for (const handler of handlers.values()) handler.destroy();
  handlers.clear();
  loggers.clear();
  const handlerConfigs = { default: new ConsoleHandler("INFO"), ...config.handlers };
  for (const [name, handler] of Object.entries(handlerConfigs)) {
    handler.setup();
    handlers.set(name, handler);
  }
  const loggerConfigs: { [name: string]: LoggerConfig } = {
    default: { handlers: ["default"] },
    ...config.loggers,
  };
  for (const [name, { level, handlers: names }] of Object.entries(loggerConfigs)) {
    const own = (names ?? []).flatMap((name) => handlers.get(name) ?? []);
    loggers.set(name, new Logger(name, level ?? "INFO", { handlers: own }));
  }
}

setup({});

/** The logger of that name ("default" without one); made without handlers where there is none. */
export function getLogger(name = "default"): Logger {
  const found = loggers.get(name || "default");
  if (found !== undefined) return found;
  const made = new Logger(name, "NOTSET");
  loggers.set(name, made);
  return made;
}
