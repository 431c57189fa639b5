/**
 * What the user can choose, with the defaults and the bounds.
 *
 * The seven settings of the Python tool keep its names, meanings and defaults, except that the
 * error rate here is that of the whole ring and far lower (docs/DESIGN.md, "The ring").
 */

import { type IdentityMode, type LineForm, PLAIN_LINE } from "./protocol.ts";

/** The levels of Python's logging, lowest first. NOTSET shows everything. */
export const LOG_LEVELS = ["NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] as const;

/** A level of Python's logging. */
export type LogLevel = typeof LOG_LEVELS[number];

/** Where to listen. */
export interface Address {
  /** A name or an IP address, an IPv6 one without brackets. */
  hostname: string;
  /** 0 = any free one. */
  port: number;
}

/** Everything that the command line and the variables decide. Units are in the names. */
export interface Settings extends LineForm {
  /** Path of a file or FIFO; "-" = stdout. */
  destination: string;
  logLevel: LogLevel;
  /** The state folder; must exist. */
  persistencePath: string;
  /** Keys a generation holds before the next one is begun. */
  filterCapacity: number;
  /** Of the whole ring: the chance that a new event is taken for a known one. */
  filterErrorRate: number;
  /** Generations kept. */
  batchCount: number;
  /** Age at which a new event closes a generation. */
  batchDurationSec: number;
  identity: IdentityMode;
  /** Between two syncs of the destination. */
  syncIntervalMs: number;
  /** Exit where no API server answered within this time after the start; 0 = try for ever. */
  startTimeoutSec: number;
  /** Watched, sorted; empty = all of the cluster. */
  namespaces: readonly string[];
  /** Events that the server shows; null = all. */
  fieldSelector: string | null;
  /** Where /metrics, /healthz and /readyz are served; null = nowhere. */
  metricsAddress: Address | null;
  /** What stands still for longer makes /healthz say so. */
  unhealthyAfterSec: number;
  /** Wait for the end of another instance with this state, instead of failing. */
  standby: boolean;
  /** The only kubeconfig to read; absent = KUBECONFIG, ~/.kube/config, service account. */
  kubeconfig?: string;
  /** Absent = the kubeconfig's current-context. */
  context?: string;
}

/** What holds where nothing is given. */
export const DEFAULTS: Readonly<Settings> = {
  destination: "-",
  logLevel: "INFO",
  persistencePath: ".",
  filterCapacity: 1_000_000,
  filterErrorRate: 1e-9,
  batchCount: 3,
  batchDurationSec: 3600,
  identity: "content",
  ...PLAIN_LINE,
  syncIntervalMs: 100,
  startTimeoutSec: 0,
  namespaces: [],
  fieldSelector: null,
  metricsAddress: null,
  // An API server is sure to keep five minutes of history: enough of them are left to act.
  unhealthyAfterSec: 120,
  standby: false,
};

/** Bounds of a number, both included. */
export interface Bounds {
  min: number;
  max: number;
}

/** Bounds of the whole numbers. A value outside is refused, never cut to fit. */
export const BOUNDS = {
  /** 2^28 keys are 1.6 GB of memory a generation at the default rate; more is a typing error. */
  filterCapacity: { min: 1, max: 2 ** 28 },
  /** Each generation is a file that is open and tested for every event. */
  batchCount: { min: 1, max: 1000 },
  /** Ten years. */
  batchDurationSec: { min: 1, max: 315_360_000 },
  syncIntervalMs: { min: 1, max: 60_000 },
  /** A week, well below the 24.8 days that a timer can wait. */
  startTimeoutSec: { min: 0, max: 604_800 },
  unhealthyAfterSec: { min: 1, max: 604_800 },
} as const satisfies Partial<Record<keyof Settings, Bounds>>;

/**
 * Most namespaces. Each is a connection to the API server, and its position stands in the
 * checkpoint, whose slot of 64 KiB holds so many of them also where all names are the longest
 * (tests/unit/checkpoint_test.ts).
 */
export const NAMESPACES_MAX = 40;

/** Longest field selector, characters: it is part of each URL, and stands in the checkpoint too. */
export const FIELD_SELECTOR_MAX = 250;

/** Longest name of the event in a wrapper, characters: each line has it. */
export const WRAP_NAME_MAX = 100;

/** Longest name of a cluster, characters; an ARN of EKS has 150. */
export const CLUSTER_NAME_MAX = 250;

/** Below this the filter's size would be ruled by its 128-bit keys, not by the rate asked for. */
export const ERROR_RATE_MIN = 1e-15;

/** From here on the rate is a loss that one can notice; old manifests say 0.01. */
const ERROR_RATE_WARNING = 0.001;

/** What the user should be told about settings that are obeyed but cost events. */
export function settingsWarnings(settings: Settings): string[] {
  const rate = settings.filterErrorRate;
  if (rate < ERROR_RATE_WARNING) return [];
  const lost = Math.round(rate * 1_000_000).toLocaleString("en-US");
  return [
    `FILTER_ERROR_RATE is ${rate}: of a million new events up to ${lost} may be taken for known ` +
    `ones and never be written. Unset it for the default of ${DEFAULTS.filterErrorRate}, which ` +
    `costs about 6 bytes a key.`,
  ];
}
