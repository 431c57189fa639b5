/** Dashboard and alerts ask for metrics, labels and values that docs/METRICS.md lists, and no others. */

import { assertEquals } from "@std/assert";
import { alerts, queries } from "../system/prometheus.ts";

const METRICS = new URL("../../docs/METRICS.md", import.meta.url);

/** What Prometheus adds. */
const FOREIGN = { job: [], instance: [], alertstate: [] };

/** Metrics of Prometheus' own. */
const OTHERS = ["up"];

/** The values of each label, by the names of the metrics; none listed = any. */
type Listed = Map<string, Record<string, string[]>>;

/** A cell such as "`a`, `b`", or "`verb`: `list`, `watch`; `reason`: `cut`". */
function labelsIn(cell: string): Record<string, string[]> {
  const wordsIn = (text: string) => [...text.matchAll(/`(\w+)`/g)].map(([, word = ""]) => word);
  const labels = cell.split("; ").flatMap((part): [string, string[]][] => {
    const [names = "", values] = part.split(": ");
    return wordsIn(names).map((name) => [name, wordsIn(values ?? "")]);
  });
  return Object.fromEntries(labels);
}

/** The table of metrics. */
function listed(): Listed {
  const rows = Deno.readTextFileSync(METRICS)
    .matchAll(/^\| `(\w+)` \| (counter|gauge|histogram) \| (.*?) \|/gm);
  const metrics: Listed = new Map();
  for (const [, name = "", type, labels = ""] of rows) {
    const values = labelsIn(labels);
    if (type !== "histogram") metrics.set(name, values);
    else {
      metrics.set(`${name}_bucket`, { ...values, le: [] });
      for (const part of ["sum", "count"]) metrics.set(`${name}_${part}`, values);
    }
  }
  return metrics;
}

/** What a query asks for and the table does not have. */
function unknownIn(expr: string, metrics: Listed): string[] {
  const selectors = expr.matchAll(/\b((?:kube_event_pipe|process)_\w+|up)\b(?:\{([^}]*)\})?/g);
  return [...selectors].flatMap(([, name = "", matchers = ""]) => {
    const own = metrics.get(name) ?? (OTHERS.includes(name) ? {} : null);
    if (own === null) return [name];
    const labels: Record<string, string[]> = { ...FOREIGN, ...own };
    return [...matchers.matchAll(/(\w+)(?:=~|!~|!=|=)"([^"]*)"/g)]
      .filter(([, label = "", value = ""]) => {
        const values = labels[label];
        if (values === undefined) return true;
        return values.length > 0 && !value.split("|").every((one) => values.includes(one));
      })
      .map(([matcher]) => `${name}{${matcher}}`);
  });
}

const VARIABLES = { job: ".*", instance: ".*", __rate_interval: "5m" };
const exprs = [...alerts(), ...queries(VARIABLES)].map(({ expr }) => expr);

Deno.test("dashboard and alerts ask for what docs/METRICS.md lists", () => {
  assertEquals(exprs.flatMap((expr) => unknownIn(expr, listed())), []);
});

Deno.test("a metric, a label or a value that is not listed is found", () => {
  const metrics = listed();
  assertEquals(unknownIn("rate(kube_event_pipe_gone_total[5m])", metrics), [
    "kube_event_pipe_gone_total",
  ]);
  const wrong = 'kube_event_pipe_api_failures_total{reason=~"forbidden|refused", vrb="list"}';
  assertEquals(unknownIn(wrong, metrics), [
    'kube_event_pipe_api_failures_total{reason=~"forbidden|refused"}',
    'kube_event_pipe_api_failures_total{vrb="list"}',
  ]);
  assertEquals(unknownIn('up{job=~".*"} + kube_event_pipe_healthy{instance="a"}', metrics), []);
});

Deno.test("every metric that docs/METRICS.md lists is on the dashboard", () => {
  const shown = queries(VARIABLES).map(({ expr }) => expr).join("\n");
  const isShown = (name: string) => new RegExp(`\\b${name}\\b`).test(shown);
  const names = [...listed().keys()].filter((name) => !/_seconds_(sum|count)$/.test(name));
  assertEquals(names.filter((name) => !isShown(name)), []);
});
