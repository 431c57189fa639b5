import { assertEquals, assertGreater } from "@std/assert";
import { testSeed } from "../support/temp.ts";
import { type Exploration, explore } from "./explore.ts";
import type { Plan } from "./faults.ts";
import { makeScenario } from "./scenario.ts";
import { crash, runTrunk, simulate } from "./world.ts";

const RUNS = 5000;
const RUNS_EACH = 50;

Deno.test(`${RUNS} simulated crashes and failures lose, repeat and tear nothing (faults 38, 46, 47)`, async () => {
  const first = testSeed() % 1_000_000;
  const total = { runs: 0, crashes: 0, failures: 0 };
  const broken: string[] = [];
  for (let seed = first; total.runs < RUNS; seed++) {
    const { runs, crashes, failures, findings }: Exploration = await explore(seed, {
      mostRuns: RUNS_EACH,
    });
    total.runs += runs;
    total.crashes += crashes;
    total.failures += failures;
    for (const { plan, wrong } of findings) {
      broken.push(`deno task sim --seed=${seed} --plan='${JSON.stringify(plan)}': ${wrong[0]}`);
    }
  }
  console.log(total);
  assertEquals(broken, []);
  assertGreater(total.crashes, RUNS);
  assertGreater(total.failures, RUNS / 10);
});

Deno.test("A run is the same each time: its seed and plan are all that it depends on", async () => {
  const once = await explore(4711, { mostRuns: 30 });
  assertEquals(await explore(4711, { mostRuns: 30 }), once);
});

Deno.test("A crash leaves the same, whatever else is kept of the run before it", async () => {
  const scenario = makeScenario(4711);
  for (const [call, kept] of (await runTrunk(scenario, {}, () => "middle")).kept) {
    const plan: Plan = {
      crash: { call, moment: "middle", power: true, goesOn: call % 5 === 0 },
      again: { calls: 9, moment: "middle" },
      failure: { call: kept.counts.calls + 30, code: "EIO", forGood: false },
    };
    const once = await crash(scenario, plan, kept);
    assertEquals(await simulate(scenario, plan), once, JSON.stringify(plan));
  }
});

Deno.test("half a line that the disk let nobody cut is cut before another file is named, wherever it is killed", async () => {
  const scenario = makeScenario(209217);
  for (let call = 30; call < 60; call++) {
    for (const moment of ["before", "middle", "after"] as const) {
      const plan: Plan = {
        failure: { call: 56, code: "EROFS", forGood: true },
        crash: { call, moment, power: false, goesOn: false },
      };
      assertEquals((await simulate(scenario, plan)).wrong, [], JSON.stringify(plan));
    }
  }
});

Deno.test("a recovery whose sync fails loses no line that the ring knows, wherever it is killed", async () => {
  // The life before it was killed when the ring was in its files and the checkpoint was not.
  const scenario = makeScenario(3000109);
  for (let call = 300; call < 330; call++) {
    for (const power of [false, true]) {
      const plan: Plan = {
        failure: { call: 729, code: "EIO", forGood: false },
        crash: { call, moment: "after", power, goesOn: true },
      };
      assertEquals((await simulate(scenario, plan)).wrong, [], JSON.stringify(plan));
    }
  }
});
