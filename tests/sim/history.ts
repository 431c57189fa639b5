/**
 * What the API server holds over time: every write of events, deletions, compactions, and etcd put
 * back to an earlier copy. It is made before a run and does not depend on what the program does.
 */

import { LineKeys } from "../../lib/line_keys.ts";
import type { Random } from "./random.ts";

/** A revision of the API server's data. */
export interface Revision {
  rv: number;
  name: string;
  /** What was written; null = the event was deleted. */
  line: Line | null;
}

/** A line as the program should write it. */
export interface Line {
  /** The occurrence that it tells; a write of metadata alone tells the same again. */
  occurrence: number;
  /** The resourceVersion in it. */
  rv: string;
  text: string;
  /** With its newline. */
  bytes: Uint8Array;
  /** Eight lanes. */
  keys: Uint32Array;
}

/** What happens to the data, at its time. */
export type DataStep =
  | { atMs: number; kind: "write" | "delete"; revision: Revision }
  | { atMs: number; kind: "compact"; rv: number }
  /** etcd was put back: of the revisions those up to `rv` are left. */
  | { atMs: number; kind: "rewind"; rv: number };

/** The whole script of the data. */
export interface History {
  steps: DataStep[];
  /** All lines by their text. */
  lines: Map<string, Line>;
}

/** Makes a history of so many milliseconds. */
export function makeHistory(
  random: Random,
  options: { untilMs: number; writes: number; compacts: boolean; rewinds: boolean },
): History {
  return new HistoryMaker(random).make(options);
}

/** One write of a history that is told write by write. */
export interface Write {
  atMs: number;
  /** The event that is made or overwritten. */
  name: string;
  /** How long its message is at least, characters; 0 = it is short. */
  messageLength?: number;
  /** It is deleted instead. */
  deletes?: boolean;
}

/** Makes the history of these writes, in the order of their times. */
export function tellHistory(random: Random, writes: readonly Write[]): History {
  return new HistoryMaker(random).tell(writes);
}

const encoder = new TextEncoder();

class HistoryMaker {
  readonly #random: Random;
  readonly #steps: DataStep[] = [];
  readonly #lines = new Map<string, Line>();
  readonly #keys = new LineKeys();
  readonly #live = new Map<string, { occurrence: number; content: string }>();
  readonly #past: { rv: number; live: Map<string, { occurrence: number; content: string }> }[] = [];
  #rv = 100;
  #occurrences = 0;
  #names = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  make(
    { untilMs, writes, compacts, rewinds }: {
      untilMs: number;
      writes: number;
      compacts: boolean;
      rewinds: boolean;
    },
  ): History {
    const times = Array.from({ length: writes }, () => this.#time(untilMs)).sort((a, b) => a - b);
    const cuts = [compacts, compacts && this.#random.chance(0.5)].filter(Boolean)
      .map(() => this.#random.between(0.1, 0.9) * untilMs);
    const rewindMs = rewinds ? this.#random.between(0.3, 0.9) * untilMs : Infinity;
    for (const atMs of [...times, ...cuts, ...(rewinds ? [rewindMs] : [])].sort((a, b) => a - b)) {
      if (atMs === rewindMs) this.#rewind(atMs);
      else if (cuts.includes(atMs)) {
        this.#steps.push({ atMs, kind: "compact", rv: this.#rv - this.#random.integer(0, 3) });
      } else this.#write(atMs);
    }
    return { steps: this.#steps, lines: this.#lines };
  }

  tell(writes: readonly Write[]): History {
    for (const write of writes.toSorted((a, b) => a.atMs - b.atMs)) {
      const { atMs, name, messageLength = 0, deletes = false } = write;
      if (deletes) this.#delete(atMs, name);
      else this.#put(atMs, name, this.#newContent("x".repeat(messageLength)));
    }
    return { steps: this.#steps, lines: this.#lines };
  }

  /** Some are there before the first start, and many come in bursts. */
  #time(untilMs: number): number {
    if (this.#random.chance(0.15)) return 0;
    const atMs = this.#random.between(0, untilMs);
    return this.#random.chance(0.5) ? Math.floor(atMs / 2000) * 2000 : atMs;
  }

  #write(atMs: number): void {
    const names = [...this.#live.keys()];
    const dice = names.length === 0 ? 0 : this.#random.next();
    if (dice > 0.92) this.#delete(atMs, this.#random.pick(names));
    else {
      const isNew = dice < 0.55;
      const name = isNew ? `pod-${++this.#names}.1` : this.#random.pick(names);
      const before = this.#live.get(name);
      const sameContent = !isNew && dice > 0.85 ? before : undefined;
      const message = this.#random.chance(0.1) ? "x".repeat(this.#random.integer(200, 1500)) : "m";
      this.#put(atMs, name, sameContent ?? this.#newContent(message));
    }
    this.#past.push({ rv: this.#rv, live: new Map(this.#live) });
  }

  #newContent(message: string): { occurrence: number; content: string } {
    const occurrence = ++this.#occurrences;
    const content = `"reason":"R","message":"${message} ${occurrence}","count":${occurrence}`;
    return { occurrence, content };
  }

  #put(atMs: number, name: string, state: { occurrence: number; content: string }): void {
    this.#step();
    this.#live.set(name, state);
    const line = this.#line(name, state.occurrence, state.content);
    this.#steps.push({ atMs, kind: "write", revision: { rv: this.#rv, name, line } });
  }

  #delete(atMs: number, name: string): void {
    this.#live.delete(name);
    this.#step();
    this.#steps.push({ atMs, kind: "delete", revision: { rv: this.#rv, name, line: null } });
  }

  #step(): void {
    this.#rv += this.#random.integer(1, 3);
  }

  #line(name: string, occurrence: number, content: string): Line {
    const text = `{"kind":"Event","apiVersion":"v1","metadata":{"name":"${name}",` +
      `"namespace":"default","resourceVersion":"${this.#rv}"},${content}}`;
    const bytes = encoder.encode(`${text}\n`);
    if (this.#keys.read(bytes, 0, bytes.length - 1) !== "event") {
      throw new Error(`No event: ${text}`);
    }
    const line = { occurrence, rv: String(this.#rv), text, bytes, keys: this.#keys.lanes.slice() };
    this.#lines.set(text, line);
    return line;
  }

  #rewind(atMs: number): void {
    const back = this.#past[this.#random.integer(0, this.#past.length - 1)];
    if (back === undefined) return;
    this.#rv = back.rv;
    this.#live.clear();
    for (const [name, state] of back.live) this.#live.set(name, state);
    while ((this.#past.at(-1)?.rv ?? 0) > back.rv) this.#past.pop();
    this.#steps.push({ atMs, kind: "rewind", rv: back.rv });
  }
}
