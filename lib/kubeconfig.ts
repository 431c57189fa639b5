/**
 * Which cluster, and how it lets us in: from kubeconfig files or a pod's service account.
 *
 * The search is kubectl's (client-go, tools/clientcmd): --kubeconfig alone, or the files of
 * KUBECONFIG, or ~/.kube/config; where they say nothing, the service account. client-node's own
 * search is not used: it stops at a missing file and at a name that two files have, and it falls
 * back to http://localhost:8080. Credentials are only described here; lib/credentials.ts reads
 * them.
 */

import { join } from "node:path";
import { CredentialSource } from "./credentials.ts";
import { ClusterError, UsageError } from "./errors.ts";
import { clusterSpec } from "./kubeconfig_cluster.ts";
import { isEmptyKubeconfig, type Kubeconfig, readKubeconfigs } from "./kubeconfig_file.ts";
import { ANONYMOUS, userSpec } from "./kubeconfig_user.ts";
import { log } from "./log.ts";
import { parseProxyUrl, type Proxy, proxyOf, useOnlyProxy } from "./proxy.ts";
import type { Settings } from "./settings.ts";

/** The API server to watch. */
export interface Cluster {
  /** Base URL without a trailing slash. */
  server: string;
  /** `host:port`, IPv6 in brackets, as a net permission names it. */
  hostPort: string;
  /** All that the watch isolate may connect to. lib/proxy.ts says why no proxy is among them. */
  netHosts: string[];
  /** The proxy in between; null = none. */
  proxy: Proxy | null;
  contextName: string;
  /** Where this was found, for the log. */
  source: string;
  credentialSource: CredentialSource;
  /** See {@linkcode prepareFetch}. */
  trust: "nothing" | "given-ca" | "system";
  /** The kubeconfig's proxy-url with its password; null = the environment decides. */
  proxyUrl: string | null;
}

/** The surroundings, so that a test can have others. */
export interface Surroundings {
  env(name: string): string | undefined;
  /** What a credential plugin inherits. */
  environment(): Record<string, string>;
  /** The folder that Kubernetes mounts into a pod, with `token` and `ca.crt`. */
  serviceAccount: string;
}

const REAL_SURROUNDINGS: Surroundings = {
  env: (name) => Deno.env.get(name),
  environment: () => Deno.env.toObject(),
  serviceAccount: "/var/run/secrets/kubernetes.io/serviceaccount",
};

/**
 * Finds the cluster. Call it before {@linkcode prepareFetch}: plugins inherit the environment as it
 * is now.
 *
 * @throws UsageError for what is given and cannot be used; ClusterError where nothing is given
 */
export function loadCluster(
  choice: Pick<Settings, "kubeconfig" | "context">,
  surroundings: Surroundings = REAL_SURROUNDINGS,
): Cluster {
  const { files, looked } = kubeconfigFiles(choice.kubeconfig, surroundings);
  const required = choice.kubeconfig !== undefined;
  const config = readKubeconfigs(files, { required });
  if (!isEmptyKubeconfig(config)) return fromKubeconfig(config, choice.context, surroundings);
  if (required) {
    throw new UsageError(`Kubeconfig ${quoted(files[0]!)} names no cluster, user or context.`);
  }
  if (choice.context === undefined) {
    const found = fromServiceAccount(surroundings);
    if (found !== null) return found;
  }
  const what = choice.context === undefined
    ? "No cluster configuration was found"
    : `There is no context ${quoted(choice.context)}, because no kubeconfig was found`;
  throw new ClusterError(
    `${what}. Looked at ${looked} and ${serviceAccountLook(surroundings)}. ` +
      `Give a kubeconfig with --kubeconfig or KUBECONFIG.`,
  );
}

/**
 * Sets what Deno's TLS and fetch take from the environment, for this process and its isolates.
 * Call it before the first use of TLS: Deno reads its roots once.
 */
export function prepareFetch(cluster: Cluster): void {
  if (cluster.trust === "given-ca") trustOnlyGivenCa();
  if (cluster.trust === "system") trustSystemRoots();
  if (cluster.proxyUrl !== null) useOnlyProxy(cluster.proxyUrl);
}

/**
 * Trusts the CA of the kubeconfig and no other. Deno would add it to Mozilla's roots, so any public
 * CA could vouch for the API server.
 */
export function trustOnlyGivenCa(): void {
  Deno.env.set("DENO_TLS_CA_STORE", "");
  Deno.env.delete("DENO_CERT");
  Deno.env.delete("NODE_EXTRA_CA_CERTS");
}

/** Trusts the system's roots, as client-go does; what the operator chose otherwise stays. */
export function trustSystemRoots(): void {
  if (Deno.env.get("DENO_TLS_CA_STORE") === undefined) {
    Deno.env.set("DENO_TLS_CA_STORE", "system");
  }
}

