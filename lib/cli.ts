/**
 * The command line: arguments and variables to {@linkcode Settings}. Pure: it opens nothing and
 * prints nothing. How values are read is in lib/setting_values.ts, the texts of --help and
 * --version are in lib/usage.ts.
 *
 * A flag beats its variable. An empty argument and an empty variable count as not given, so that
 * a manifest may pass `--context "$CONTEXT"` with nothing in it.
 */

import { parseArgs } from "@std/cli";
import type { CheckOptions } from "./check.ts";
import { UsageError } from "./errors.ts";
import type { ImportOptions } from "./import.ts";
import {
  addressOf,
  clusterOf,
  destinationOf,
  fieldSelectorOf,
  folderOf,
  type Given,
  identityOf,
  logLevelOf,
  managedFieldsOf,
  namespacesOf,
  rateOf,
  shown,
  switchOf,
  wholeNumber,
  wrapOf,
} from "./setting_values.ts";
import { BOUNDS, DEFAULTS, type Settings } from "./settings.ts";
import type { StatusOptions } from "./status.ts";

/** What the user asked for. */
export type Command =
  | { kind: "run"; settings: Settings }
  | { kind: "check"; options: CheckOptions }
  | { kind: "status"; options: StatusOptions }
  | { kind: "import"; options: ImportOptions }
  | { kind: "help" }
  | { kind: "version" };

const VARIABLE_PREFIX = "KUBE_EVENT_PIPE_";

/** Flags with a value that is also a variable: `--batch-count` is KUBE_EVENT_PIPE_BATCH_COUNT. */
const WITH_VARIABLE = [
  "destination",
  "log-level",
  "persistence-path",
  "filter-capacity",
  "filter-error-rate",
  "batch-count",
  "batch-duration-sec",
  "identity",
  "sync-interval-ms",
  "start-timeout-sec",
  "namespaces",
  "field-selector",
  "managed-fields",
  "wrap",
  "cluster",
  "metrics-address",
  "unhealthy-after",
] as const;

const WITH_VALUE: readonly string[] = [...WITH_VARIABLE, "kubeconfig", "context"];
const WITHOUT_VALUE: readonly string[] = ["standby", "json", "help", "version"];

/** Flags that are also a variable. */
type Variable = typeof WITH_VARIABLE[number] | "standby";

/** What the first argument that is no flag may be; without one the program runs. */
const SUBCOMMANDS = ["check", "status", "import"] as const;

/** What decides how the ring is made. */
const RING_FLAGS = [
  "persistence-path",
  "filter-capacity",
  "filter-error-rate",
  "batch-count",
  "batch-duration-sec",
  "identity",
] as const;

/** The flags of each, besides --help and --version. */
const FLAGS_OF: Readonly<Record<"run" | typeof SUBCOMMANDS[number], readonly string[]>> = {
  run: [...WITH_VALUE, "standby"],
  check: ["destination", "persistence-path", "identity", "json"],
  status: ["persistence-path", "json"],
  import: [...RING_FLAGS, "json"],
};

const SEE_HELP = "See kube-event-pipe --help.";

/**
 * Reads the arguments and variables.
 *
 * @param env the value of a variable, or undefined where it is not set
 * @throws UsageError that names the flag or variable, its value and the remedy
 */
