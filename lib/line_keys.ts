/**
 * Lines that were written before, read back as keys of the ring: by recovery, and by whatever else
 * looks at a destination. A line tells its own shape; today's settings do not matter.
 */

import { EventScan } from "./event_scan.ts";
import { parseJson } from "./json_bytes.ts";

/** Reads one line at a time. */
export class LineKeys {
  /** The eight lanes of the line that was read last, where it was an event. */
  readonly lanes = new Uint32Array(8);
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
    if (this.#scan.scan(bytes, start, end, "content") === null) {
      this.lanes.set(this.#scan.key, 0);
      this.#scan.scan(bytes, start, end, "name-count");
      this.lanes.set(this.#scan.key, 4);
      return "event";
    }
    try {
      return parseJson(bytes, start, end) instanceof Map ? "other" : "broken";
    } catch {
      return "broken"; // Whatever is wrong with it, it is no whole line of ours.
    }
  }
}
