/**
 * The alerts in promtool, the only judge of them at hand: each is silent where all is well, and fires
 * alone, and no earlier than it should, where its one thing is wrong.
 */

import { assertEquals } from "@std/assert";
import { needing } from "../support/skip.ts";
import { withTempFolder } from "../support/temp.ts";
import { type Alert, ALERTS, alerts, PROMETHEUS_HOW, prometheusTool } from "./prometheus.ts";

const RUNBOOK = new URL("../../docs/RUNBOOK.md", import.meta.url);

/** Values of series by their names, one a minute, in promtool's notation. */
type Series = Record<string, string>;

const TARGET = 'job="kube-event-pipe", instance="a:9310"';
const MINUTES = 90;

/** A program that does its work. */
const WELL: Series = {
  up: "1",
  kube_event_pipe_build_info: "1",
  kube_event_pipe_healthy: "1",
  kube_event_pipe_ready: "1",
  kube_event_pipe_gaps_total: "0",
  kube_event_pipe_watch_silence_seconds: "61",
  'kube_event_pipe_api_failures_total{reason="connection"}': "5",
  'kube_event_pipe_api_failures_total{reason="forbidden"}': "0",
  'kube_event_pipe_lists_started_total{reason="doubt"}': "3",
  kube_event_pipe_destination_blocked_seconds: "0",
  kube_event_pipe_commit_lag_seconds: "10",
  'kube_event_pipe_sync_duration_seconds_bucket{le="1"}': "0+60x90",
  'kube_event_pipe_sync_duration_seconds_bucket{le="30"}': "0+61x90",
  'kube_event_pipe_sync_duration_seconds_bucket{le="+Inf"}': "0+61x90",
  'kube_event_pipe_event_delay_seconds_bucket{le="30"}': "0+60x90",
  'kube_event_pipe_event_delay_seconds_bucket{le="1800"}': "0+80x90",
  'kube_event_pipe_event_delay_seconds_bucket{le="+Inf"}': "0+80x90",
  kube_event_pipe_false_positive_rate: "1e-12",
  kube_event_pipe_filter_error_rate: "1e-9",
  kube_event_pipe_damaged_sectors_total: "0",
  process_start_time_seconds: "0",
  'kube_event_pipe_log_messages_total{level="WARNING"}': "0+1x90",
  'kube_event_pipe_log_messages_total{level="ERROR"}': "1",
};

/** What is wrong, when nothing is said yet, when the alert fires, and when it is over. */
interface Case {
  series: Series;
  silentAt: string;
  firingAt: string;
  goneAt?: string;
}

const CASES: Record<string, Case> = {
  KubeEventPipeDown: {
    series: { up: "1x9 0x80" },
    silentAt: "14m",
    firingAt: "15m",
  },
  KubeEventPipeAbsent: {
    series: { kube_event_pipe_build_info: "1x9 _x80" },
    silentAt: "20m",
    firingAt: "26m",
  },
  KubeEventPipeRestarting: {
    series: { process_start_time_seconds: "0x9 600 660 720 780x80" },
    silentAt: "12m",
    firingAt: "13m",
  },
  KubeEventPipeUnhealthy: {
    series: { kube_event_pipe_healthy: "1x9 0x80" },
    silentAt: "10m",
    firingAt: "11m",
  },
  KubeEventPipeNotReady: {
    series: { kube_event_pipe_ready: "1x9 0x80" },
    silentAt: "39m",
    firingAt: "40m",
  },
  KubeEventPipeGap: {
    series: { kube_event_pipe_gaps_total: "2x29 3x60" },
    silentAt: "29m",
    firingAt: "31m",
    goneAt: "50m",
  },
  KubeEventPipeWatchSilent: {
    series: { kube_event_pipe_watch_silence_seconds: "61x9 120 121x80" },
    silentAt: "10m",
    firingAt: "11m",
  },
  KubeEventPipeRefused: {
    series: { 'kube_event_pipe_api_failures_total{reason="forbidden"}': "0x9 1+1x80" },
    silentAt: "14m",
    firingAt: "16m",
  },
  KubeEventPipeDoubt: {
    series: { 'kube_event_pipe_lists_started_total{reason="doubt"}': "3x9 4+1x80" },
    silentAt: "18m",
    firingAt: "22m",
  },
  KubeEventPipeDestinationBlocked: {
    series: { kube_event_pipe_destination_blocked_seconds: "0x9 60 61x80" },
    silentAt: "10m",
    firingAt: "11m",
  },
  KubeEventPipeCommitLag: {
    series: { kube_event_pipe_commit_lag_seconds: "10x9 60 61x80" },
    silentAt: "10m",
    firingAt: "11m",
  },
  KubeEventPipeSlowDisk: {
    series: {
      'kube_event_pipe_sync_duration_seconds_bucket{le="1"}': "0+50x90",
      'kube_event_pipe_sync_duration_seconds_bucket{le="30"}': "0+60x90",
      'kube_event_pipe_sync_duration_seconds_bucket{le="+Inf"}': "0+60x90",
    },
    silentAt: "10m",
    firingAt: "12m",
  },
  KubeEventPipeLate: {
    series: {
      'kube_event_pipe_event_delay_seconds_bucket{le="30"}': "0+30x90",
      'kube_event_pipe_event_delay_seconds_bucket{le="1800"}': "0+80x90",
      'kube_event_pipe_event_delay_seconds_bucket{le="+Inf"}': "0+80x90",
    },
    silentAt: "15m",
    firingAt: "17m",
  },
  KubeEventPipeFalsePositives: {
    series: { kube_event_pipe_false_positive_rate: "1e-9x9 2e-9x80" },
    silentAt: "19m",
    firingAt: "20m",
  },
  KubeEventPipeDamaged: {
    series: {
      kube_event_pipe_damaged_sectors_total: "_x10 1x80",
      process_start_time_seconds: "540",
    },
    silentAt: "9m",
    firingAt: "10m",
  },
  KubeEventPipeLogsErrors: {
    series: { 'kube_event_pipe_log_messages_total{level="ERROR"}': "1x9 2x80" },
    silentAt: "9m",
    firingAt: "11m",
  },
};

