/**
 * What we rely on of @std/assert, @std/cli and @std/log. It is written against their documented
 * behaviour and runs on whichever is in use: the packages of JSR, or the stand-ins of closed/.
 */

import {
  assert,
  assertEquals,
  assertExists,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  AssertionError,
  assertLess,
  assertLessOrEqual,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
  fail,
} from "@std/assert";
import { parseArgs } from "@std/cli";
import {
  BaseHandler,
  getLevelByName,
  getLevelName,
  getLogger,
  type LevelName,
  Logger,
  LogLevels,
  type LogRecord,
  setup,
} from "@std/log";

/** The message of the AssertionError that `check` throws; does not use what is under test. */
function refusal(check: () => unknown): string {
  try {
    check();
  } catch (error) {
    if (error instanceof AssertionError) return error.message;
    throw error;
  }
  throw new Error("The assertion passed and must not");
}

async function laterRefusal(check: () => Promise<unknown>): Promise<string> {
  try {
    await check();
  } catch (error) {
    if (error instanceof AssertionError) return error.message;
    throw error;
  }
  throw new Error("The assertion passed and must not");
}

Deno.test("assertions on truth and identity pass and fail as they should", () => {
  assert("text");
  assertEquals(refusal(() => assert(0, "zero is false")), "zero is false");
  assertMatch(refusal(() => fail("on purpose")), /on purpose/);
  const object = { a: 1 };
  assertStrictEquals(object, object);
  assertStrictEquals(NaN, NaN);
  assertMatch(refusal(() => assertStrictEquals<unknown>(object, { a: 1 }, "not same")), /not same/);
  assertExists(0);
  refusal(() => assertExists(null));
  refusal(() => assertExists(undefined));
  assertInstanceOf(new TypeError("x"), Error);
  refusal(() => assertInstanceOf({}, Error));
});

Deno.test("assertEquals looks all the way down and names the reason", () => {
  assertEquals({ a: [1, { b: new Set(["x"]) }] }, { a: [1, { b: new Set(["x"]) }] });
  assertEquals(new Uint8Array([1, 2]), new Uint8Array([1, 2]));
  assertEquals(new Map([["k", [1]]]), new Map([["k", [1]]]));
  assertEquals(new Date(5), new Date(5));
  assertEquals(NaN, NaN);
  assertMatch(refusal(() => assertEquals([1, 2], [1, 3], "the lists")), /not equal.*the lists/);
  refusal(() => assertEquals<unknown>(1, "1"));
  refusal(() => assertEquals<unknown>({ a: undefined }, {}));
  refusal(() => assertEquals(new Uint8Array([1]), new Uint8Array([2])));
  refusal(() => assertEquals(new Map([["k", 1]]), new Map([["k", 2]])));
  refusal(() => assertEquals(new Set([1]), new Set([2])));
  assertNotEquals({ a: 1 }, { a: 2 });
  refusal(() => assertNotEquals({ a: 1 }, { a: 1 }));
});

Deno.test("assertions on texts and order pass and fail as they should", () => {
  assertMatch("abc", /b/);
  refusal(() => assertMatch("abc", /x/));
  assertStringIncludes("abc", "bc");
  assertMatch(refusal(() => assertStringIncludes("abc", "x", "why")), /abc.*x.*why/s);
  assertGreater(2, 1);
  assertGreaterOrEqual(2, 2);
  assertLess(1, 2);
  assertLessOrEqual(2n, 2n);
  refusal(() => assertGreater(1, 1));
  refusal(() => assertGreaterOrEqual(1, 2));
  refusal(() => assertLess(1, 1));
  refusal(() => assertLessOrEqual(2, 1));
  refusal(() => assertLess(NaN, 1));
});

Deno.test("assertThrows returns the error and checks its class and text", () => {
  const thrower = () => {
    throw new RangeError("too far: 7");
  };
  const error: RangeError = assertThrows(thrower, RangeError, "far: 7");
  assertEquals(error.message, "too far: 7");
  assertInstanceOf(assertThrows(thrower), RangeError);
  assertInstanceOf(assertThrows(thrower, Error), RangeError);
  refusal(() => assertThrows(() => 1));
  refusal(() => assertThrows(() => 1, Error));
  refusal(() => assertThrows(thrower, TypeError));
  refusal(() => assertThrows(thrower, RangeError, "near"));
});

