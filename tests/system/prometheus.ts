/** deploy/prometheus and deploy/grafana as tests read them, and Prometheus' own programs. */

import { loadYaml } from "@kubernetes/client-node";
import { type DebianTool, debianTool } from "./debian.ts";

/** What to do for tests that need them, as the end of "To run it, ...". */
export const PROMETHEUS_HOW = "install prometheus, or let apt download it";

/** The rules file. */
export const ALERTS = new URL("../../deploy/prometheus/alerts.yaml", import.meta.url);

const DASHBOARD = new URL("../../deploy/grafana/kube-event-pipe.json", import.meta.url);

/** An alert rule. */
export interface Alert {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: Record<string, string>;
}

/** A panel of the dashboard; a row has no targets. */
export interface Panel {
  title: string;
  type: string;
  targets?: { expr: string; legendFormat: string }[];
}

/** promtool or prometheus; null where Debian's package is not to be had. */
export function prometheusTool(name: "promtool" | "prometheus"): DebianTool | null {
  return debianTool(name, "alone", "prometheus");
}

/** All alerts, in the order of the file. */
export function alerts(): Alert[] {
  const { groups } = loadYaml<{ groups: { rules: Alert[] }[] }>(Deno.readTextFileSync(ALERTS));
  return groups.flatMap(({ rules }) => rules);
}

/** The dashboard's panels. */
export function panels(): Panel[] {
  return JSON.parse(Deno.readTextFileSync(DASHBOARD)).panels;
}

/** A query as Prometheus takes it. */
export interface Query {
  /** Of its panel. */
  title: string;
  expr: string;
  legend: string;
}

/**
 * The dashboard's queries.
 *
 * @param values of its variables, by their names
 * @throws Error where one uses another variable
 */
export function queries(values: Record<string, string>): Query[] {
  return panels().flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => ({
      title,
      expr: expr.replaceAll(/\$(\w+)/g, (_, name) => {
        const value = values[name];
        if (value === undefined) throw new Error(`"${title}" uses $${name}, which is no variable`);
        return value;
      }),
      legend: legendFormat,
    }))
  );
}
