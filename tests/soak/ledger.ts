/** All lines of all the files that the destination's lines went to, by the hash of their content. */

import { createHash } from "node:crypto";
import { contentOf } from "../fake/content.ts";
import { linesOf } from "../fake/tally.ts";

/** So many wrong lines of a kind are kept to be shown. */
const SHOWN_MAX = 10;
const SHOWN_COLUMNS = 300;

/** A short name of a content. */
export function contentHash(event: object): string {
  return createHash("md5").update(contentOf(event)).digest("base64");
}

/** See the head of this file. */
export class Ledger {
  lines = 0;
  torn = 0;
  repeated = 0;
  /** Where, for people. */
  readonly wrong: string[] = [];
  /** Hash -> where the line is. */
  readonly #kept = new Map<string, string>();
  readonly #deleted = new Set<string>();

  /** Whether a line tells this content, or one did in a file that was deleted. */
  has(hash: string): boolean {
    return this.#kept.has(hash) || this.#deleted.has(hash);
  }

  /** The contents of all lines. */
  *hashes(): Generator<string> {
    yield* this.#kept.keys();
    yield* this.#deleted;
  }

  /** Where the line of a content is. */
  placeOf(hash: string): string {
    return this.#kept.get(hash) ?? "a deleted file";
  }

  /** Adds a whole file. Lines of one that was deleted may stand in the next one too. */
  add(name: string, text: string, isDeleted: boolean): void {
    let number = 0;
    for (const line of linesOf(text)) {
      const place = `${name}:${++number}`;
      this.lines++;
      const hash = hashOfLine(line);
      if (hash === null) {
        // What was in the middle of a write when its file was deleted went with it.
        if (isDeleted && line.startsWith("no newline after: ")) continue;
        this.torn++;
        this.#note(`torn, ${place}: ${line}`);
      } else if (isDeleted) this.#deleted.add(hash);
      else {
        const before = this.#kept.get(hash);
        if (before === undefined) this.#kept.set(hash, place);
        else {
          this.repeated++;
          this.#note(`repeated, ${before} and ${place}: ${line}`);
        }
      }
    }
  }

  #note(text: string): void {
    if (this.wrong.length < SHOWN_MAX) this.wrong.push(text.slice(0, SHOWN_COLUMNS));
  }
}

function hashOfLine(line: string): string | null {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    return contentHash(value);
  } catch {
    return null;
  }
}
