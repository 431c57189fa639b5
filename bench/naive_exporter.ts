/**
 * What most exporters of events do: client-node's Watch, JSON.stringify, append. It remembers
 * nothing and syncs nothing.
 *
 * `deno run -A bench/naive_exporter.ts KUBECONFIG RESOURCE_VERSION FILE`
 */

import { KubeConfig, Watch } from "@kubernetes/client-node";
import { createWriteStream } from "node:fs";

const [kubeconfig = "", resourceVersion = "", file = ""] = Deno.args;
const config = new KubeConfig();
config.loadFromFile(kubeconfig);
// Without TLS, client-node wants to be told that nothing is verified.
config.clusters = config.clusters.map((cluster) => ({
  ...cluster,
  skipTLSVerify: cluster.server.startsWith("http:"),
}));
const output = createWriteStream(file, { flags: "a" });
await new Watch(config).watch(
  "/api/v1/events",
  { resourceVersion },
  (_phase: string, event: unknown) => output.write(`${JSON.stringify(event)}\n`),
  (error: unknown) => {
    if (error) console.error(String(error));
  },
);
