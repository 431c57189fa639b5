/** The API server: its data as a history goes on, and what a LIST or a WATCH of it shows. */

import type { DataStep, Line, Revision } from "./history.ts";

/** See the head of this file. */
export class SimApi {
  /** Revisions that the server still has, oldest first. */
  #revisions: Revision[] = [];
  /** A WATCH from before this version is refused. */
  compacted = 0;
  /** The version of the data. */
  rv = 100;
  /** Counts how often etcd was put back. */
  epoch = 0;
  /** The newest occurrence that was written. */
  lastOccurrence = 0;
  /** Whether anything was ever compacted or put back: then what is not read in time may be gone. */
  hasForgotten = false;
  #live = new Map<string, Revision>();

  /** What the server is now, to go on on its own. */
  copy(): SimApi {
    const copy = new SimApi();
    copy.#revisions = [...this.#revisions];
    copy.compacted = this.compacted;
    copy.rv = this.rv;
    copy.epoch = this.epoch;
    copy.lastOccurrence = this.lastOccurrence;
    copy.hasForgotten = this.hasForgotten;
    copy.#live = new Map(this.#live);
    return copy;
  }

  /** One step of the history. */
  apply(step: DataStep): void {
    if (step.kind === "compact") {
      this.compacted = Math.max(this.compacted, Math.min(step.rv, this.rv));
      this.hasForgotten = true;
    } else if (step.kind === "rewind") {
      this.#revisions = this.#revisions.filter(({ rv }) => rv <= step.rv);
      this.#live = new Map();
      for (const revision of this.#revisions) this.#put(revision);
      this.compacted = Math.min(this.compacted, step.rv);
      this.rv = step.rv;
      this.epoch++;
      this.hasForgotten = true;
    } else {
      this.#revisions.push(step.revision);
      this.#put(step.revision);
      this.rv = step.revision.rv;
      const occurrence = step.revision.line?.occurrence ?? 0;
      this.lastOccurrence = Math.max(this.lastOccurrence, occurrence);
    }
  }

  /** What a LIST shows: the order is that of names. */
  list(): Line[] {
    const names = [...this.#live.keys()].sort();
    return names.map((name) => this.#live.get(name)!.line!);
  }

  /** The first revision after a version; undefined where there is none yet. */
  after(rv: number): Revision | undefined {
    return this.#revisions.find((revision) => revision.rv > rv);
  }

  #put(revision: Revision): void {
    if (revision.line === null) this.#live.delete(revision.name);
    else this.#live.set(revision.name, revision);
  }
}
