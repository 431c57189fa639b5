/** All runs of a scenario: a crash at every call that changes something, failures of some calls. */

import { setupLog } from "../../lib/log.ts";
import type { Failure, Moment, Plan } from "./faults.ts";
import { Random } from "./random.ts";
import { makeScenario } from "./scenario.ts";
import { crash, type Kept, type Outcome, runTrunk } from "./world.ts";

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
/** Where nothing else is said, so many of the calls fail, each in a run of its own; drawn. */
export const FAILING = 0.1;
/** Crashes at calls after a failure, drawn from all. */
const CRASHES_AFTER_FAILURE = 4;
/** After so many of the crashes the whole script goes on. */
const GOES_ON = 0.2;
/** After so many of them a second one comes, most often while the program recovers. */
const AGAIN = 0.7;
/** After so many of them a call fails, most often while the program recovers. */
const FAILS_AFTER = 0.1;

/** How far to go. */
export interface ExploreOptions {
  /** At most so many runs; which, is drawn from the seed. */
  mostRuns?: number;
  /** The first finding is enough. */
  untilBroken?: boolean;
  /** Of the calls so many fail; 1 = each does. */
  failing?: number;
}

/** Runs the scenario of a seed: as it is, then with each plan. */
export async function explore(seed: number, options: ExploreOptions = {}): Promise<Exploration> {
  const { mostRuns = Infinity, untilBroken = false, failing = FAILING } = options;
  setupLog("CRITICAL");
  Error.stackTraceLimit = 0; // To take a stack for each simulated failure costs half the time.
  const scenario = makeScenario(seed);
  const random = new Random(seed, 5);
  const result: Exploration = { runs: 0, crashes: 0, failures: 0, findings: [] };
  const isEnough = () => {
    return result.runs >= mostRuns || untilBroken && result.findings.length > 0;
  };
  const count = (plan: Plan, { crashes, hasFailed, wrong }: Outcome) => {
    result.runs++;
    result.crashes += crashes;
    if (hasFailed) result.failures++;
    if (wrong.length > 0) result.findings.push({ seed, plan, wrong });
  };
  const crashAt = async (plan: Plan, call: number, kept: Kept) => {
    const whole = { ...plan, ...crashPlan(random, call, momentOf(seed, call)) };
    if (plan.failure === undefined && random.chance(FAILS_AFTER)) {
      whole.failure = failurePlan(random, kept.counts.calls + random.integer(1, 60));
    }
    const { hasFailed } = kept.counts;
    const outcome = await crash(scenario, whole, kept);
    count(whole, { ...outcome, hasFailed: outcome.hasFailed && !hasFailed });
  };

  const trunk = await runTrunk(scenario, {}, (call) => momentOf(seed, call));
  count({}, trunk);
  const passed = Array.from(trunk.kept.values(), ({ counts }) => counts);
  const changesBefore = (call: number) => {
    return passed.findLast(({ calls }) => calls < call)?.changes ?? 0;
  };
  const todo: (() => Promise<void>)[] = [];
  for (const [call, kept] of trunk.kept) todo.push(() => crashAt({}, call, kept));
  for (let call = 1; call <= trunk.calls; call++) {
    if (!random.chance(failing)) continue;
    todo.push(async () => {
      const plan = { failure: failurePlan(random, call) };
      const later = new Set<number>();
      for (let n = 0; n < CRASHES_AFTER_FAILURE; n++) {
        later.add(random.integer(changesBefore(call) + 1, trunk.changes));
      }
      const failed = await runTrunk(scenario, plan, (call) => {
        return later.has(call) ? momentOf(seed, call) : null;
      });
      count(plan, failed);
      for (const [call, kept] of failed.kept) {
        if (isEnough()) return;
        await crashAt(plan, call, kept);
      }
    });
  }
  for (const run of shuffled(random, todo)) {
    if (isEnough()) break;
    await run();
  }
  return result;
}

/** Where in a call the crash comes: the same in all runs of a scenario. */
function momentOf(seed: number, call: number): Moment {
  return new Random(seed, 6, call).pick(MOMENTS);
}

function failurePlan(random: Random, call: number): Failure {
  return { call, code: random.pick(CODES), forGood: random.chance(0.5) };
}

function crashPlan(random: Random, call: number, moment: Moment): Plan {
  const goesOn = random.chance(GOES_ON);
  const first = { call, moment, power: random.chance(0.6), goesOn };
  if (!random.chance(AGAIN)) return { crash: first };
  return { crash: first, again: { calls: random.integer(1, 30), moment: random.pick(MOMENTS) } };
}

/** In random order. Fisher and Yates. */
function shuffled<T>(random: Random, of: T[]): T[] {
  const all = [...of];
  for (let last = all.length - 1; last > 0; last--) {
    const other = random.integer(0, last);
    [all[last], all[other]] = [all[other]!, all[last]!];
  }
  return all;
}
