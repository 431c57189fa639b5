/** A kubeconfig's cluster: what of it can be obeyed, and a sentence for what cannot. */

import type { Cluster as KubeCluster } from "@kubernetes/client-node/dist/config_types.js";
import { Buffer } from "node:buffer";
import { readSource, type TextSource } from "./credentials.ts";
import { UsageError } from "./errors.ts";
import { type Entry, fieldsOf, listOf, textOf } from "./kubeconfig_file.ts";
import { sourceOf } from "./kubeconfig_user.ts";
import { parseProxyUrl } from "./proxy.ts";

/** What a cluster entry says. */
export interface ClusterSpec {
  /** For messages: `cluster "main" in kubeconfig "/home/me/.kube/config"`. */
  cluster: string;
  url: URL;
  /** With its password; null = the environment decides. */
  proxyUrl: string | null;
  /** null = the system's roots. */
  ca: TextSource | null;
  /** client-go's ExecCluster, for plugins that ask for it; reads the CA's file. */
  pluginInfo: () => Record<string, unknown>;
}

/**
 * Reads a cluster entry.
 *
 * @throws UsageError for what cannot be obeyed: no setting about trust is ever passed over
 */
export function clusterSpec({ value, raw, file }: Entry<KubeCluster>): ClusterSpec {
  const cluster = `cluster ${quoted(value.name)} in kubeconfig ${quoted(file)}`;
  const url = serverUrl(value.server, cluster);
  const proxyUrl = textOf(raw, "proxy-url", cluster);
  if (proxyUrl !== null && (!proxyUrl.includes("://") || parseProxyUrl(proxyUrl) === null)) {
    throw new UsageError(
      `The ${cluster} has a proxy-url that is not supported: it must be an http://, https:// or ` +
        `socks5:// URL, and a user in it must have a password.`,
    );
  }
  if (url.protocol === "https:") refuseUnverified(value, cluster);
  const ca = url.protocol === "https:"
    ? sourceOf(raw, "certificate-authority", value.caFile, cluster)
    : null;
  const pluginInfo = () => ({
    server: value.server,
    ...(ca !== null && {
      "certificate-authority-data": Buffer.from(readSource(ca)).toString("base64"),
    }),
    ...(proxyUrl !== null && { "proxy-url": proxyUrl }),
    ...pluginConfig(listOf(raw["extensions"])),
  });
  return { cluster, url, proxyUrl, ca, pluginInfo };
}

function refuseUnverified({ skipTLSVerify, tlsServerName }: KubeCluster, cluster: string): void {
  if (skipTLSVerify) {
    throw new UsageError(
      `The ${cluster} sets insecure-skip-tls-verify, which is not supported: the server's ` +
        `certificate is always verified. Give the CA that signed it as certificate-authority.`,
    );
  }
  if (tlsServerName !== undefined && tlsServerName !== null && tlsServerName !== "") {
    throw new UsageError(
      `The ${cluster} sets tls-server-name, which is not supported: the server's certificate must ` +
        `be valid for the host in its URL. Name that host in server, if need be through /etc/hosts.`,
    );
  }
}

function serverUrl(server: string, cluster: string): URL {
  const url = /^https?:\/\//i.test(server) && URL.canParse(server) ? new URL(server) : null;
  if (url === null) {
    // A user and password would stand before an @.
    throw new UsageError(
      `The ${cluster} has the server ${quoted(server.replace(/^.*@/s, "...@"))}, ` +
        `which must be an https:// or http:// URL.`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new UsageError(
      `The ${cluster} has a user in its server URL. Put username and password into the user entry.`,
    );
  }
  return url;
}

/**
 * The extension that is meant for plugins (client-go, clientauthentication: ExecCluster.config).
 */
function pluginConfig(extensions: Record<string, unknown>[]): { config?: unknown } {
  const found = extensions.find(({ name }) => name === "client.authentication.k8s.io/exec");
  return found === undefined ? {} : { config: fieldsOf(found["extension"]) };
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
