/**
 * `metadata.managedFields` much as the server keeps it: who wrote which field last, one entry a
 * manager. Near enough to give real sizes and real metadata-only changes; not a full
 * structured-merge-diff (a field set to null is dropped, Apply does not exist).
 */
import { isObject, type JsonObject, type JsonValue } from "./event.ts";

/** Structs and maps whose members are owned one by one; every other field is owned whole. */
const GRANULAR = new Set(["source", "series", "labels", "annotations"]);
/** Those of them that Go keeps behind a pointer or as a map: their existence is owned too. */
const OWNS_SELF = new Set(["series", "labels", "annotations"]);
const SEPARATOR = "\n";

/**
 * The managedFields after `manager` turned `before` (null = a new object) into `after`: what it
 * changed is now its own, what is gone belongs to nobody. `now` is RFC 3339.
 */
export function managedFields(
  before: JsonObject | null,
  after: JsonObject,
  manager: string,
  now: string,
): JsonValue[] {
  const old = before === null ? new Map<string, string>() : ownedPaths(before);
  const current = ownedPaths(after);
  const changed = [...current.keys()].filter((path) => old.get(path) !== current.get(path));
  const previous = isObject(before?.metadata) ? before.metadata.managedFields : undefined;
  const entries = new Map<string, { time: string; paths: Set<string> }>();
  for (const entry of Array.isArray(previous) ? previous : []) {
    if (!isObject(entry)) continue;
    const paths = new Set(treePaths(entry.fieldsV1 ?? null).filter((path) => current.has(path)));
    entries.set(String(entry.manager), { time: String(entry.time), paths });
  }
  if (changed.length > 0) {
    for (const entry of entries.values()) changed.forEach((path) => entry.paths.delete(path));
    const own = entries.get(manager)?.paths ?? new Set<string>();
    entries.set(manager, { time: now, paths: new Set([...own, ...changed]) });
  }
  return [...entries]
    .filter(([, entry]) => entry.paths.size > 0)
    .sort(([a, x], [b, y]) => `${x.time} ${a}` < `${y.time} ${b}` ? -1 : 1)
    .map(([name, entry]) => ({
      manager: name,
      operation: "Update",
      apiVersion: "v1",
      time: entry.time,
      fieldsType: "FieldsV1",
      fieldsV1: tree(entry.paths),
    }));
}

/** Every path that can be owned, with its value. */
function ownedPaths(event: JsonObject): Map<string, string> {
  const paths = new Map<string, string>();
  for (const [name, value] of Object.entries(event)) {
    if (name !== "metadata") addPaths(paths, "", name, value);
  }
  const meta = isObject(event.metadata) ? event.metadata : {};
  for (const name of ["generateName", "labels", "annotations"]) {
    const value = meta[name];
    if (value !== undefined) addPaths(paths, `f:metadata${SEPARATOR}`, name, value);
  }
  for (const finalizer of Array.isArray(meta.finalizers) ? meta.finalizers : []) {
    const path = `f:metadata${SEPARATOR}f:finalizers${SEPARATOR}`;
    paths.set(`${path}.`, "").set(`${path}v:${JSON.stringify(finalizer)}`, "");
  }
  return paths;
}

function addPaths(
  paths: Map<string, string>,
  prefix: string,
  name: string,
  value: JsonValue,
): void {
  if (value === null || value === "") return;
  const path = `${prefix}f:${name}`;
  if (!GRANULAR.has(name) || !isObject(value)) {
    if (!isObject(value) || Object.keys(value).length > 0) paths.set(path, JSON.stringify(value));
    return;
  }
  if (OWNS_SELF.has(name)) paths.set(`${path}${SEPARATOR}.`, "");
  for (const [key, member] of Object.entries(value)) {
    paths.set(`${path}${SEPARATOR}f:${key}`, JSON.stringify(member));
  }
}

function tree(paths: Iterable<string>): JsonObject {
  const root: JsonObject = {};
  for (const path of [...paths].sort()) {
    let node = root;
    for (const step of path.split(SEPARATOR)) {
      const next = node[step];
      node = isObject(next) ? next : node[step] = {};
    }
  }
  return root;
}

function treePaths(node: JsonValue, prefix = ""): string[] {
  if (!isObject(node)) return [];
  return Object.entries(node).flatMap(([step, child]) => {
    const below = treePaths(child, `${prefix}${step}${SEPARATOR}`);
    return below.length > 0 ? below : [`${prefix}${step}`];
  });
}
