/** A soak under way: its parts, its clock, and what was counted. */

import type { Random } from "../sim/random.ts";
import type { Cluster } from "./cluster.ts";
import type { DestinationFiles } from "./files.ts";
import type { Load } from "./load.ts";
import type { Span } from "./oracle.ts";
import type { Subject } from "./subject.ts";

/** Between two looks for an open watch that has shown everything, ms. */
const MET_WAIT_MS = 300;

/** The parts. */
export interface WorldParts {
  seed: number;
  cluster: Cluster;
  load: Load;
  files: DestinationFiles;
  subject: Subject;
}

/** See the head of this file. */
export class World {
  readonly seed: number;
  readonly cluster: Cluster;
  readonly load: Load;
  readonly files: DestinationFiles;
  readonly subject: Subject;
  /** Faults by name. */
  readonly counts = new Map<string, number>();
  /** When the program could not read or write. */
  readonly stalls: Span[] = [];
  readonly #over = Promise.withResolvers<void>();
  #isOver = false;
  #troubles = 0;

  constructor({ seed, cluster, load, files, subject }: WorldParts) {
    this.seed = seed;
    this.cluster = cluster;
    this.load = load;
    this.files = files;
    this.subject = subject;
  }

  /** No fault begins any more, and those under way end. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Ends all sleeping. */
  finish(): void {
    this.#isOver = true;
    this.#over.resolve();
  }

  /** Waits so long, ms, or until the world is over. */
  readonly sleep = async (ms: number): Promise<void> => {
    if (this.#isOver) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const slept = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
    await Promise.race([slept, this.#over.promise]);
    clearTimeout(timer);
  };

  /**
   * Waits, mostly, until the program has met all there is, before something takes that away for
   * good; if it takes too long, no more.
   */
  async mostlyMet(random: Random): Promise<void> {
    const waits = random.chance(0.8) ? random.integer(20, 40) : 0;
    for (let tries = 0; tries < waits && !this.cluster.record.isMet; tries++) {
      await this.sleep(MET_WAIT_MS);
    }
    await this.sleep(MET_WAIT_MS);
  }

  /** While `body` runs, the program is held up. */
  async stalled(body: () => Promise<void>): Promise<void> {
    const span: Span = { fromMs: performance.now(), toMs: Infinity };
    this.stalls.push(span);
    try {
      await body();
    } finally {
      span.toMs = performance.now();
    }
  }

  /** While `body` runs and so long after it, the disk holds the program up, or ends it. */
  async troubled(body: () => Promise<void>, afterMs: number): Promise<void> {
    const { subject } = this;
    this.#troubles++;
    subject.mayEnd = true;
    await this.stalled(async () => {
      await body();
      await new Promise((resolve) => setTimeout(resolve, afterMs));
    });
    subject.mayEnd = --this.#troubles > 0;
  }
}
