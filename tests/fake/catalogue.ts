/**
 * The fault catalogue (docs/FAULTS.md) as far as a server can be made to show it while it runs: on
 * demand by number and name, or drawn by a seed.
 *
 * ```ts
 * const fault = drawFault(random); // or CATALOGUE.find(({ number }) => number === 5)
 * const end = fault.inject(server, random);
 * // ... write events, as fault.hides allows it; then:
 * end?.();
 * ```
 * Each number may have several entries, its variants. What an entry draws within itself comes from
 * `random` alone. An entry whose `inject` returns nothing is over by itself or stays as it is.
 * Inject one at a time, into a server that plainly serves otherwise; `hides` says what a client may
 * then miss by no fault of its own.
 *
 * Not here, since another part has to take part: 13, 14, 16 (token and CA files), 38 (our clock),
 * 41 (HTTP/2), 43 (TLS), 46 to 48 (our disk, our end). The other half of 42 (proxies) too.
 */
import { ANSWER_FAULTS } from "./catalogue_answers.ts";
import { HISTORY_FAULTS } from "./catalogue_history.ts";
import { type CatalogueFault, oneOf, type Random } from "./catalogue_parts.ts";
import { STREAM_FAULTS } from "./catalogue_stream.ts";

export type { CatalogueFault, Hides, Random } from "./catalogue_parts.ts";

/** Every variant, in the order of its number. */
export const CATALOGUE: readonly CatalogueFault[] = [
  ...STREAM_FAULTS,
  ...ANSWER_FAULTS,
  ...HISTORY_FAULTS,
].sort((a, b) => a.number - b.number);

/** One of them: first a number, each alike, then one of its variants. */
export function drawFault(
  random: Random,
  among: readonly CatalogueFault[] = CATALOGUE,
): CatalogueFault {
  const numbers = [...new Set(among.map(({ number }) => number))];
  const number = oneOf(random, numbers);
  return oneOf(random, among.filter((fault) => fault.number === number));
}