export function parseCommandLine(
  args: string[],
  env: (name: string) => string | undefined,
): Command {
  const unknown: string[] = [];
  const positional: string[] = [];
  const flags: Record<string, unknown> = parseArgs(joinValues(args), {
    string: [...WITH_VALUE],
    boolean: [...WITHOUT_VALUE],
    alias: { help: "h", version: "V" },
    "--": true,
    // Taken from here, an argument that looks like a number stays the name of a file.
    unknown: (argument: string) => {
      const isFlag = argument.startsWith("-") && argument !== "-";
      (isFlag ? unknown : positional).push(argument);
      return false;
    },
  });
  if (flags.help === true) return { kind: "help" };
  if (flags.version === true) return { kind: "version" };
  const [firstUnknown] = unknown;
  if (firstUnknown !== undefined) throw unknownFlag(firstUnknown);
  const [name, ...files] = [...positional, ...flags["--"] as string[]];
  const subcommand = SUBCOMMANDS.find((known) => known === name);
  if (name !== undefined && subcommand === undefined) throw unknownArgument(name);
  refuseOtherFlags(flags, subcommand ?? "run");
  const given = (flag: Variable) => givenOf(flags, env, flag);
  const json = flags.json === true;
  const persistencePath = folderOf(given("persistence-path")) ?? DEFAULTS.persistencePath;
  switch (subcommand) {
    case undefined:
      return { kind: "run", settings: settingsOf(flags, given) };
    case "check": {
      const destination = destinationOf(given("destination"));
      const identity = identityOf(given("identity")) ?? DEFAULTS.identity;
      return {
        kind: "check",
        options: { destination, persistencePath, identity, files, json },
      };
    }
    case "status":
      if (files[0] !== undefined) {
        throw new UsageError(
          `Unexpected argument ${shown(files[0])}: status reads the state folder alone ` +
            `(--persistence-path); check takes files. ${SEE_HELP}`,
        );
      }
      return { kind: "status", options: { persistencePath, json } };
    case "import":
      if (files.length === 0) {
        throw new UsageError(`import needs files of lines: import FILE... ${SEE_HELP}`);
      }
      return {
        kind: "import",
        options: { persistencePath, ...ringSettingsOf(given), files, json },
      };
    default:
      return subcommand satisfies never;
  }
}

/** Flags mean nothing to a subcommand that they are not for; that is said, not passed over. */
function refuseOtherFlags(
  flags: Record<string, unknown>,
  command: keyof typeof FLAGS_OF,
): void {
  const allowed = FLAGS_OF[command];
  const isGiven = (flag: string) => typeof flags[flag] === "string" || flags[flag] === true;
  const wrong = [...WITH_VALUE, "standby", "json"].find((flag) =>
    isGiven(flag) && !allowed.includes(flag)
  );
  if (wrong === undefined) return;
  throw new UsageError(
    command === "run"
      ? `--${wrong} is a flag of check, status and import. ${SEE_HELP}`
      : `--${wrong} is no flag of ${command}, which takes ` +
        `${allowed.map((flag) => `--${flag}`).join(", ")}. ${SEE_HELP}`,
  );
}

/**
 * Writes `--flag value` as `--flag=value` and leaves out what is empty, because parseArgs takes
 * neither `--destination -` nor `--destination=` for what it says, and takes `--no-destination=x`
 * for `--destination=x`.
 */