/** A first gap is seen where the series begins with it, as after a restart as another pod. */
const FIRST_GAP: Case = {
  series: { kube_event_pipe_gaps_total: "_x10 1x80" },
  silentAt: "9m",
  firingAt: "10m",
};

function seriesOf(series: Series): { series: string; values: string }[] {
  return Object.entries(series).map(([name, values]) => ({
    series: name.includes("{") ? name.replace("{", `{${TARGET}, `) : `${name}{${TARGET}}`,
    values: /[x_]/.test(values) ? values : `${values}x${MINUTES}`,
  }));
}

/** For promtool: at these minutes, these alerts fire and no others. */
function testOf(name: string, series: Series, firing: Record<string, string[]>): unknown {
  return {
    name,
    interval: "1m",
    input_series: seriesOf({ ...WELL, ...series }),
    promql_expr_test: Object.entries(firing).map(([eval_time, alerts]) => ({
      expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
      eval_time,
      exp_samples: alerts.map((alert) => ({ labels: `{alertname="${alert}"}`, value: 1 })),
    })),
  };
}

function caseTest(alert: string, { series, silentAt, firingAt, goneAt }: Case): unknown {
  const gone = goneAt === undefined ? {} : { [goneAt]: [] };
  return testOf(alert, series, { [silentAt]: [], [firingAt]: [alert], ...gone });
}

Deno.test(needing(
  prometheusTool("promtool"),
  PROMETHEUS_HOW,
  "promtool: each alert fires where its one thing is wrong, and none where all is well",
  async ({ path }) => {
    assertEquals(alerts().map(({ alert }) => alert), Object.keys(CASES));
    await withTempFolder(async (folder) => {
      const tests = {
        rule_files: [ALERTS.pathname],
        evaluation_interval: "1m",
        tests: [
          testOf("all is well", {}, { "1m": [], "30m": [], "89m": [] }),
          ...Object.entries(CASES).map(([alert, one]) => caseTest(alert, one)),
          caseTest("KubeEventPipeGap", FIRST_GAP),
        ],
      };
      const file = `${folder}/tests.json`;
      Deno.writeTextFileSync(file, JSON.stringify(tests));
      const { code, stdout, stderr } = await new Deno.Command(path, {
        args: ["test", "rules", file],
      }).output();
      const said = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
      assertEquals(code, 0, said);
    });
  },
));

/** As GitHub makes them from headings. */
function anchorsIn(markdown: string): string[] {
  return [...markdown.matchAll(/^## (.*)$/gm)].map(([, title = ""]) => title.toLowerCase());
}

Deno.test("docs/RUNBOOK.md has one chapter for each alert, and each alert leads to it", () => {
  const anchorOf = ({ annotations }: Alert) => annotations.runbook_url?.split("RUNBOOK.md#")[1];
  const names = alerts().map(({ alert }) => alert.toLowerCase());
  assertEquals(alerts().map(anchorOf), names);
  assertEquals(anchorsIn(Deno.readTextFileSync(RUNBOOK)), names);
});
