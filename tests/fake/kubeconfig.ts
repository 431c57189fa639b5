/**
 * A kubeconfig file for one server and one user.
 */

/** What the file holds. PEM texts are embedded, as `*-data`. */
export interface KubeconfigParts {
  server: string;
  ca?: string;
  token?: string;
  /** Path of a file with the token, read by the client. */
  tokenFile?: string;
  clientCert?: { cert: string; key: string };
  /** Default namespace of the context. */
  namespace?: string;
}

/** The file's text: JSON, which is YAML too. Cluster, user and context are all named "fake". */
export function kubeconfigText(parts: KubeconfigParts): string {
  const data = (pem: string) => new TextEncoder().encode(pem).toBase64();
  const { server, ca, token, tokenFile, clientCert, namespace } = parts;
  const cluster = { server, ...(ca && { "certificate-authority-data": data(ca) }) };
  const user = {
    ...(token !== undefined && { token }),
    ...(tokenFile !== undefined && { tokenFile }),
    ...(clientCert && {
      "client-certificate-data": data(clientCert.cert),
      "client-key-data": data(clientCert.key),
    }),
  };
  const context = { cluster: "fake", user: "fake", ...(namespace && { namespace }) };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "fake",
    clusters: [{ name: "fake", cluster }],
    users: [{ name: "fake", user }],
    contexts: [{ name: "fake", context }],
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
