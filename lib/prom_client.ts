/**
 * The parts of prom-client that are used, with its types. Its index also loads what pushes to a
 * gateway and what makes summaries, and with it all of node:http: 8 MB of memory.
 */

import type * as whole from "prom-client";
import counter from "prom-client/lib/counter.js";
import gauge from "prom-client/lib/gauge.js";
import histogram from "prom-client/lib/histogram.js";
import registry from "prom-client/lib/registry.js";

/** See prom-client. */
export const Counter = counter as typeof whole.Counter;
/** See prom-client. */
export type Counter = whole.Counter;
/** See prom-client. */
export const Gauge = gauge as typeof whole.Gauge;
/** See prom-client. */
export type Gauge = whole.Gauge;
/** See prom-client. */
export const Histogram = histogram as typeof whole.Histogram;
/** See prom-client. */
export type Histogram = whole.Histogram;
/** See prom-client. */
export const Registry = registry as typeof whole.Registry;
