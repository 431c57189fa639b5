/**
 * fieldSelector for events: comma-separated `field=value`, `==` or `!=`; `\,`, `\=` and `\\` in
 * values (k8s.io/apimachinery pkg/fields/selector.go; the fields: pkg/registry/core/event).
 */
import { isObject, type StoredEvent } from "./event.ts";
import { badRequest } from "./status.ts";

const FIELDS: Record<string, string[]> = {
  "metadata.name": ["metadata", "name"],
  "metadata.namespace": ["metadata", "namespace"],
  "involvedObject.kind": ["involvedObject", "kind"],
  "involvedObject.namespace": ["involvedObject", "namespace"],
  "involvedObject.name": ["involvedObject", "name"],
  "involvedObject.uid": ["involvedObject", "uid"],
  "involvedObject.apiVersion": ["involvedObject", "apiVersion"],
  "involvedObject.resourceVersion": ["involvedObject", "resourceVersion"],
  "involvedObject.fieldPath": ["involvedObject", "fieldPath"],
  "reportingComponent": ["reportingComponent"],
  "source": ["source", "component"],
  "reason": ["reason"],
  "type": ["type"],
};

/** The test that a selector stands for; null where it is empty. @throws ApiError 400 */
export function parseFieldSelector(text: string | null): ((event: StoredEvent) => boolean) | null {
  const terms = (text ?? "").match(/(?:\\.|[^,\\])+/g) ?? [];
  const tests = terms.map((term) => {
    const match = /^([^=!]*)(==|!=|=)((?:\\.|[^\\])*)$/.exec(term);
    if (match === null) {
      throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
    }
    const [, field = "", operator, escaped = ""] = match;
    const path = Object.hasOwn(FIELDS, field) ? FIELDS[field] : undefined;
    if (path === undefined) throw badRequest(`field label not supported: ${field}`);
    const value = escaped.replaceAll(/\\(.)/g, "$1");
    const fallback = field === "source" ? FIELDS.reportingComponent ?? [] : [];
    return (event: StoredEvent) =>
      ((valueAt(event, path) || valueAt(event, fallback)) === value) === (operator !== "!=");
  });
  return tests.length === 0 ? null : (event) => tests.every((test) => test(event));
}

function valueAt(event: StoredEvent, path: string[]): unknown {
  if (path.length === 0) return "";
  let value: unknown = event;
  for (const step of path) value = isObject(value) ? value[step] : undefined;
  return value ?? "";
}
