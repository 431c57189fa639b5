/**
 * A gap: a time of which the API server can no longer show all that happened.
 *
 * Where a WATCH could not go on from any version that it was past, a LIST shows what is alive now.
 * A state that was overwritten, or an event that expired, between the last sign of life and that
 * LIST may be missing; nobody can tell. A quiet cluster has none: it is compacted too, but
 * lib/stall_check.ts keeps a version from which the WATCH can go on.
 */

/** One gap. Times are ms since 1970. */
export interface Gap {
  /** Path of the collection that was watched. */
  path: string;
  /** When the watch was last known to be alive; null where no checkpoint tells. */
  fromMs: number | null;
  /** When the LIST was read that shows what is alive. */
  toMs: number;
  /** The end of a sentence: "..., because". */
  why: string;
}

/** For the log: from, to and why. */
export function gapText({ path, fromMs, toMs, why }: Gap): string {
  const from = fromMs === null ? "an unknown time" : new Date(fromMs).toISOString();
  return `Gap: ${path}: states that were overwritten and events that expired between ${from} and ` +
    `${new Date(toMs).toISOString()} may be missing, because ${why}. What is alive is read again.`;
}