/** The files to read, and how to say where we looked. */
function kubeconfigFiles(
  given: string | undefined,
  { env }: Surroundings,
): { files: string[]; looked: string } {
  if (given !== undefined) return { files: [given], looked: "--kubeconfig" };
  const listed = (env("KUBECONFIG") ?? "").split(":").filter((file) => file !== "");
  if (listed.length > 0) {
    return {
      files: listed,
      looked: `KUBECONFIG (${listed.map(quoted).join(", ")}: not there, or empty)`,
    };
  }
  const home = env("HOME") ?? "";
  if (home === "") return { files: [], looked: "KUBECONFIG (not set), ~/.kube/config (no HOME)" };
  const file = join(home, ".kube", "config");
  return { files: [file], looked: `KUBECONFIG (not set), ${quoted(file)} (not there, or empty)` };
}

function fromKubeconfig(
  config: Kubeconfig,
  wanted: string | undefined,
  surroundings: Surroundings,
): Cluster {
  const where = `kubeconfig ${config.files.map(quoted).join(", ")}`;
  const contextName = wanted ?? config.currentContext;
  if (contextName === null) {
    throw new UsageError(
      `The ${where} names no current-context. Choose one with --context. ${known(config)}`,
    );
  }
  const context = config.contexts.get(contextName);
  if (context === undefined) {
    throw new UsageError(
      `There is no context ${quoted(contextName)} in ${where}. ${known(config)}`,
    );
  }
  const names = `The context ${quoted(contextName)} in kubeconfig ${quoted(context.file)} names`;
  const entry = config.clusters.get(context.value.cluster);
  if (entry === undefined) {
    throw new UsageError(
      `${names} the cluster ${quoted(context.value.cluster)}, which is missing or has no server.`,
    );
  }
  const userName: string | undefined = context.value.user;
  const user = userName === undefined ? null : config.users.get(userName);
  if (user === undefined) {
    throw new UsageError(`${names} the user ${quoted(userName!)}, which is missing.`);
  }
  const { cluster, url, proxyUrl, ca, pluginInfo } = clusterSpec(entry);
  const secure = url.protocol === "https:";
  const environment = surroundings.environment();
  const spec = user === null ? ANONYMOUS : userSpec(user, pluginInfo, environment);
  const { cert, token, basic, exec } = spec;
  if (!secure && [cert, token, basic, exec].some((part) => part !== null)) {
    log.warning(`The ${cluster} is reached without TLS, so no credentials are sent to it.`);
  }
  return clusterOf(url, {
    proxyUrl,
    contextName,
    source: `${where}, context ${quoted(contextName)}`,
    credentialSource: new CredentialSource(
      secure ? { ...spec, cluster, ca } : { ...ANONYMOUS, cluster, ca: null },
    ),
    trust: !secure ? "nothing" : ca === null ? "system" : "given-ca",
  }, surroundings);
}

/** A pod's service account (client-go: rest.InClusterConfig); null where we are in no pod. */
function fromServiceAccount(surroundings: Surroundings): Cluster | null {
  const { env, serviceAccount } = surroundings;
  const host = env("KUBERNETES_SERVICE_HOST") ?? "";
  const port = env("KUBERNETES_SERVICE_PORT") ?? "";
  const token = join(serviceAccount, "token");
  if (host === "" || port === "" || !exists(token)) return null;
  const url = new URL(`https://${host.includes(":") ? `[${host}]` : host}:${port}`);
  return clusterOf(url, {
    proxyUrl: null,
    contextName: "in-cluster",
    source: `service account in ${quoted(serviceAccount)}`,
    credentialSource: new CredentialSource({
      ...ANONYMOUS,
      user: `service account in ${quoted(serviceAccount)}`,
      cluster: "cluster that we run in",
      ca: { file: join(serviceAccount, "ca.crt") },
      token: { file: token },
    }),
    trust: "given-ca",
  }, surroundings);
}

function serviceAccountLook({ env, serviceAccount }: Surroundings): string {
  return (env("KUBERNETES_SERVICE_HOST") ?? "") === ""
    ? "the service account of a pod (KUBERNETES_SERVICE_HOST is not set)"
    : `the service account of a pod (no token in ${quoted(serviceAccount)})`;
}

function clusterOf(
  url: URL,
  rest: Omit<Cluster, "server" | "hostPort" | "netHosts" | "proxy">,
  { env }: Surroundings,
): Cluster {
  const server = (url.origin + url.pathname).replace(/\/+$/, "");
  const hostPort = `${url.hostname}:${url.port || (url.protocol === "https:" ? 443 : 80)}`;
  const named = rest.proxyUrl === null ? null : parseProxyUrl(rest.proxyUrl);
  const proxy = named === null ? proxyOf(server, env) : { url: named, variable: "proxy-url" };
  return { ...rest, server, hostPort, netHosts: [hostPort], proxy };
}

function known(config: Kubeconfig): string {
  const names = [...config.contexts.keys()].slice(0, 20).map(quoted).join(", ");
  return names === "" ? "It has no contexts." : `Known contexts: ${names}.`;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
