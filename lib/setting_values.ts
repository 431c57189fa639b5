/**
 * The values of flags and variables: from a text to what a setting holds. Each takes null for what
 * is not given and gives null for it.
 *
 * All throw a UsageError that names the flag or variable, its value and the remedy.
 */

import { UsageError } from "./errors.ts";
import { RESERVED_NAMES } from "./line_shape.ts";
import type { IdentityMode } from "./protocol.ts";
import {
  type Address,
  type Bounds,
  CLUSTER_NAME_MAX,
  DEFAULTS,
  ERROR_RATE_MIN,
  FIELD_SELECTOR_MAX,
  LOG_LEVELS,
  type LogLevel,
  NAMESPACES_MAX,
  WRAP_NAME_MAX,
} from "./settings.ts";

/** A value with the name of the flag or variable that it came from. */
export interface Given {
  name: string;
  value: string;
}

/** Other names of the standard output, as they stand in many a manifest. */
const STDOUT_PATHS = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/** A path, or `-` for standard output. */
export function destinationOf(given: Given | null): string | null {
  if (given === null || given.value === "-") return given?.value ?? null;
  const path = plainPath(given.value);
  if (STDOUT_PATHS.includes(path)) return "-";
  if (isOutOfReach(path)) {
    throw new UsageError(
      `${given.name} must be a file, a FIFO or - for stdout, but is ${shown(given.value)}: ` +
        `nothing under /dev, /proc and /sys can be opened once privileges were dropped.`,
    );
  }
  return given.value;
}

/** A folder that outlives a restart. */
export function folderOf(given: Given | null): string | null {
  if (given !== null && isOutOfReach(plainPath(given.value))) {
    throw new UsageError(
      `${given.name} must be a folder that outlives a restart, but is ${shown(given.value)}: ` +
        `nothing under /dev, /proc and /sys can be opened once privileges were dropped.`,
    );
  }
  return given?.value ?? null;
}

/** Deno refuses /proc, /sys and most of /dev (also /dev/shm) to less than all permissions. */
function isOutOfReach(path: string): boolean {
  return /^\/(dev|proc|sys)(\/|$)/.test(path);
}

/** An absolute path without `//`, `.` and `..`; another as it is. */
function plainPath(path: string): string {
  if (!path.startsWith("/")) return path;
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return "/" + parts.join("/");
}

/** A level of Python's logging, in any case. */
export function logLevelOf(given: Given | null): LogLevel | null {
  if (given === null) return null;
  const name = given.value.trim().toUpperCase();
  // Python's logging knows two names for each of these.
  const level = name === "WARN" ? "WARNING" : name === "FATAL" ? "CRITICAL" : name;
  const found = LOG_LEVELS.find((known) => known === level);
  if (found !== undefined) return found;
  throw new UsageError(
    `${given.name} must be one of ${LOG_LEVELS.slice(1).join(", ")}, ` +
      `but is ${shown(given.value)}. Example: INFO.`,
  );
}

/** A mode of the identity. */
export function identityOf(given: Given | null): IdentityMode | null {
  if (given === null || given.value === "content" || given.value === "name-count") {
    return given?.value as IdentityMode | undefined ?? null;
  }
  throw new UsageError(
    `${given.name} must be content or name-count, but is ${shown(given.value)}. Example: content.`,
  );
}

/** Whether metadata.managedFields is written. */
export function managedFieldsOf(given: Given | null): "keep" | "drop" | null {
  if (given === null || given.value === "keep" || given.value === "drop") {
    return given?.value as "keep" | "drop" | undefined ?? null;
  }
  throw new UsageError(
    `${given.name} must be keep or drop, but is ${shown(given.value)}. Example: drop.`,
  );
}

/** The name of the event in a wrapper. */
export function wrapOf(given: Given | null): string | null {
  if (given !== null && RESERVED_NAMES.has(given.value)) {
    throw new UsageError(
      `${given.name} must be another name than ${shown(given.value)}, which means something else ` +
        "where lines are read back. Example: event.",
    );
  }
  return shortText(given, WRAP_NAME_MAX, "event");
}

/** The name of the cluster in a wrapper. Without one, there is no place for it on the line. */
export function clusterOf(given: Given | null, wrap: string | null): string | null {
  if (given !== null && wrap === null) {
    throw new UsageError(
      `${given.name} needs --wrap: the cluster's name stands beside the event, not in it. ` +
        "Example: --wrap=event --cluster=prod.",
    );
  }
  return shortText(given, CLUSTER_NAME_MAX, "prod");
}

function shortText(given: Given | null, charactersMax: number, example: string): string | null {
  if (given === null || given.value.length <= charactersMax) return given?.value ?? null;
  throw new UsageError(
    `${given.name} must have at most ${charactersMax} characters, but has ` +
      `${given.value.length}: ${shown(given.value)}. Example: ${example}.`,
  );
}

