/**
 * What an occurrence is, said a second time and on purpose without the product's code: two events
 * are one occurrence if these texts are equal (docs/DESIGN.md, "The promise").
 */

/**
 * The content of an event as one canonical text: namespace, name and every field outside
 * metadata, kind and apiVersion, keys sorted at every level; fields that are null, `{}`, `[]` or
 * `""` count as absent.
 */
export function contentOf(event: object): string {
  const fields: Record<string, unknown> = {};
  let meta: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(event)) {
    if (name === "metadata") meta = (value ?? {}) as Record<string, unknown>;
    else if (name !== "kind" && name !== "apiVersion" && !isAbsent(value)) fields[name] = value;
  }
  return JSON.stringify([meta.namespace ?? "", meta.name ?? "", sorted(fields)]);
}

function isAbsent(value: unknown): boolean {
  return value === null || value === undefined || value === "" ||
    (typeof value === "object" && Object.keys(value).length === 0);
}

/** Objects become lists of [key, value], so that no key can mean anything to JavaScript. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return { entries: entries.map(([key, member]) => [key, sorted(member)]) };
}