function joinValues(args: string[]): string[] {
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const argument = args[i]!;
    if (argument === "--") return [...joined, ...args.slice(i)];
    const [, name, value] = /^--([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
    if (name?.startsWith("no-")) throw unknownFlag(argument);
    if (name === undefined || !WITH_VALUE.includes(name)) {
      if (argument !== "") joined.push(argument);
    } else if (value !== undefined) {
      if (value !== "") joined.push(argument);
    } else {
      const next = args[++i];
      if (next === undefined || /^-[-A-Za-z]/.test(next)) {
        throw new UsageError(`--${name} needs a value: --${name}=VALUE. ${SEE_HELP}`);
      }
      if (next !== "") joined.push(`--${name}=${next}`);
    }
  }
  return joined;
}

/** The variable that is the same as a flag. */
function variableOf(flag: Variable): string {
  return VARIABLE_PREFIX + flag.replaceAll("-", "_").toUpperCase();
}

/**
 * What the user should be told about variables that nobody reads and that are like ours. Others
 * with our prefix are left alone: Kubernetes sets some for each Service (KUBE_EVENT_PIPE_PORT).
 *
 * @param names of all variables
 */
export function variableWarnings(names: readonly string[]): string[] {
  const variables = [...WITH_VARIABLE, "standby" as const].map(variableOf);
  const endOf = (name: string) => name.slice(VARIABLE_PREFIX.length);
  return names.flatMap((name) => {
    if (!name.startsWith(VARIABLE_PREFIX) || variables.includes(name)) return [];
    const guess = nearestOf(endOf(name), variables.map(endOf));
    return guess === null
      ? []
      : [`Nobody reads the variable ${name}. Did you mean ${VARIABLE_PREFIX}${guess}?`];
  });
}

/** The value of a flag, else that of its variable, else null. */
function givenOf(
  flags: Record<string, unknown>,
  env: (name: string) => string | undefined,
  flag: Variable,
): Given | null {
  const value = flags[flag];
  if (typeof value === "string") return { name: `--${flag}`, value };
  const name = variableOf(flag);
  const variable = env(name);
  return variable === undefined || variable === "" ? null : { name, value: variable };
}

function settingsOf(
  flags: Record<string, unknown>,
  given: (flag: Variable) => Given | null,
): Settings {
  const d = DEFAULTS;
  const wrap = wrapOf(given("wrap")) ?? d.wrap;
  return {
    destination: destinationOf(given("destination")) ?? d.destination,
    logLevel: logLevelOf(given("log-level")) ?? d.logLevel,
    persistencePath: folderOf(given("persistence-path")) ?? d.persistencePath,
    ...ringSettingsOf(given),
    syncIntervalMs: wholeNumber(given("sync-interval-ms"), BOUNDS.syncIntervalMs, "100") ??
      d.syncIntervalMs,
    startTimeoutSec: wholeNumber(given("start-timeout-sec"), BOUNDS.startTimeoutSec, "60") ??
      d.startTimeoutSec,
    namespaces: namespacesOf(given("namespaces")) ?? d.namespaces,
    fieldSelector: fieldSelectorOf(given("field-selector")) ?? d.fieldSelector,
    managedFields: managedFieldsOf(given("managed-fields")) ?? d.managedFields,
    wrap,
    cluster: clusterOf(given("cluster"), wrap) ?? d.cluster,
    metricsAddress: addressOf(given("metrics-address")) ?? d.metricsAddress,
    unhealthyAfterSec: wholeNumber(given("unhealthy-after"), BOUNDS.unhealthyAfterSec, "120") ??
      d.unhealthyAfterSec,
    standby: flags.standby === true || (switchOf(given("standby")) ?? d.standby),
    ...(typeof flags.kubeconfig === "string" && { kubeconfig: flags.kubeconfig }),
    ...(typeof flags.context === "string" && { context: flags.context }),
  };
}

function ringSettingsOf(
  given: (flag: Variable) => Given | null,
): Omit<ImportOptions, "persistencePath" | "files" | "json"> {
  const d = DEFAULTS;
  return {
    filterCapacity: wholeNumber(given("filter-capacity"), BOUNDS.filterCapacity, "1_000_000") ??
      d.filterCapacity,
    filterErrorRate: rateOf(given("filter-error-rate")) ?? d.filterErrorRate,
    batchCount: wholeNumber(given("batch-count"), BOUNDS.batchCount, "3") ?? d.batchCount,
    batchDurationSec: wholeNumber(given("batch-duration-sec"), BOUNDS.batchDurationSec, "3600") ??
      d.batchDurationSec,
    identity: identityOf(given("identity")) ?? d.identity,
  };
}

function unknownFlag(argument: string): UsageError {
  const name = argument.split("=", 1)[0]!;
  const guess = nearestOf(name, [...WITH_VALUE, ...WITHOUT_VALUE].map((flag) => `--${flag}`));
  const hint = guess === null ? "" : ` Did you mean ${guess}?`;
  return new UsageError(`Unknown flag ${shown(name)}.${hint} ${SEE_HELP}`);
}

function unknownArgument(argument: string): UsageError {
  const guess = nearestOf(argument, SUBCOMMANDS);
  const hint = guess === null
    ? `: without ${SUBCOMMANDS.join(" or ")} in front, kube-event-pipe takes flags only, for ` +
      "example --destination=/var/log/events.jsonl."
    : `. Did you mean ${guess}?`;
  return new UsageError(`Unexpected argument ${shown(argument)}${hint} ${SEE_HELP}`);
}

/** The name that is most like the given one, where one is like it at all. */
function nearestOf(given: string, names: readonly string[]): string | null {
  const distances = names
    .map((name) => ({ name, distance: editDistance(given, name) }))
    .sort((one, other) => one.distance - other.distance);
  const nearest = distances[0]!;
  // A guess that changes more than a third of the name helps nobody.
  return nearest.distance * 3 <= nearest.name.length ? nearest.name : null;
}

/** Characters to insert, delete or replace to make one text of the other (Levenshtein). */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = row[j - 1]! + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[other.length]!;
}