/** A whole number as Python's int() reads it: spaces around it, underscores between digits. */
export function wholeNumber(given: Given | null, bounds: Bounds, example: string): number | null {
  if (given === null) return null;
  const text = given.value.trim();
  const value = /^[+-]?\d+(_\d+)*$/.test(text) ? Number(text.replaceAll("_", "")) : NaN;
  if (value > bounds.max) {
    throw new UsageError(
      `${given.name} must be at most ${bounds.max.toLocaleString("en-US")}, ` +
        `but is ${shown(given.value)}. Example: ${example}.`,
    );
  }
  if (value >= bounds.min) return value;
  const kind = bounds.min === 0 ? "a whole number, 0 or more" : "a positive whole number";
  throw new UsageError(
    `${given.name} must be ${kind}, but is ${shown(given.value)}. Example: ${example}.`,
  );
}

/** A number as Python's float() reads it, between 0 and 1. */
export function rateOf(given: Given | null): number | null {
  if (given === null) return null;
  const digits = String.raw`\d+(?:_\d+)*`;
  const form = new RegExp(
    `^[+-]?(?:${digits}\\.?(?:${digits})?|\\.${digits})(?:e[+-]?${digits})?$`,
    "i",
  );
  const text = given.value.trim();
  const value = form.test(text) ? Number(text.replaceAll("_", "")) : NaN;
  if (value > 0 && value < ERROR_RATE_MIN) {
    throw new UsageError(
      `${given.name} must be at least ${ERROR_RATE_MIN}, but is ${shown(given.value)}. ` +
        `Example: ${DEFAULTS.filterErrorRate}.`,
    );
  }
  if (value > 0 && value < 1) return value;
  throw new UsageError(
    `${given.name} must be a number above 0 and below 1, but is ${shown(given.value)}. ` +
      `Example: ${DEFAULTS.filterErrorRate}.`,
  );
}

/** Yes or no. */
export function switchOf(given: Given | null): boolean | null {
  switch (given?.value.trim().toLowerCase()) {
    case undefined:
      return null;
    case "1":
    case "true":
      return true;
    case "0":
    case "false":
      return false;
  }
  throw new UsageError(
    `${given!.name} must be true or false, but is ${shown(given!.value)}. Example: true.`,
  );
}

/** Names of namespaces between commas, each once, sorted. */
export function namespacesOf(given: Given | null): string[] | null {
  if (given === null) return null;
  const names = given.value.split(",").map((name) => name.trim()).filter((name) => name !== "");
  // An RFC 1123 label (apimachinery validation.go, IsDNS1123Label).
  const wrong = names.find((name) => !/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(name));
  if (wrong !== undefined) {
    throw new UsageError(
      `${given.name} must be names of namespaces between commas, but ${shown(wrong)} cannot be ` +
        "one: small letters, digits and -, at most 63. Example: shop,kube-system.",
    );
  }
  const sorted = [...new Set(names)].sort();
  if (sorted.length <= NAMESPACES_MAX) return sorted;
  throw new UsageError(
    `${given.name} must be at most ${NAMESPACES_MAX} namespaces, but is ${sorted.length}: each is ` +
      "a watch of its own. Watch all of them by leaving it out, or run several instances.",
  );
}

/** A field selector as the API server takes it; which fields it knows is the server's to say. */
export function fieldSelectorOf(given: Given | null): string | null {
  if (given === null) return null;
  // Values escape comma, equals sign and backslash (apimachinery fields/selector.go).
  const terms = given.value.match(/(?:\\.|[^,\\])+/gs) ?? [];
  const isWhole = terms.join(",") === given.value &&
    terms.every((term) => /^[A-Za-z][A-Za-z.]*(?:==|!=|=)(?:\\[,=\\]|[^,=\\])*$/s.test(term));
  if (given.value.length > FIELD_SELECTOR_MAX) {
    throw new UsageError(
      `${given.name} must have at most ${FIELD_SELECTOR_MAX} characters, but has ` +
        `${given.value.length}: ${shown(given.value)}. Run an instance for each part of it.`,
    );
  }
  if (isWhole) return given.value;
  throw new UsageError(
    `${given.name} must be FIELD=VALUE, FIELD==VALUE or FIELD!=VALUE between commas, but is ` +
      `${shown(given.value)}. Example: type!=Normal,involvedObject.kind=Pod.`,
  );
}

/** `HOST:PORT`; an IPv6 address stands in brackets, and port 0 is any free one. */
export function addressOf(given: Given | null): Address | null {
  if (given === null) return null;
  const form =
    /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)):(\d{1,5})$/;
  const [, v6, name, digits] = form.exec(given.value.trim()) ?? [];
  const hostname = v6 ?? name;
  const port = Number(digits);
  if (hostname !== undefined && port <= 65_535) return { hostname, port };
  throw new UsageError(
    `${given.name} must be HOST:PORT with a port of at most 65535, but is ${shown(given.value)}. ` +
      "Example: 127.0.0.1:9090, or 0.0.0.0:9090 or [::]:9090 for all addresses of this machine.",
  );
}

/** A value in quotes, on one line, cut where it is long. */
export function shown(value: string): string {
  return JSON.stringify(value.length > 100 ? value.slice(0, 100) + "..." : value);
}
