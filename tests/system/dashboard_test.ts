/**
 * The dashboard and the alerts on a real Prometheus that scrapes the real program: each query is
 * answered, with the labels that its legend names.
 */

import { assertEquals } from "@std/assert";
import { sampleEvent } from "../fake/sample.ts";
import { freePort, Guard, LoggedProcess } from "../real/process.ts";
import { withFakeScene } from "../support/fake_scene.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";
import { ALERTS, PROMETHEUS_HOW, prometheusTool, queries } from "./prometheus.ts";

/** Prometheus must be up within this, ms. */
const READY_MS = 30_000;
/** Each answer must come within this, ms. */
const ANSWER_MS = 10_000;
const STOP_MS = 10_000;

const VARIABLES = { job: "kube-event-pipe", instance: ".*", __rate_interval: "1m" };

interface Sample {
  metric: Record<string, string>;
}

/** A running Prometheus. */
class Prometheus {
  readonly #url: string;
  readonly #process: LoggedProcess;
  readonly #guard = new Guard();

  /** @param target `host:port` to scrape each second, which is as long as a scrape may take */
  constructor(path: string, folder: string, target: string) {
    const address = `127.0.0.1:${freePort()}`;
    this.#url = `http://${address}/api/v1`;
    const config = {
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: [ALERTS.pathname],
      scrape_configs: [{
        job_name: "kube-event-pipe",
        static_configs: [{ targets: [target] }],
      }],
    };
    Deno.writeTextFileSync(`${folder}/prometheus.json`, JSON.stringify(config));
    const flags = [
      `--config.file=${folder}/prometheus.json`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=${address}`,
    ];
    this.#process = new LoggedProcess(path, flags, `${folder}/prometheus.log`);
  }

  async start(): Promise<void> {
    this.#process.start();
    await this.#guard.watch([this.#process.pid]);
    await this.#process.until(READY_MS, async () => {
      const twice = "count_over_time(kube_event_pipe_build_info[1m]) > 1"; // As rates need it.
      return (await this.query(twice).catch(() => [])).length > 0;
    });
  }

  async stop(): Promise<void> {
    await this.#process.stop("SIGTERM", STOP_MS);
    await this.#guard.close();
  }

  /** @throws Error what it says against the query */
  async query(expr: string): Promise<Sample[]> {
    const { result } = await this.get<{ result: Sample[] }>(
      `/query?query=${encodeURIComponent(expr)}`,
    );
    return result;
  }

  async get<T>(path: string): Promise<T> {
    const response = await fetch(this.#url + path);
    const { data, error } = await response.json();
    if (error !== undefined) throw new Error(error);
    return data;
  }
}

Deno.test(needing(
  prometheusTool("prometheus"),
  PROMETHEUS_HOW,
  "Prometheus: every query of the dashboard is answered by what the program serves; no alert fires",
  async ({ path }) => {
    await withFakeScene(async ({ server, start }) => {
      const address = `127.0.0.1:${freePort()}`;
      const program = start("--metrics-address", address);
      await program.says("WATCH /api/v1/events from");
      for (let n = 0; n < 10; n++) server.store.create(sampleEvent("shop", `event-${n}.1`));
      await withTempFolder(async (folder) => {
        const prometheus = new Prometheus(path, folder, address);
        try {
          await prometheus.start();
          for (const { title, expr, legend } of queries(VARIABLES)) {
            let samples: Sample[] = [];
            await until(`${title}: something for ${expr}`, async () => {
              samples = await prometheus.query(expr);
              return samples.length > 0; // Nothing while a scrape took too long.
            }, ANSWER_MS);
            const missing = labelsIn(legend).filter((label) => !(label in samples[0]!.metric));
            assertEquals(missing, [], `${title}: labels of the legend that ${expr} does not have`);
          }
          let unwell: Rule[] = [];
          await until("all rules are evaluated, and none is pending", async () => {
            unwell = (await rulesOf(prometheus))
              .filter(({ health, state }) => health !== "ok" || state !== "inactive");
            return unwell.length === 0;
          }, ANSWER_MS).catch((error) => {
            throw new Error(JSON.stringify(unwell), { cause: error });
          });
        } finally {
          await prometheus.stop();
        }
      });
    });
  },
));

interface Rule {
  name: string;
  health: string;
  state: string;
  lastError?: string;
}

async function rulesOf(prometheus: Prometheus): Promise<Rule[]> {
  const { groups } = await prometheus.get<{ groups: { rules: Rule[] }[] }>("/rules");
  return groups.flatMap(({ rules }) =>
    rules.map(({ name, health, state, lastError }) => ({
      ...{ name, health, state },
      ...(lastError === undefined ? {} : { lastError }),
    }))
  );
}

/** The labels in a legend such as `{{verb}}: {{reason}}`. */
function labelsIn(legend: string): string[] {
  return [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label);
}
