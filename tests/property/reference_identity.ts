/**
 * The identity of docs/FORMAT.md a second time, written from the definition for clarity alone: an
 * own JSON reader, BigInt arithmetic, no code shared with lib/. Slow; for tests.
 */

/** A parsed value in which numbers keep their text and objects are Maps. */
export type Tree = null | boolean | string | { number: string } | Tree[] | Map<string, Tree>;

/** Reads a text that JSON.parse accepts. Of duplicate keys the last counts. */
export function readTree(text: string): Tree {
  let at = 0;
  const space = (): void => {
    while (/[ \t\r\n]/.test(text[at] ?? "")) at++;
  };
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found === undefined) throw new Error(`no ${pattern} at ${at}`);
    at += found.length;
    return found;
  };
  const members = (close: string, member: () => void): void => {
    at++;
    for (space(); text[at] !== close; space()) {
      if (text[at] === ",") at++;
      space();
      member();
    }
    at++;
  };
  const string = (): string => JSON.parse(take(/"(?:[^"\\]|\\.)*"/y));
  const value = (): Tree => {
    space();
    switch (text[at]) {
      case "{": {
        const map = new Map<string, Tree>();
        members("}", () => {
          const key = string();
          space();
          at++;
          map.set(key, value());
        });
        return map;
      }
      case "[": {
        const list: Tree[] = [];
        members("]", () => list.push(value()));
        return list;
      }
      case '"':
        return string();
      case "n":
        return take(/null/y) && null;
      case "t":
      case "f":
        return take(/true|false/y) === "true";
      default:
        return { number: take(/[-+0-9.eE]+/y) };
    }
  };
  return value();
}

const KNOWN: Record<string, string> = {
  involvedObject: "kind namespace name uid apiVersion resourceVersion fieldPath",
  related: "kind namespace name uid apiVersion resourceVersion fieldPath",
  source: "component host",
  series: "count lastObservedTime",
};

function wellFormed(text: string): string {
  return text.replaceAll(/\p{Surrogate}/gu, "\ufffd");
}

function canonicalString(text: string): string {
  let out = '"';
  for (const character of wellFormed(text)) {
    const code = character.codePointAt(0)!;
    const short = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
    if (short !== undefined) out += short;
    else if (code < 0x20 || "<>&\u2028\u2029".includes(character)) {
      out += "\\u" + code.toString(16).padStart(4, "0");
    } else out += character;
  }
  return out + '"';
}

/** The canonical text of a value. */
export function canonical(tree: Tree, first: string[] = []): string {
  if (tree === null || typeof tree === "boolean") return `${tree}`;
  if (typeof tree === "string") return canonicalString(tree);
  if (Array.isArray(tree)) return "[" + tree.map((element) => canonical(element)).join() + "]";
  if (!(tree instanceof Map)) {
    const value = Number(tree.number);
    return Number.isSafeInteger(value) ? BigInt(value).toString() : tree.number;
  }
  const rank = (key: string): number => first.includes(key) ? first.indexOf(key) : first.length;
  const keys = [...tree.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return "{" + keys.map((key) => `${canonicalString(key)}:${canonical(tree.get(key)!)}`).join() +
    "}";
}

const M = 0xffffffffn;
const rotate = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (32n - by))) & M;

/** MurmurHash3_x86_128, seed 0, as lanes. */
export function referenceMurmur(bytes: Uint8Array): bigint[] {
  const c = [0x239b961bn, 0xab0e9789n, 0x38b34ae5n, 0xa1e38b93n];
  const turns = [[15n, 19n], [16n, 17n], [17n, 15n], [18n, 13n]] as const;
  const added = [0x561ccd1bn, 0x0bcaa747n, 0x96cd1c35n, 0x32ac3b17n];
  const h = [0n, 0n, 0n, 0n];
  const whole = bytes.length - bytes.length % 16;
  for (let block = 0; block < bytes.length; block += 16) {
    for (let lane = 0; lane < 4; lane++) {
      let k = 0n;
      for (let i = 3; i >= 0; i--) k = k << 8n | BigInt(bytes[block + lane * 4 + i] ?? 0);
      k = rotate(k * c[lane]! & M, turns[lane]![0]) * c[(lane + 1) % 4]! & M;
      h[lane]! ^= k;
      if (block === whole) continue;
      h[lane] = rotate(h[lane]!, turns[lane]![1]) + h[(lane + 1) % 4]!;
      h[lane] = (h[lane]! * 5n + added[lane]!) & M;
    }
  }
  return closing(h.map((lane) => lane ^ BigInt(bytes.length)));
}

function closing(lanes: bigint[]): bigint[] {
  const spread = ([a, b, c, d]: bigint[]): bigint[] => {
    const first = (a! + b! + c! + d!) & M;
    return [first, (b! + first) & M, (c! + first) & M, (d! + first) & M];
  };
  const mixed = spread(lanes).map((lane) => {
    lane = (lane ^ (lane >> 16n)) * 0x85ebca6bn & M;
    lane = (lane ^ (lane >> 13n)) * 0xc2b2ae35n & M;
    return lane ^ (lane >> 16n);
  });
  return spread(mixed);
}

const hex = (lanes: bigint[]): string => lanes.map((x) => x.toString(16).padStart(8, "0")).join("");
const utf8 = new TextEncoder();

/** The identity of an Event whose metadata is an object. */
export function referenceIdentity(event: Map<string, Tree>, mode: string): string {
  const metadata = event.get("metadata") as Map<string, Tree>;
  if (mode === "name-count") {
    const text = (tree: Tree | undefined): string =>
      tree === undefined || tree === null
        ? "None"
        : typeof tree === "string"
        ? tree
        : canonical(tree);
    const key = wellFormed(`${text(metadata.get("name"))}-${text(event.get("count"))}`);
    return hex(referenceMurmur(utf8.encode(key)));
  }
  const parts: [string, Tree][] = [...event].filter(([name]) =>
    !["metadata", "kind", "apiVersion"].includes(name)
  );
  for (const name of ["namespace", "name"]) {
    if (metadata.has(name)) parts.push([`metadata.${name}`, metadata.get(name)!]);
  }
  const sum = [0n, 0n, 0n, 0n];
  for (const [name, tree] of parts) {
    const value = canonical(tree, Object.hasOwn(KNOWN, name) ? KNOWN[name]!.split(" ") : []);
    if (["null", "{}", "[]", '""'].includes(value)) continue;
    const part = referenceMurmur(utf8.encode(`${wellFormed(name)}\0${value}`));
    part.forEach((lane, i) => sum[i] = (sum[i]! + lane) & M);
  }
  return hex(closing(sum));
}
