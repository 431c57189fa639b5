/** A kubeconfig with whatever fields a test wants in it. */

/** Writes one with these fields of its cluster and user. JSON is YAML too. */
export async function writeKubeconfig(
  path: string,
  parts: { cluster?: Record<string, unknown>; user?: Record<string, unknown> },
): Promise<void> {
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [{ name: "test", cluster: { server: "https://127.0.0.1:1", ...parts.cluster } }],
    users: [{ name: "admin", user: parts.user ?? {} }],
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
  };
  await Deno.writeTextFile(path, JSON.stringify(config));
}
