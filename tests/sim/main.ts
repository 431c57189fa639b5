/**
 * `deno task sim [--seed=N] [--crashes=M] [--runs=M] [--failing=R] [--threads=T]`: at least M
 * crashes, or M runs where those are given, from scenario N on. Of the calls of a scenario the share
 * R fails, each in a run of its own; 1 = each does. A run that breaks the promise is shown with how
 * to repeat it:
 * `deno task sim --seed=N --plan=JSON [--log=DEBUG]` is that one run. Exit status 0 only where no
 * run did.
 */

import { parseArgs } from "node:util";
import { setupLog } from "../../lib/log.ts";
import { LOG_LEVELS } from "../../lib/settings.ts";
import { type Exploration, FAILING } from "./explore.ts";
import { makeScenario } from "./scenario.ts";
import { simulate } from "./world.ts";

/** Findings that are shown in full. */
const SHOWN = 5;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    crashes: { type: "string", default: "100000" },
    runs: { type: "string" },
    failing: { type: "string", default: String(FAILING) },
    threads: { type: "string", default: String(navigator.hardwareConcurrency) },
    plan: { type: "string" },
    log: { type: "string", default: "INFO" },
  },
});

const seed = values.seed === undefined ? crypto.getRandomValues(new Uint16Array(1))[0]! : number(
  "seed",
  values.seed,
);

Deno.exit(values.plan === undefined ? await many() : await one(values.plan));

function number(name: string, text: string): number {
  const value = Number(text.replaceAll("_", ""));
  if (Number.isInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number, but is ${JSON.stringify(text)}.`);
  return Deno.exit(64);
}

async function one(plan: string): Promise<number> {
  const level = LOG_LEVELS.find((known) => known === values.log);
  setupLog(level ?? "INFO");
  const { wrong } = await simulate(makeScenario(seed), JSON.parse(plan));
  for (const line of wrong) console.log(line);
  console.log(wrong.length === 0 ? "The promise was kept." : "The promise was broken.");
  return wrong.length === 0 ? 0 : 1;
}

async function many(): Promise<number> {
  const crashes = number("crashes", values.crashes);
  const runs = values.runs === undefined ? null : number("runs", values.runs);
  const total: Exploration = { runs: 0, crashes: 0, failures: 0, findings: [] };
  const isEnough = () => runs === null ? total.crashes >= crashes : total.runs >= runs;
  let next = seed;
  let saidMs = performance.now();
  const startMs = saidMs;
  await Promise.all(Array.from({ length: number("threads", values.threads) }, async () => {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    while (!isEnough()) {
      const { exploration, error } = await new Promise<
        { exploration?: Exploration; error?: string }
      >(
        (resolve) => {
          worker.onmessage = ({ data }) => resolve(data);
          worker.postMessage({ seed: next++, failing: Number(values.failing) });
        },
      );
      if (exploration === undefined) throw new Error(error);
      total.runs += exploration.runs;
      total.crashes += exploration.crashes;
      total.failures += exploration.failures;
      for (const finding of exploration.findings) {
        if (total.findings.push(finding) > SHOWN) continue;
        console.log(`\nBroken at run ~${total.runs}:`);
        for (const line of finding.wrong.slice(0, 8)) console.log(`  ${line}`);
        const plan = JSON.stringify(finding.plan);
        console.log(`  deno task sim --seed=${finding.seed} --plan='${plan}'`);
      }
      if (performance.now() - saidMs > 10_000) {
        saidMs = performance.now();
        console.log(`${count(total.runs)} runs, ${count(total.crashes)} crashes ...`);
      }
    }
    worker.terminate();
  }));
  console.log(
    `${count(total.runs)} runs of ${count(next - seed)} scenarios from seed ${seed} in ` +
      `${((performance.now() - startMs) / 1000).toFixed(1)} s: ${count(total.crashes)} crashes, ` +
      `${count(total.failures)} failed calls, ${count(total.findings.length)} broken`,
  );
  return total.findings.length === 0 ? 0 : 1;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