Deno.test("assertRejects resolves to the error and checks its class and text", async () => {
  const rejecter = () => Promise.reject(new RangeError("too far: 7"));
  const error: RangeError = await assertRejects(rejecter, RangeError, "far: 7");
  assertEquals(error.message, "too far: 7");
  assertInstanceOf(await assertRejects(rejecter), RangeError);
  await laterRefusal(() => assertRejects(() => Promise.resolve(1)));
  await laterRefusal(() => assertRejects(rejecter, TypeError));
  await laterRefusal(() => assertRejects(rejecter, RangeError, "near"));
  const text = await laterRefusal(() =>
    assertRejects(() => {
      throw new RangeError("too early");
    })
  );
  assertStringIncludes(text, "throws when expected to reject");
});

/** A command line with each kind of flag that the program has; `unknown` collects. */
function read(...args: string[]) {
  const refused: string[] = [];
  const flags = parseArgs(args, {
    boolean: ["help", "color"],
    string: ["destination", "level"],
    negatable: ["color"],
    alias: { help: "h", destination: ["d", "output"] },
    default: { level: "INFO" },
    "--": true,
    unknown: (arg, key) => {
      refused.push(key === undefined ? arg : `${arg} (${key})`);
      return false;
    },
  });
  return { flags, refused };
}

Deno.test("parseArgs takes a value behind a space or an equal sign and leaves it a text", () => {
  assertEquals(read("--destination", "a.jsonl").flags.destination, "a.jsonl");
  assertEquals(read("--destination=a=b").flags.destination, "a=b");
  assertEquals(read("--destination=").flags.destination, "");
  assertEquals(read("--level", "1_000_000").flags.level, "1_000_000");
  assertEquals(read("--level", "007").flags.level, "007");
  assertEquals(read("--level", "a", "--level", "b").flags.level, "b");
  assertEquals(read("-d", "x").flags.destination, "x");
  assertEquals(read("-d=x").flags.destination, "x");
  assertEquals(read("-d", "-").flags.destination, "-");
  assertEquals(read("--output", "x").flags.destination, "x");
});

Deno.test("parseArgs takes nothing that begins with a hyphen for the value behind a long flag", () => {
  const { flags, refused } = read("--destination", "-", "--level", "--help");
  assertEquals([flags.destination, flags.level, flags.help], ["", "", true]);
  assertEquals(refused, ["-"]);
  assertEquals(read("--destination=-").flags.destination, "-");
  assertEquals(read("--destination").flags.destination, "");
});

Deno.test("parseArgs knows boolean flags, their aliases and their negation", () => {
  assertEquals(read().flags.help, false);
  assertEquals(read("--help", "x").flags.help, true);
  assertEquals(read("-h").flags.help, true);
  assertEquals(read("--help").flags["h"], true);
  assertEquals(read("--help=false").flags.help, false);
  assertEquals(read("--help", "false").flags.help, false);
  assertEquals(read("--color").flags.color, true);
  assertEquals(read("--no-color").flags.color, false);
});

Deno.test("parseArgs fills in defaults and leaves other flags out", () => {
  const { flags, refused } = read();
  assertEquals(flags.level, "INFO");
  assertEquals("destination" in flags, false);
  assertEquals([flags._, flags["--"], refused], [[], [], []]);
});

Deno.test("parseArgs reports unknown flags and positional arguments, and leaves them out", () => {
  const { flags, refused } = read("--nope", "stray", "--no-help", "-x", "", "7");
  assertEquals(refused, ["--nope (nope)", "--no-help (no-help)", "-x (x)", "", "7"]);
  assertEquals(Object.keys(flags).sort(), ["--", "_", "color", "h", "help", "level"]);
  assertEquals(flags._, []);
  assertEquals(read("stray").refused, ["stray"]);
});

Deno.test("parseArgs does not look behind a double dash", () => {
  const { flags, refused } = read("--help", "--", "--nope", "x");
  assertEquals([flags.help, flags["--"], refused], [true, ["--nope", "x"], []]);
  assertEquals(parseArgs(["a", "--", "--b"])._, ["a", "--b"]);
});

Deno.test("parseArgs without options makes values of all flags", () => {
  const flags = parseArgs(["--foo", "--bar=baz", "./quux.txt", "12"]);
  assertEquals<unknown>(flags, { foo: true, bar: "baz", _: ["./quux.txt", 12] });
});

