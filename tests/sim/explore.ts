/** All runs of a scenario: a crash at every call that changes something, a failure of every call. */

import { setupLog } from "../../lib/log.ts";
import type { Moment, Plan } from "./faults.ts";
import { Random } from "./random.ts";
import { makeScenario } from "./scenario.ts";
import { simulate } from "./world.ts";

/** A run that broke the promise. */
export interface Finding {
  seed: number;
  plan: Plan;
  wrong: string[];
}

/** What the runs of a scenario came to. */
export interface Exploration {
  runs: number;
  /** Crashes that came, second ones too. */
  crashes: number;
  /** Failures that came. */
  failures: number;
  findings: Finding[];
}

const CODES = ["EIO", "EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE"] as const;
const MOMENTS: readonly Moment[] = ["before", "middle", "after"];

/** How far to go. */
export interface ExploreOptions {
  /** At most so many runs; which, is drawn from the seed. */
  mostRuns?: number;
  /** The first finding is enough. */
  untilBroken?: boolean;
}

/** Runs the scenario of a seed: as it is, then with each plan. */
export async function explore(seed: number, options: ExploreOptions = {}): Promise<Exploration> {
  const { mostRuns = Infinity, untilBroken = false } = options;
  setupLog("CRITICAL");
  Error.stackTraceLimit = 0; // To take a stack for each simulated failure costs half the time.
  const scenario = makeScenario(seed);
  const result: Exploration = { runs: 0, crashes: 0, failures: 0, findings: [] };
  const run = async (plan: Plan) => {
    result.runs++;
    const outcome = await simulate(scenario, plan);
    result.crashes += outcome.crashes;
    if (outcome.hasFailed) result.failures++;
    if (outcome.wrong.length > 0) result.findings.push({ seed, plan, wrong: outcome.wrong });
    return outcome;
  };
  const { changes, calls } = await run({});
  for (const plan of plans(seed, changes, calls)) {
    if (result.runs >= mostRuns || untilBroken && result.findings.length > 0) break;
    await run(plan);
  }
  return result;
}

/** Crash at each change, fail at each call, in random order. What kind of each is drawn. */
function plans(seed: number, changes: number, calls: number): Plan[] {
  const random = new Random(seed, 5);
  const all: Plan[] = [];
  for (let call = 1; call <= changes; call++) {
    const crash = { call, moment: random.pick(MOMENTS), power: random.chance(0.6) };
    const again = { calls: random.integer(1, 30), moment: random.pick(MOMENTS) };
    all.push(random.chance(0.5) ? { crash, again } : { crash });
  }
  for (let call = 1; call <= calls; call++) {
    all.push({ failure: { call, code: random.pick(CODES), forGood: random.chance(0.5) } });
  }
  for (let last = all.length - 1; last > 0; last--) { // Fisher and Yates
    const other = random.integer(0, last);
    [all[last], all[other]] = [all[other]!, all[last]!];
  }
  return all;
}
