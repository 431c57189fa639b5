/**
 * The fast way through the bytes of an Event: a strict grammar that is a part of JSON.
 *
 * It accepts what a Kubernetes API server writes for nearly every Event (compact, few escapes,
 * known fields), and hashes it on the way. What it accepts is valid JSON and already canonical
 * (docs/FORMAT.md, Identity), so its verdict and identity are those of the slow way. Whatever it
 * does not know it refuses, and the slow way in lib/event_scan.ts decides.
 *
 * The grammar is WebAssembly: JavaScript looks at one byte at a time, this at 16. Its source is
 * wasm/event.ts; it sees nothing but the memory of lib/event_module.ts.
 */

import { EventModule } from "./event_module.ts";
import { FAST_EVENT_BYTES_MAX } from "./limits.ts";

/** Where the grammar found a value; start = end where there is none. */
export interface Range {
  start: number;
  end: number;
}

/** Reads one Event at a time. What it found holds until the next event, of any grammar. */
export class EventGrammar {
  /** metadata.name without its quotes. */
  readonly name: Range = { start: 0, end: 0 };
  /** metadata.resourceVersion without its quotes. */
  readonly resourceVersion: Range = { start: 0, end: 0 };
  readonly count: Range = { start: 0, end: 0 };
  /** metadata.managedFields with its key; start = end where it has none. */
  readonly managedFields: Range = { start: 0, end: 0 };
  /** The identity in the mode "content". */
  readonly key: Uint32Array;
  hasName = false;
  /** Both kind and apiVersion stand in the object; else neither does. */
  hasTypeMeta = false;

  readonly #module: EventModule | null;

  /** @param module null = nothing is accepted */
  constructor(module: EventModule | null = EventModule.shared()) {
    this.#module = module;
    this.key = module?.key ?? new Uint32Array(4);
  }

  /**
   * Reads the Event that begins at `start`.
   *
   * @returns where it ends, at most at `end`: then these bytes are valid JSON and an Event with a
   * resourceVersion. -1 where they begin with no Event of this grammar
   */
  accept(bytes: Uint8Array, start: number, end: number): number {
    if (this.#module === null || end - start > FAST_EVENT_BYTES_MAX) return -1;
    const length = this.#module.accept(bytes, start, end);
    return length > end - start ? -1 : this.#take(this.#module, start, length);
  }

  /**
   * The same where nobody knows the end: at most it is that of `bytes`, which must never change as
   * long as they are this view.
   */
  acceptFirst(bytes: Uint8Array, start: number): number {
    if (this.#module === null) return -1;
    return this.#take(this.#module, start, this.#module.acceptHeld(bytes, start));
  }

  /** As EventModule.copy(); false where there is no module. */
  copy(bytes: Uint8Array, start: number, end: number, into: Uint8Array, at: number): boolean {
    return this.#module !== null && this.#module.copy(bytes, start, end, into, at);
  }

  #take({ found }: EventModule, start: number, length: number): number {
    if (length === 0) return -1;
    setRange(this.resourceVersion, start, found, 0);
    setRange(this.name, start, found, 2);
    setRange(this.count, start, found, 4);
    setRange(this.managedFields, start, found, 6);
    this.hasName = found[3] !== 0;
    this.hasTypeMeta = (found[8]! & 1) !== 0;
    return start + length;
  }
}

function setRange(range: Range, start: number, found: Uint32Array, index: number): void {
  range.start = start + found[index]!;
  range.end = start + found[index + 1]!;
}