/** Keeps the texts. */
class MemoryHandler extends BaseHandler {
  readonly lines: string[] = [];
  readonly calls: string[] = [];
  override log(msg: string): void {
    this.lines.push(msg);
  }
  override setup(): void {
    this.calls.push("setup");
  }
  override destroy(): void {
    this.calls.push("destroy");
  }
}

/** Logs one message at each level. */
function logAll(logger: Logger): void {
  logger.debug("d");
  logger.info("i");
  logger.warn("w");
  logger.error("e");
  logger.critical("c");
}

Deno.test("levels have their names and numbers", () => {
  const names: LevelName[] = ["NOTSET", "DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"];
  assertEquals(names.map((name) => LogLevels[name]), [0, 10, 20, 30, 40, 50]);
  assertEquals(names.map((name) => getLevelName(getLevelByName(name))), names);
  assertThrows(() => getLevelByName("WARNING" as LevelName), Error, "WARNING");
});

Deno.test("a logger hands messages of its level and above to its handlers, formatted", () => {
  const handler = new MemoryHandler("NOTSET", {
    formatter: ({ levelName, loggerName, msg }) => `${loggerName}/${levelName}: ${msg}`,
  });
  const logger = new Logger("own", "WARN", { handlers: [handler] });
  logAll(logger);
  assertEquals(handler.lines, ["own/WARN: w", "own/ERROR: e", "own/CRITICAL: c"]);
  logger.levelName = "DEBUG";
  assertEquals(logger.level, LogLevels.DEBUG);
  logAll(logger);
  assertEquals(handler.lines.length, 3 + 5);
});

Deno.test("a handler passes over what is below its own level", () => {
  const handler = new MemoryHandler("ERROR");
  logAll(new Logger("own", "DEBUG", { handlers: [handler] }));
  assertEquals(handler.lines, ["ERROR e", "CRITICAL c"]);
  assertEquals([handler.level, handler.levelName], [LogLevels.ERROR, "ERROR"]);
});

Deno.test("a message may be a function, which is called only where it is logged", () => {
  const handler = new MemoryHandler("NOTSET");
  const logger = new Logger("own", "INFO", { handlers: [handler] });
  let calls = 0;
  const message = () => `call ${++calls}`;
  assertEquals(logger.debug(message), undefined);
  assertEquals(logger.info(message), "call 1");
  assertEquals(logger.info("text"), "text");
  assertEquals([calls, handler.lines], [1, ["INFO call 1", "INFO text"]]);
});

Deno.test("a record tells its level, logger, arguments and time", () => {
  const records: LogRecord[] = [];
  const formatter = (record: LogRecord) => `${records.push(record)}`;
  const logger = new Logger("own", "INFO", {
    handlers: [new MemoryHandler("INFO", { formatter })],
  });
  const before = Date.now();
  logger.info("m", "a", 1);
  const [record] = records;
  assertExists(record);
  record.args.push("changed outside");
  assertEquals([record.msg, record.args, record.levelName], ["m", ["a", 1], "INFO"]);
  assertEquals([record.level, record.loggerName], [20, "own"]);
  assertGreaterOrEqual(record.datetime.getTime(), before);
  assertLessOrEqual(record.datetime.getTime(), Date.now());
});

Deno.test("setup makes the loggers by name and puts the handlers of the last one away", () => {
  const first = new MemoryHandler("DEBUG");
  setup({ handlers: { first }, loggers: { default: { level: "DEBUG", handlers: ["first"] } } });
  getLogger().debug("to the first");
  const second = new MemoryHandler("DEBUG");
  setup({
    handlers: { second },
    loggers: { default: { handlers: ["second"] }, own: { level: "ERROR", handlers: ["second"] } },
  });
  logAll(getLogger());
  logAll(getLogger("own"));
  assertEquals([first.lines, first.calls], [["DEBUG to the first"], ["setup", "destroy"]]);
  assertEquals(second.lines, [
    "INFO i",
    "WARN w",
    "ERROR e",
    "CRITICAL c",
    "ERROR e",
    "CRITICAL c",
  ]);
  assertEquals(getLogger("made on demand").handlers, []);
  assertStrictEquals(getLogger("made on demand"), getLogger("made on demand"));
  setup({});
  assertEquals(second.calls, ["setup", "destroy"]);
});
