/**
 * Stand-in for what this project uses of `@std/cli` 1, for machines that cannot reach JSR:
 * `parseArgs` with named flags, over `node:util`'s parser.
 *
 * Covered: `string`, `boolean`, `alias`, `default`, `negatable`, `unknown` and `--`. Not covered,
 * and thrown at: `collect`, `stopEarly`, `boolean: true` and dotted names. Flags that are not named
 * must be refused through `unknown`; without it they become values as in the package.
 * tests/unit/closed_test.ts holds both to the same behaviour.
 */

import { parseArgs as tokenize } from "node:util";

/** Names: one or several. */
type Names<N extends string> = N | readonly N[];

/** Options of {@linkcode parseArgs}. */
export interface ParseOptions<
  B extends string = string,
  S extends string = string,
  N extends string = string,
  DD extends boolean = boolean,
> {
  /** Flags without a value; false where they are not given. */
  boolean?: Names<B>;
  /** Flags with a value, which stays a text. */
  string?: Names<S>;
  /** Boolean flags that `--no-NAME` sets to false. */
  negatable?: Names<N>;
  /** Other names of a flag. Each name gets the value. */
  alias?: Readonly<Record<string, string | readonly string[]>>;
  /** The values of flags that are not given. */
  default?: Readonly<Record<string, unknown>>;
  /** True puts everything behind `--` into the field of that name; else it joins `_`. */
  "--"?: DD;
  /** Called for each argument that is no named flag; false leaves it out of the result. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** What {@linkcode parseArgs} returns. */
export type Args<B extends string, S extends string, DD extends boolean> =
  & Record<string, unknown>
  & { [K in S]?: string }
  & { [K in B]: boolean }
  & { _: (string | number)[] }
  & (true extends DD ? { "--": string[] } : Record<never, never>);

/** Reads a command line: `--name value`, `--name=value`, `-n value`, `--flag`, `--no-flag`. */
export function parseArgs<
  const B extends string = never,
  const S extends string = never,
  const N extends string = never,
  const DD extends boolean = false,
>(args: readonly string[], options: ParseOptions<B, S, N, DD> = {}): Args<B, S, DD> {
  const parser = new Parser(options);
  return parser.parse(args) as Args<B, S, DD>;
}

class Parser {
  readonly #options: ParseOptions;
  /** Each name with all the names of its flag, itself among them. */
  readonly #namesOf = new Map<string, string[]>();
  readonly #booleans: Set<string>;
  readonly #strings: Set<string>;
  readonly #negatables: Set<string>;
  readonly #result: Record<string, unknown> & { _: (string | number)[] } = { _: [] };

  constructor(options: ParseOptions) {
    for (const name of ["collect", "stopEarly"]) {
      if (name in options) throw new TypeError(`closed/cli.ts does not know the option ${name}`);
    }
    this.#options = options;
    for (const [name, aliases] of Object.entries(options.alias ?? {})) {
      const names = [name, ...namesIn(aliases)];
      for (const each of names) this.#namesOf.set(each, names);
    }
    this.#booleans = this.#withAliases(options.boolean);
    this.#strings = this.#withAliases(options.string);
    this.#negatables = this.#withAliases(options.negatable);
  }

  parse(all: readonly string[]): Record<string, unknown> {
    const end = all.indexOf("--");
    const args = end < 0 ? [...all] : all.slice(0, end);
    const behind = end < 0 ? [] : all.slice(end + 1);
    for (let at = 0; at < args.length;) at += this.#take(args, at);
    this.#fillIn();
    if (this.#options["--"]) this.#result["--"] = behind;
    else this.#result._.push(...behind);
    return this.#result;
  }

  /** Takes the argument at `at`, and its value where that is the next one; returns how many. */
  #take(args: string[], at: number): number {
    const arg = args[at] ?? "";
    // The package reads -x=1 like --x=1; for node:util it would be the letters x, = and 1.
    const [, letter, text] = /^-([A-Za-z])=(.*)$/s.exec(arg) ?? [];
    if (letter !== undefined) return this.#option({ name: letter, value: text }, arg, undefined);
    // The parser of node:util says what kind of argument it is: one token, or one per letter.
    const { tokens } = tokenize({ args: [arg], strict: false, tokens: true });
    let taken = 1;
    for (const token of tokens) {
      if (token.kind === "positional") this.#positional(arg);
      if (token.kind === "option") taken = this.#option(token, arg, args[at + 1]);
    }
    return taken;
  }

  #positional(arg: string): void {
    if (this.#options.unknown?.(arg) === false) return;
    this.#result._.push(this.#strings.has("_") ? arg : numberOr(arg));
  }

  #option(
    token: { name: string; value: string | undefined },
    arg: string,
    next: string | undefined,
  ): number {
    const { name, value } = token;
    const positive = name.startsWith("no-") ? name.slice(3) : null;
    if (positive !== null && value === undefined && this.#negatables.has(positive)) {
      this.#set(positive, false, arg);
      return 1;
    }
    const isBoolean = this.#booleans.has(name);
    if (value !== undefined) {
      this.#set(name, isBoolean ? value !== "false" : value, arg);
      return 1;
    }
    // The package's rule: a lone hyphen is a value behind -d, but not behind --destination.
    const flagLike = arg.startsWith("--") ? /^-/ : /^--?[^-]/;
    const nextIsValue = next && (isBoolean ? /^(true|false)$/.test(next) : !flagLike.test(next));
    if (nextIsValue && arg.endsWith(name)) {
      this.#set(name, isBoolean ? next === "true" : next, arg);
      return 2;
    }
    this.#set(name, this.#strings.has(name) ? "" : true, arg);
    return 1;
  }

  #set(name: string, value: string | boolean, arg: string): void {
    const isNamed = this.#booleans.has(name) || this.#strings.has(name) || this.#namesOf.has(name);
    if (!isNamed && this.#options.unknown?.(arg, name, value) === false) return;
    const isText = typeof value !== "string" || this.#strings.has(name);
    for (const each of this.#namesOf.get(name) ?? [name]) {
      this.#result[each] = isText ? value : numberOr(value);
    }
  }

  #fillIn(): void {
    for (const [name, value] of Object.entries(this.#options.default ?? {})) {
      if (Object.hasOwn(this.#result, name)) continue;
      for (const each of this.#namesOf.get(name) ?? [name]) this.#result[each] = value;
    }
    for (const name of this.#booleans) {
      if (!Object.hasOwn(this.#result, name)) this.#result[name] = false;
    }
  }

  #withAliases(names: Names<string> | undefined): Set<string> {
    return new Set(namesIn(names ?? []).flatMap((name) => this.#namesOf.get(name) ?? [name]));
  }
}

function namesIn(names: Names<string>): readonly string[] {
  return typeof names === "string" ? [names] : names;
}

/** The package makes numbers of texts that look like one, unless their flag is a `string`. */
function numberOr(text: string): string | number {
  return /\S/.test(text) && Number.isFinite(Number(text)) ? Number(text) : text;
}
