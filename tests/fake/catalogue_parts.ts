/** What the entries of the fault catalogue (catalogue.ts) are made of. */
import { type Fault, type FaultAction, type FaultMatch, statusAnswer } from "./faults.ts";
import type { FakeApiServer } from "./server.ts";

/** Numbers in [0, 1), repeatable by their seed. */
export type Random = () => number;

/**
 * What the *server* may take from every client, however good, while the fault is on.
 *
 * - "nothing": every occurrence comes, also one that was overwritten or deleted meanwhile.
 * - "overwritten": a state that is overwritten or deleted meanwhile may never be seen; every event
 *   that lives at the end is, in its last state.
 * - "unseen": besides, what the client had not met when it began may be gone for good. So inject it
 *   when the client has met everything, and write again when the call returned.
 */
export type Hides = "nothing" | "overwritten" | "unseen";

/** A fault that can be injected into a running server. */
export interface CatalogueFault {
  /** In the catalogue of 50 faults; docs/FAULTS.md has them all. */
  readonly number: number;
  /** What happens, as a phrase. Number and name together are unique. */
  readonly name: string;
  readonly hides: Hides;
  /** A client rightly waits for half a minute or longer. */
  readonly isSlow?: true;
  /**
   * Begins it; variants within it are drawn. Returns what ends it, or nothing where it is over by
   * itself or is a change that stays (a rewind). One fault at a time: ends do not nest.
   */
  readonly inject: (server: FakeApiServer, random: Random) => void | (() => void);
}

/** A whole number in [0, n). */
export function below(random: Random, n: number): number {
  return Math.floor(random() * n);
}

/** One of these. */
export function oneOf<T>(random: Random, choices: readonly T[]): T {
  return choices[below(random, choices.length)]!;
}

/** Faults that hit requests from now on; the function withdraws what is left of them. */
export function onRequests(server: FakeApiServer, ...faults: Fault[]): () => void {
  server.faults.push(...faults);
  return () => server.faults.withdraw(...faults);
}

/**
 * Hits the next watches, so many or all until the end. Open ones are ended properly, now and at the
 * end, so that the next ones come.
 */
export function onWatches(
  server: FakeApiServer,
  action: Fault["action"],
  times = Infinity,
): () => void {
  const withdraw = onRequests(server, { match: { verb: "watch" }, times, action });
  server.dropConnections("end");
  return () => {
    withdraw();
    server.dropConnections("end");
  };
}

/** Hits requests of the LISTs that the client is made to begin: its watches are refused by 410. */
export function onLists(
  server: FakeApiServer,
  action: Fault["action"],
  match: FaultMatch = {},
  times = Infinity,
): () => void {
  const gone = statusAnswer(410, "Expired", "too old resource version");
  const refusals: Fault = { match: { verb: "watch" }, times: 2, action: gone };
  const withdraw = onRequests(server, refusals, {
    match: { verb: "list", ...match },
    times,
    action,
  });
  server.dropConnections("end");
  return withdraw;
}

/** Puts these bytes behind the kth line of each of the next watches. */
export function insertion(bytes: string | Uint8Array, after: number): FaultAction {
  return { insert: [{ after, bytes }] };
}
