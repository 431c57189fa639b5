/**
 * What an Event's bytes are, by JSON.parse and the second implementation of docs/FORMAT.md: nothing
 * here is shared with lib/. And how much is tried: SEED repeats a run, KEP_FUZZ_RUNS makes it longer.
 */

import { assert, assertEquals } from "@std/assert";
import type { EventScan } from "../../lib/event_scan.ts";
import { type LineForm, PLAIN_LINE } from "../../lib/protocol.ts";
import { readTree, type Tree } from "./reference_identity.ts";

/** Of all random choices of a test file. */
export const seed = Number(Deno.env.get("SEED") ?? Date.now() % 0x7fffffff);
console.log(`seed=${seed}`);

/** How often a property is tried: so often, or KEP_FUZZ_RUNS times. */
export function runs(usual: number): number {
  return Number(Deno.env.get("KEP_FUZZ_RUNS") ?? usual);
}

/** Where str.splitlines() of Python splits, which is more than any other splitter that we know. */
const LINE_ENDS = new Set("\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029");

/** Deeper objects and arrays are refused (lib/limits.ts), so that no stack ends. */
const NESTING_MAX = 1000;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Lines of a real API server: what a WATCH sent, and items of a LIST. */
export const CORPUS: readonly string[] = Deno.readTextFileSync(
  new URL("../corpus/events.jsonl", import.meta.url),
).trimEnd().split("\n");

/** An Event as JSON.parse and the reference have it. */
export interface Judged {
  event: Map<string, Tree>;
  text: string;
  rv: string;
}

/** The JSON text in these bytes, and its value; null where they are none. */
export function parsed(bytes: Uint8Array): { text: string; tree: Tree } | null {
  try {
    const text = strictUtf8.decode(bytes);
    JSON.parse(text);
    return { text, tree: readTree(text) };
  } catch {
    return null;
  }
}

/** The Event in these bytes, or null where they are none. */
export function judged(bytes: Uint8Array): Judged | null {
  const json = parsed(bytes);
  if (json === null || depthOf(json.text) > NESTING_MAX) return null;
  return judgedTree(json.tree, json.text);
}

/** The same where the value was read already; `text` holds it and may hold more. */
export function judgedTree(event: Tree, text: string): Judged | null {
  const metadata = event instanceof Map ? event.get("metadata") : null;
  const rv = metadata instanceof Map ? metadata.get("resourceVersion") : null;
  if (typeof rv !== "string" || rv === "" || !rv.isWellFormed()) return null;
  return { event: event as Map<string, Tree>, text, rv };
}

/** How deep a valid JSON text is nested. */
export function depthOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (const token of text.match(/"(?:[^"\\]|\\.)*"|[[\]{}]/g) ?? []) {
    if (token === "{" || token === "[") deepest = Math.max(deepest, ++depth);
    else if (token === "}" || token === "]") depth--;
  }
  return deepest;
}

/** The line of what was scanned, and that it is alone and within its range. */
export function lineOf(scan: EventScan): string {
  const into = new Uint8Array(scan.lineLength + 2).fill(0x7e);
  assertEquals(scan.writeLine(into, 1), 1 + scan.lineLength);
  assertEquals([into[0], into.at(-1)], [0x7e, 0x7e], "wrote outside of its range");
  const line = strictUtf8.decode(into.subarray(1, -1));
  assertEquals(Array.from(line).filter((character) => LINE_ENDS.has(character)), ["\n"], line);
  assert(line.endsWith("\n"), line);
  return line;
}

/** The line of what was scanned: valid JSON of the same event, in the form of the scan. */
export function checkLine(
  scan: EventScan,
  { event }: Judged,
  { managedFields, wrap, cluster }: LineForm = PLAIN_LINE,
): string {
  const line = lineOf(scan);
  JSON.parse(line);
  const written: [string, Tree][] = [["kind", "Event"], ["apiVersion", "v1"], ...event];
  if (managedFields === "drop") {
    const metadata = new Map(event.get("metadata") as Map<string, Tree>);
    metadata.delete("managedFields");
    written.push(["metadata", metadata]);
  }
  const wrapper: [string, Tree][] = [[wrap ?? "", new Map(written)]];
  if (cluster !== null) wrapper.push(["cluster", cluster]);
  assertEquals(exact(readTree(line)), exact(new Map(wrap === null ? written : wrapper)));
  return line;
}

/** A text that differs where two trees do, also in the spelling of a number. */
function exact(tree: Tree): string {
  return JSON.stringify(tree, (_key, value) => value instanceof Map ? [...value].sort() : value);
}
