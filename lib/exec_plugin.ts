/**
 * Credential plugins: the `exec` entry of a kubeconfig's user.
 *
 * The contract is client-go's (plugin/pkg/client/auth/exec, API client.authentication.k8s.io):
 * the plugin finds its task in KUBERNETES_EXEC_INFO and prints an ExecCredential. client-node's own
 * ExecAuth is not used: it has no time limit, sets no KUBERNETES_EXEC_INFO, and does not check what
 * comes back. Nothing that a plugin prints on stdout is ever in a message.
 */

import { ClusterError, codeOf, messageOf, UsageError } from "./errors.ts";
import { EXEC_OUTPUT_MAX, EXEC_TIMEOUT_MS } from "./limits.ts";

/** How to run a plugin. */
export interface ExecSpec {
  /** A name to be looked up in PATH, or a path. */
  command: string;
  args: string[];
  env: { name: string; value: string }[];
  apiVersion: string;
  /** Shown where the command does not exist. */
  installHint: string | null;
  /** `spec.cluster` of KUBERNETES_EXEC_INFO, where provideClusterInfo asks for it. */
  cluster: Record<string, unknown> | null;
  /** The environment that the plugin inherits: ours, before we changed it for our own TLS. */
  parentEnv: Record<string, string>;
}

/** What a plugin gave. The PEM texts are not checked. */
export interface ExecCredential {
  token: string | null;
  cert: string | null;
  key: string | null;
  /** ms since 1970; null = valid until the server refuses it. */
  expiresMs: number | null;
}

/** Versions of the API that a plugin may speak; v1alpha1 left client-go with Kubernetes 1.24. */
export const EXEC_API_VERSIONS: readonly string[] = [
  "client.authentication.k8s.io/v1",
  "client.authentication.k8s.io/v1beta1",
];

/**
 * Runs the plugin once.
 *
 * @throws UsageError where the command does not exist; ClusterError where it fails, takes longer
 * than `timeoutMs`, or prints no ExecCredential
 */
export async function runPlugin(
  spec: ExecSpec,
  timeoutMs: number = EXEC_TIMEOUT_MS,
): Promise<ExecCredential> {
  const { code, stdout, stderr } = await run(spec, timeoutMs);
  if (code === null) {
    throw failed(spec, `did not end within ${timeoutMs / 1000} s and was killed`);
  }
  if (code !== 0) {
    const last = lastLine(stderr);
    throw failed(spec, `ended with status ${code}` + (last === "" ? "" : ` and said: ${last}`));
  }
  return credentialOf(spec, stdout);
}

async function run(
  spec: ExecSpec,
  timeoutMs: number,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(spec);
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), timeoutMs);
  stop.signal.addEventListener("abort", () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It ended by itself meanwhile.
    }
  });
  try {
    // The pipes may stay open longer than the plugin, in the hands of a child of its own: the time
    // limit holds for both.
    const [stdout, stderr, status] = await Promise.all([
      readText(child.stdout, stop.signal),
      readText(child.stderr, stop.signal),
      child.status,
    ]);
    return { code: stop.signal.aborted ? null : status.code, stdout, stderr };
  } finally {
    clearTimeout(timer);
  }
}

function spawn(spec: ExecSpec): Deno.ChildProcess {
  const env = { ...spec.parentEnv };
  for (const { name, value } of spec.env) env[name] = value;
  env["KUBERNETES_EXEC_INFO"] = JSON.stringify({
    kind: "ExecCredential",
    apiVersion: spec.apiVersion,
    spec: { interactive: false, ...(spec.cluster !== null && { cluster: spec.cluster }) },
  });
  try {
    return new Deno.Command(spec.command, {
      args: spec.args,
      env,
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw failed(spec, `cannot be started: ${messageOf(error)}`);
    const hint = spec.installHint === null ? "" : ` ${spec.installHint.trim()}`;
    throw new UsageError(
      `The credential plugin ${JSON.stringify(spec.command)} does not exist. Install it, or give ` +
        `its full path as command in the kubeconfig.${hint}`,
    );
  }
}

async function readText(stream: ReadableStream<Uint8Array>, signal: AbortSignal): Promise<string> {
  const reader = stream.getReader();
  const cancel = () => void reader.cancel();
  signal.addEventListener("abort", cancel);
  try {
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      bytes += value.length;
      // What is beyond the bound is read and thrown away, so that the plugin can end.
      if (bytes <= EXEC_OUTPUT_MAX) text += decoder.decode(value, { stream: true });
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    reader.releaseLock();
  }
}

function credentialOf(spec: ExecSpec, stdout: string): ExecCredential {
  let printed: unknown;
  try {
    printed = JSON.parse(stdout);
  } catch {
    // The parser's own message quotes the text, and the text is a credential.
    throw failed(spec, "printed no JSON");
  }
  const { kind, apiVersion, status } = fields(printed);
  if (kind !== "ExecCredential") throw failed(spec, "printed no ExecCredential");
  if (apiVersion !== spec.apiVersion) {
    const other = typeof apiVersion === "string" ? apiVersion.slice(0, 100) : "none";
    throw failed(spec, `speaks ${other}, but the kubeconfig asks for ${spec.apiVersion}`);
  }
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = fields(status);
  const credential = {
    token: textOrNull(token),
    cert: textOrNull(clientCertificateData),
    key: textOrNull(clientKeyData),
    expiresMs: expirationTimestamp === undefined || expirationTimestamp === null
      ? null
      : Date.parse(String(expirationTimestamp)),
  };
  if ((credential.cert === null) !== (credential.key === null)) {
    throw failed(spec, "gave a certificate without its key, or a key without its certificate");
  }
  if (credential.token === null && credential.cert === null) {
    throw failed(spec, "gave neither a token nor a certificate");
  }
  if (Number.isNaN(credential.expiresMs)) {
    throw failed(spec, "gave an expirationTimestamp that is no time");
  }
  return credential;
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

/** The last line of a plugin's complaint, without long words that may be tokens (paths stay). */
function lastLine(stderr: string): string {
  const line = stderr.trim().split("\n").at(-1)!.trim();
  return line.replaceAll(/(?<![\w+/.=-])[\w+=][\w+/.=-]{39,}/g, "...").slice(0, 300);
}

function failed(spec: ExecSpec, what: string): ClusterError {
  return new ClusterError(`The credential plugin ${JSON.stringify(spec.command)} ${what}.`);
}
