/**
 * Lines that were written before, read back as keys of the ring: by recovery, and by whatever else
 * looks at a destination. Which shapes a line may have is in lib/line_shape.ts.
 */

import type { Range } from "./event_grammar.ts";
import { EventScan } from "./event_scan.ts";
import { scanLine } from "./line_shape.ts";

/** Reads one line at a time. */
export class LineKeys {
  /** The eight lanes of the line that was read last, where it was an event. */
  readonly lanes = new Uint32Array(8);
  /** Where the event of the line that was read last stands in the bytes. */
  event: Range = { start: 0, end: 0 };
  readonly #scan = new EventScan();

  /** Of the event that was read last. */
  get resourceVersion(): string {
    return this.#scan.resourceVersion;
  }

  /**
   * Reads the line in [start, end), without its newline.
   *
   * @returns "event" where it has keys, "other" where it is another JSON object, else "broken"
   */
  read(bytes: Uint8Array, start: number, end: number): "event" | "other" | "broken" {
    const found = scanLine(this.#scan, bytes, start, end, "content");
    if (found === "other" || found === "broken") return found;
    this.event = found;
    this.lanes.set(this.#scan.key, 0);
    this.#scan.scan(bytes, found.start, found.end, "name-count");
    this.lanes.set(this.#scan.key, 4);
    return "event";
  }
}
