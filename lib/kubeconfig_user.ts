/**
 * A kubeconfig's user: what of it can be obeyed, and a sentence for what cannot.
 *
 * Order where a user has several: a tokenFile goes before a token, either before a plugin, as in
 * client-go. A client certificate goes along with any.
 */

import type { User as KubeUser } from "@kubernetes/client-node/dist/config_types.js";
import { dirname, isAbsolute, join } from "node:path";
import type { CredentialSpec, TextSource } from "./credentials.ts";
import { UsageError } from "./errors.ts";
import { EXEC_API_VERSIONS, type ExecSpec } from "./exec_plugin.ts";
import { decodedOf, type Entry, type Fields, fieldsOf, listOf, textOf } from "./kubeconfig_file.ts";
import { log } from "./log.ts";

/** The parts of a {@linkcode CredentialSpec} that a user decides. */
export type UserSpec = Pick<CredentialSpec, "user" | "cert" | "key" | "token" | "basic" | "exec">;

/** Nobody: for a context without a user. */
export const ANONYMOUS: UserSpec = {
  user: "nobody",
  cert: null,
  key: null,
  token: null,
  basic: null,
  exec: null,
};

/** What replaced the authentication that client-go has built in no more. */
const REPLACEMENTS: Readonly<Record<string, string>> = {
  gcp: " Use the plugin gke-gcloud-auth-plugin (gcloud container clusters get-credentials).",
  azure: " Use the plugin kubelogin (kubelogin convert-kubeconfig).",
  oidc: " Use the plugin kubectl oidc-login (int128/kubelogin).",
};

/**
 * Reads a user entry.
 *
 * @param clusterInfo made when a plugin asks for it (provideClusterInfo)
 * @throws UsageError for what cannot be obeyed: a user is never silently another one
 */
export function userSpec(
  entry: Entry<KubeUser>,
  clusterInfo: () => Record<string, unknown>,
  parentEnv: Record<string, string>,
): UserSpec {
  const { value, raw, file } = entry;
  const user = `user ${JSON.stringify(value.name)} in kubeconfig ${JSON.stringify(file)}`;
  refuseUnsupported(raw, user);
  const cert = sourceOf(raw, "client-certificate", value.certFile, user);
  const key = sourceOf(raw, "client-key", value.keyFile, user);
  if ((cert === null) !== (key === null)) {
    const [has, lacks] = cert === null ? ["key", "certificate"] : ["certificate", "key"];
    throw new UsageError(
      `The ${user} has a client-${has} but no client-${lacks}. Give both or neither.`,
    );
  }
  const token = tokenOf(raw, file, user);
  const basic = basicOf(raw, user);
  if (token !== null && basic !== null) {
    throw new UsageError(`The ${user} has both a token and a username. Give one of them.`);
  }
  let exec = execOf(raw, entry.file, user, clusterInfo, parentEnv);
  if (exec !== null && (token !== null || basic !== null)) {
    log.warning(`The ${user} has a credential plugin and a token; the plugin is not used.`);
    exec = null;
  }
  return { user, cert, key, token, basic, exec };
}

function refuseUnsupported(raw: Fields, user: string): void {
  const provider = raw["auth-provider"];
  if (provider !== undefined && provider !== null) {
    const name = String(fieldsOf(provider)["name"]);
    throw new UsageError(
      `The ${user} uses the auth-provider ${JSON.stringify(name)}, which is not supported.` +
        (REPLACEMENTS[name] ?? " Use a credential plugin (exec)."),
    );
  }
  for (const field of ["as", "as-uid", "as-groups", "as-user-extra"]) {
    if (raw[field] !== undefined && raw[field] !== null && raw[field] !== "") {
      throw new UsageError(
        `The ${user} impersonates another (${field}), which is not supported. ` +
          `Use a user of its own with the right to list and watch events.`,
      );
    }
  }
}

/** `<field>-data` goes before `<field>`, as in client-go. */
export function sourceOf(
  raw: Fields,
  field: string,
  file: string | undefined,
  owner: string,
): TextSource | null {
  const text = decodedOf(raw, `${field}-data`, owner);
  if (text !== null) return { text };
  return typeof file === "string" && file !== "" ? { file } : null;
}

function tokenOf(raw: Fields, file: string, user: string): TextSource | null {
  const tokenFile = textOf(raw, "tokenFile", user);
  if (tokenFile !== null) {
    return { file: isAbsolute(tokenFile) ? tokenFile : join(dirname(file), tokenFile) };
  }
  const text = textOf(raw, "token", user);
  return text === null ? null : { text };
}

function basicOf(raw: Fields, user: string): { username: string; password: string } | null {
  const username = textOf(raw, "username", user);
  return username === null ? null : { username, password: textOf(raw, "password", user) ?? "" };
}

function execOf(
  raw: Fields,
  file: string,
  user: string,
  clusterInfo: () => Record<string, unknown>,
  parentEnv: Record<string, string>,
): ExecSpec | null {
  if (raw["exec"] === undefined || raw["exec"] === null) return null;
  const exec = fieldsOf(raw["exec"]);
  const plugin = `credential plugin (exec) of ${user}`;
  const command = textOf(exec, "command", plugin);
  if (command === null) throw new UsageError(`The ${plugin} names no command.`);
  const apiVersion = textOf(exec, "apiVersion", plugin) ?? "";
  if (!EXEC_API_VERSIONS.includes(apiVersion)) {
    throw new UsageError(
      `The ${plugin} has the apiVersion ${JSON.stringify(apiVersion)}; ` +
        `supported are ${EXEC_API_VERSIONS.join(" and ")}.`,
    );
  }
  if (exec["interactiveMode"] === "Always") {
    throw new UsageError(
      `The ${plugin} wants a terminal (interactiveMode: Always), and here is none.`,
    );
  }
  const args = exec["args"];
  return {
    // A path counts from the kubeconfig's folder, a bare name is looked up in PATH.
    command: command.includes("/") && !isAbsolute(command) ? join(dirname(file), command) : command,
    args: Array.isArray(args) ? args.map(String) : [],
    env: listOf(exec["env"]).map(({ name, value }) => ({
      name: String(name),
      value: String(value),
    })),
    apiVersion,
    installHint: textOf(exec, "installHint", plugin),
    cluster: exec["provideClusterInfo"] === true ? clusterInfo() : null,
    parentEnv,
  };
}
