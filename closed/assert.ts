/**
 * Stand-in for what this project uses of `@std/assert` 1, for machines that cannot reach JSR.
 *
 * Equality and its report are `node:assert`'s deepStrictEqual. It is the stricter of the two: it
 * tells 0 from -0. tests/unit/closed_test.ts holds both to the behaviour that we use.
 */

import { deepStrictEqual } from "node:assert";

/** What a failed assertion throws. */
export class AssertionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "AssertionError";
  }
}

/** The type of an error's class. */
// deno-lint-ignore no-explicit-any -- the constructors of errors take what they like.
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

function demand(condition: boolean, text: () => string, msg?: string): asserts condition {
  if (!condition) throw new AssertionError(msg ? `${text()}: ${msg}` : `${text()}.`);
}

function differenceOf(actual: unknown, expected: unknown): string | null {
  try {
    deepStrictEqual(actual, expected);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Demands a truthy value. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Fails. */
export function fail(msg?: string): never {
  throw new AssertionError(msg ? `Failed assertion: ${msg}` : "Failed assertion.");
}

/** Demands that two values are equal all the way down. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  const difference = differenceOf(actual, expected);
  if (difference === null) return;
  throw new AssertionError(`Values are not equal${msg ? `: ${msg}` : "."}\n${difference}`);
}

/** Demands that two values are not equal all the way down. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  const text = () => `Expected actual: ${show(actual)} not to be: ${show(expected)}`;
  demand(differenceOf(actual, expected) !== null, text, msg);
}

/** Demands that two values are the same (Object.is). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  const text = () => `Values are not strictly equal: ${show(actual)} and ${show(expected)}`;
  demand(Object.is(actual, expected), text, msg);
}

/** Demands that a value is neither null nor undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  const text = () => `Expected actual: "${actual}" to not be null or undefined`;
  demand(actual !== null && actual !== undefined, text, msg);
}

/** Demands an instance of a class. */
// deno-lint-ignore no-explicit-any -- constructors take what they like.
export function assertInstanceOf<T extends abstract new (...args: any[]) => any>(
  actual: unknown,
  expectedType: T,
  msg?: string,
): asserts actual is InstanceType<T> {
  const text = () => `Expected an instance of "${expectedType.name}" but was ${show(actual)}`;
  demand(actual instanceof expectedType, text, msg);
}

/** Demands that a text matches. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  demand(expected.test(actual), () => `Expected actual: "${actual}" to match: "${expected}"`, msg);
}

/** Demands that a text holds another. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  const text = () => `Expected actual: "${actual}" to contain: "${expected}"`;
  demand(actual.includes(expected), text, msg);
}

/** Demands actual > expected. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) compareFailed(actual, ">", expected, msg);
}

/** Demands actual >= expected. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) compareFailed(actual, ">=", expected, msg);
}

/** Demands actual < expected. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) compareFailed(actual, "<", expected, msg);
}

/** Demands actual <= expected. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) compareFailed(actual, "<=", expected, msg);
}

function compareFailed(actual: unknown, sign: string, expected: unknown, msg?: string): never {
  throw new AssertionError(msg ?? `Expect ${show(actual)} ${sign} ${show(expected)}`);
}

/** Demands that a function throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Demands that a function throws an error of that class whose message holds a text. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error>(
  fn: () => unknown,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  try {
    fn();
  } catch (error) {
    return checkError(error, classOrMsg, msgIncludes, msg);
  }
  return didNot("throw", typeof classOrMsg === "string" ? classOrMsg : msg);
}

/** Demands that a promise is rejected; resolves to the reason. A function that throws fails. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Demands that a promise is rejected with an error of that class whose message holds a text. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error>(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const ownMsg = typeof classOrMsg === "string" ? classOrMsg : msg;
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch {
    throw new AssertionError(
      `Function throws when expected to reject${ownMsg ? `: ${ownMsg}` : "."}`,
    );
  }
  try {
    await promise;
  } catch (error) {
    return checkError(error, classOrMsg, msgIncludes, msg);
  }
  return didNot("reject", ownMsg);
}

function didNot(what: "throw" | "reject", msg: string | undefined): never {
  throw new AssertionError(`Expected function to ${what}${msg ? `: ${msg}` : "."}`);
}

function checkError<E extends Error>(
  error: unknown,
  classOrMsg: ErrorClass<E> | string | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): unknown {
  if (typeof classOrMsg !== "function") return error;
  const text = () =>
    `Expected error to be instance of "${classOrMsg.name}", but was ${show(error)}`;
  demand(error instanceof classOrMsg, text, msg);
  const message = error.message;
  const wrongText = () =>
    `Expected error message to include ${JSON.stringify(msgIncludes)}, but got ` +
    JSON.stringify(message);
  demand(message.includes(msgIncludes ?? ""), wrongText, msg);
  return error;
}

function show(value: unknown): string {
  return Deno.inspect(value, { depth: 6 });
}
