/**
 * The demo's writes: new events, counts, series, equal names in two namespaces, metadata-only
 * writes (no news) and deletions, from a few writers at once.
 */

import { contentOf } from "../fake/content.ts";
import type { JsonObject } from "../fake/event.ts";
import { sampleEvent, sampleSeriesEvent } from "../fake/sample.ts";
import type { EventWriter, KubeEvent } from "../real/event_writer.ts";

const NAMESPACES = ["shop", "payments"];
const WRITERS = 8;

/** Writes until so many occurrences exist. */
export class Workload {
  /** Every occurrence that the API server acknowledged, as the event that it answered with. */
  readonly occurrences = new Set<string>();
  readonly #contents = new Set<string>();
  readonly #writer: EventWriter;
  readonly #target: number;
  /** Occurrences that are written or about to be. */
  #reserved = 0;
  #next = 0;

  constructor(writer: EventWriter, target: number) {
    this.#writer = writer;
    this.#target = target;
  }

  /** @param onProgress is told the number of occurrences after each new one */
  async run(onProgress: (done: number) => void): Promise<void> {
    for (const name of NAMESPACES) await this.#writer.createNamespace(name);
    const write = async () => {
      while (this.#reserved < this.#target) await this.#story(this.#next++, onProgress);
    };
    await Promise.all(Array.from({ length: WRITERS }, write));
  }

  /** What happens to one event from its first write to its end. */
  async #story(n: number, onProgress: (done: number) => void): Promise<void> {
    const namespace = NAMESPACES[n % 2]!;
    // Two neighbours bear the same name, in two namespaces.
    const name = `pod-${Math.floor(n / 2)}.17b3c4d5e6f70809`;
    const isSeries = n % 10 === 3;
    const make = isSeries ? sampleSeriesEvent : sampleEvent;
    this.#reserved++;
    const path = `/api/v1/namespaces/${namespace}/events`;
    this.#note(await this.#writer.request("POST", path, make(namespace, name)), onProgress);
    for (let count = 2; count <= 1 + n % 4; count++) {
      if (this.#reserved >= this.#target) return;
      this.#reserved++;
      const patch = repeated(isSeries, count);
      this.#note(await this.#writer.patchEvent(namespace, name, patch), onProgress);
    }
    if (n % 7 === 0) {
      await this.#writer.patchEvent(namespace, name, {
        metadata: { annotations: { note: "only metadata: no news" } },
      });
    }
    if (n % 5 === 0) await this.#writer.deleteEvent(namespace, name);
  }

  #note(event: KubeEvent, onProgress: (done: number) => void): void {
    const content = contentOf(event);
    if (this.#contents.has(content)) return;
    this.#contents.add(content);
    this.occurrences.add(JSON.stringify(event));
    onProgress(this.occurrences.size);
  }
}

/** What a recorder patches when its event happens again. */
function repeated(isSeries: boolean, count: number): JsonObject {
  const second = String(count).padStart(2, "0");
  return isSeries
    ? { series: { count, lastObservedTime: `2026-01-02T03:04:${second}.000000Z` } }
    : { count, lastTimestamp: `2026-01-02T03:04:${second}Z` };
}
