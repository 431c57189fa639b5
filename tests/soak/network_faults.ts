/**
 * What the API server does wrong: the catalogue of tests/fake, one entry at a time, and what needs
 * more than a running server.
 */

import { CATALOGUE, type CatalogueFault } from "../fake/catalogue.ts";
import type { FaultAction, FaultMatch } from "../fake/faults.ts";
import type { Random } from "../sim/random.ts";
import { TOKEN } from "./cluster.ts";
import type { Fault, Faults } from "./faults.ts";

/** A fault lasts so long, ms. */
const LASTS_MS = { min: 300, max: 7_000 };
/** Lines kept to be sent again. The ring knows them: they are seconds old. */
const REPLAYED = 30;

/** Put etcd back, or show again what is older than the ring where generations are dropped. */
const NEED_THE_WHOLE_RING = new Set([22, 23, 24, 25]);

/** Why an entry of the catalogue is not for a soak; null = it is. */
function leftOut({ number, name }: CatalogueFault, ringForgets: boolean): string | null {
  // No client can tell but by a LIST, which nothing asks for within a soak.
  if (number === 26) return "nothing shows it";
  // The server would do nothing else for minutes: "one-byte segments" below are few.
  if (number === 39 && name !== "two lines in one segment") return "it keeps the server busy";
  // It updates an event that the load or the TTL may have deleted by then, which ends the server.
  if (number === 50) return "it needs an event for itself";
  return ringForgets && NEED_THE_WHOLE_RING.has(number) ? "the ring has to know all" : null;
}

/** The faults of the catalogue, each by number and name. */
export function catalogueFaults(ringForgets: boolean): Faults {
  const chosen = CATALOGUE.filter((fault) => leftOut(fault, ringForgets) === null);
  return Object.fromEntries(chosen.map((fault) => [`${fault.number} ${fault.name}`, done(fault)]));
}

function done({ number, inject, hides }: CatalogueFault): Fault {
  return async (world, random) => {
    const { cluster: { record }, sleep } = world;
    const forMs = random.integer(LASTS_MS.min, LASTS_MS.max);
    if (hides === "unseen") await world.mostlyMet(random);
    // What a restore or a compaction hides is judged by itself.
    record.mayHide = hides === "overwritten";
    const end = inject(record.server, () => random.next());
    await sleep(forMs);
    end?.();
    // What is silent or late for ever would be that for ten minutes.
    if (number === 18 || number === 19) record.server.dropConnections("reset");
    record.mayHide = false;
  };
}

/** Changes the answers of requests for a while; those that have not ended are cut then. */
function answers(match: FaultMatch, draw: (random: Random) => FaultAction): Fault {
  return async ({ cluster: { record: { server } }, sleep }, random) => {
    const action = draw(random);
    const forMs = random.integer(LASTS_MS.min, LASTS_MS.max);
    const fault = { match, times: random.integer(1, 3), action };
    server.faults.push(fault);
    server.dropConnections(random.pick(["end", "reset", "fin"]));
    await sleep(forMs);
    server.faults.withdraw(fault);
    server.dropConnections("reset");
  };
}

/** See the head of this file. */
export const NETWORK_FAULTS: Faults = {
  "connections dropped": ({ cluster }, random) =>
    cluster.record.server.dropConnections(random.pick(["reset", "fin"])),
  "server restarted": async ({ cluster, sleep }, random) => {
    const forMs = random.integer(0, 4_000);
    await cluster.down(() => sleep(forMs));
  },
  "strange certificate": async ({ cluster, sleep }, random) => {
    const forMs = random.integer(200, 4_000);
    await cluster.untrusted(() => sleep(forMs));
  },
  "token refused": async ({ cluster: { record: { server } }, sleep }, random) => {
    const forMs = random.integer(200, 5_000);
    server.auth.tokens.set("another-token", "soak"); // Without any, everybody would be let in.
    server.auth.tokens.delete(TOKEN);
    server.dropConnections("end");
    await sleep(forMs);
    server.auth.tokens.set(TOKEN, "soak");
  },
  "any answer cut": answers({}, (random) => ({
    cut: {
      bytes: Math.round(100_000 * random.next() ** 2),
      how: random.pick(["reset", "fin", "silence", "end"]),
    },
  })),
  "any answer late": answers({}, (random) => ({ holdMs: random.integer(300, 6_000) })),
  "any answer slow": answers({}, (random) => ({
    trickle: { bytes: random.integer(20, 900), delayMs: random.integer(1, 30) },
  })),
  // So few that the server gets to do anything else: each is a write, and a record of TLS.
  "one-byte segments": answers({ verb: "watch" }, () => ({
    trickle: { bytes: 1 },
    cut: { bytes: 6_000, how: "reset" },
  })),
  "each line twice": answers({ verb: "watch" }, () => ({ lines: ({ text }) => [text, text] })),
  "the last lines again": answers({ verb: "watch" }, (random) => {
    const every = random.integer(3, 20);
    const recent: string[] = [];
    return {
      lines: ({ text, index, type }) => {
        if (type !== "ERROR" && recent.push(text) > REPLAYED) recent.shift();
        return index % every === 0 ? [...recent.slice(0, -1), text] : [text];
      },
    };
  }),
};
