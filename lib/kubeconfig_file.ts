/**
 * Kubeconfig files: read, checked and merged as kubectl does it.
 *
 * The entries of a file are read by client-node: by the part of it that its KubeConfig uses for
 * that. KubeConfig itself comes with a class for each kind of object of the API, which cost 100 ms
 * and 34 MB at each start. What these entries leave out is taken from the plain YAML. No message
 * quotes a line of a file, because any may hold a credential.
 */

import {
  ActionOnInvalid,
  type Cluster as KubeCluster,
  type Context as KubeContext,
  newClusters,
  newContexts,
  newUsers,
  type User as KubeUser,
} from "@kubernetes/client-node/dist/config_types.js";
// @ts-types="@types/js-yaml"
import { load as loadYaml } from "js-yaml";
import { dirname, resolve } from "node:path";
import { fileTrouble } from "./credentials.ts";
import { codeOf, UsageError } from "./errors.ts";

/** A mapping of a YAML file, not yet looked into. */
export type Fields = Readonly<Record<string, unknown>>;

/** A named entry as client-node reads it (paths absolute), and as it is written. */
export interface Entry<T> {
  file: string;
  value: T;
  raw: Fields;
}

/** All files as one: the first file that has a name decides what it means. */
export interface Kubeconfig {
  /** The files that exist. */
  files: string[];
  currentContext: string | null;
  contexts: Map<string, Entry<KubeContext>>;
  clusters: Map<string, Entry<KubeCluster>>;
  users: Map<string, Entry<KubeUser>>;
}

/**
 * Reads and merges files.
 *
 * @param options.required false = a missing file is skipped, as kubectl does with KUBECONFIG
 * @throws UsageError where a file cannot be read, is no YAML or no kubeconfig
 */
export function readKubeconfigs(files: string[], options: { required: boolean }): Kubeconfig {
  const merged: Kubeconfig = {
    files: [],
    currentContext: null,
    contexts: new Map(),
    clusters: new Map(),
    users: new Map(),
  };
  for (const file of files) {
    const text = readFile(file, options.required);
    if (text === null) continue;
    merged.files.push(file);
    addFile(merged, file, text);
  }
  return merged;
}

/** Whether no file says anything at all, as a file of zero bytes does. */
export function isEmptyKubeconfig(config: Kubeconfig): boolean {
  const { currentContext, contexts, clusters, users } = config;
  return currentContext === null && contexts.size + clusters.size + users.size === 0;
}

/** The mapping that a value is; an empty one where it is none. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Fields
    : {};
}

/** The entries of a list that are mappings. */
export function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf) : [];
}

/**
 * A text field; null where it is absent or empty.
 *
 * @param owner names the entry in the message
 * @throws UsageError where it is no text: an unquoted 123 is a number in YAML
 */
export function textOf(fields: Fields, key: string, owner: string): string | null {
  const value = fields[key] ?? "";
  if (typeof value !== "string") {
    throw new UsageError(`The ${key} of ${owner} must be a text; put it in quotes.`);
  }
  return value === "" ? null : value;
}

/**
 * A text that is given as base64 (`...-data`); null where it is absent or empty.
 *
 * @throws UsageError where it is no base64
 */
export function decodedOf(fields: Fields, key: string, owner: string): string | null {
  const encoded = textOf(fields, key, owner);
  if (encoded === null) return null;
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0)));
  } catch {
    throw new UsageError(`The ${key} of ${owner} is not valid base64.`);
  }
}

function readFile(file: string, required: boolean): string | null {
  try {
    return Deno.readTextFileSync(file);
  } catch (error) {
    if (!required && codeOf(error) === "ENOENT") return null;
    throw new UsageError(`Cannot read kubeconfig ${JSON.stringify(file)}: ${fileTrouble(error)}.`);
  }
}

function addFile(merged: Kubeconfig, file: string, text: string): void {
  const raw = parse(file, text);
  if (raw === null) return;
  const { contexts, clusters, users } = entriesOf(file, raw);
  const current = textOf(raw, "current-context", `kubeconfig ${JSON.stringify(file)}`);
  merged.currentContext ??= current;
  addEntries(merged.contexts, file, contexts, raw["contexts"], "context");
  addEntries(merged.clusters, file, clusters, raw["clusters"], "cluster");
  addEntries(merged.users, file, users, raw["users"], "user");
}

/** The entries of a file, their paths absolute. */
function entriesOf(
  file: string,
  raw: Fields,
): { contexts: KubeContext[]; clusters: KubeCluster[]; users: KubeUser[] } {
  // Entries that are not in use may be incomplete: `kubectl config set-context` writes such.
  const options = { onInvalidEntry: ActionOnInvalid.FILTER };
  const absolute = (path: string | undefined) => path && resolve(dirname(file), path);
  try {
    return {
      contexts: newContexts(raw["contexts"], options),
      clusters: newClusters(raw["clusters"], options).map((cluster) => ({
        ...cluster,
        caFile: absolute(cluster.caFile)!,
      })),
      users: newUsers(raw["users"], options).map((user) => ({
        ...user,
        certFile: absolute(user.certFile)!,
        keyFile: absolute(user.keyFile)!,
      })),
    };
  } catch {
    throw notKubeconfig(file, "an entry has a value of a wrong type");
  }
}

function addEntries<T extends { name: string }>(
  into: Map<string, Entry<T>>,
  file: string,
  values: T[],
  list: unknown,
  kind: string,
): void {
  for (const value of values) {
    if (into.has(value.name)) continue;
    const raw = listOf(list).find(({ name }) => name === value.name);
    into.set(value.name, { file, value, raw: fieldsOf(raw?.[kind]) });
  }
}

/** A file's mapping; null where it is empty. */
function parse(file: string, text: string): Fields | null {
  if (text.trim() === "") return null;
  let raw: unknown;
  try {
    raw = loadYaml(text);
  } catch (error) {
    const { mark, reason } = fieldsOf(error);
    const line = fieldsOf(mark)["line"];
    if (typeof line !== "number") throw notKubeconfig(file, "it holds no mapping");
    // What the parser quotes may be part of a token.
    const why = String(reason).replaceAll(/"[^"]*"|<[^>]*>/g, "...");
    throw new UsageError(
      `Kubeconfig ${JSON.stringify(file)} is not valid YAML at line ${line + 1}: ${why}.`,
    );
  }
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    throw notKubeconfig(file, "it holds no mapping");
  }
  const { kind } = raw as Fields;
  if (kind !== undefined && kind !== "Config") {
    throw notKubeconfig(file, `its kind is ${JSON.stringify(kind)}, not "Config"`);
  }
  return raw as Fields;
}

function notKubeconfig(file: string, why: string): UsageError {
  return new UsageError(`${JSON.stringify(file)} is no kubeconfig: ${why}.`);
}
