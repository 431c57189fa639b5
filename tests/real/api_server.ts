/**
 * A real kube-apiserver with its etcd, on loopback, with certificates and users of its own.
 *
 * Tests share one, which tests/run.ts starts ({@linkcode sharedApiServer}); a test that stops or
 * restarts parts of it starts its own ({@linkcode realApiServer}). By hand:
 * `deno run -A tests/real/api_server.ts DIR [kube-apiserver flag]...` until Ctrl-C.
 */

import { Pki } from "../support/pki.ts";
import { API_SERVER_HOW, type Assets, findAssets } from "./assets.ts";
import { EventWriter } from "./event_writer.ts";
import { freePort, Guard, LoggedProcess } from "./process.ts";

/** How to reach a server. */
export interface ApiServerAccess {
  /** The folder of all its files. */
  dir: string;
  /** Base URL without a trailing slash. */
  url: string;
  /** The CA's certificate, PEM, and the file it is in. */
  ca: string;
  caFile: string;
  /** Contexts: "test" (a client certificate in system:masters), "plain" (a token without rights). */
  kubeconfig: string;
  /** Bearer token of a user in system:masters. */
  adminToken: string;
  /** Bearer token of the user "plain", who has no rights until RBAC gives some. */
  plainToken: string;
  /** Base URL of etcd, without TLS. */
  etcdUrl: string;
  pids: { etcd: number; apiServer: number };
  /** Where the binaries are from, for people. */
  from: string;
}

/** How to start a server. */
export interface ApiServerOptions {
  /** More flags for kube-apiserver, such as `--event-ttl=10s`. The last of a name wins. */
  flags?: string[];
  /** More flags for etcd. */
  etcdFlags?: string[];
  /** Ports; any free one where none is given. */
  ports?: { api?: number; etcd?: number; peer?: number };
  /** The binaries; found where they are not given. */
  assets?: Assets;
}

/** Both parts must answer within this, ms. A cold disk and a busy machine need some of it. */
const READY_MS = 90_000;
/** How long a part gets to stop by itself, ms. */
const STOP_MS = 10_000;

/** A running server. Stop it, whatever happens. */
export class ApiServer implements ApiServerAccess {
  readonly url: string;
  readonly etcdUrl: string;
  readonly ca: string;
  readonly caFile: string;
  readonly kubeconfig: string;
  readonly adminToken = "admin-token";
  readonly plainToken = "plain-token";
  readonly from: string;
  readonly #etcd: LoggedProcess;
  readonly #apiServer: LoggedProcess;
  readonly #guard = new Guard();
  readonly #writer: EventWriter;

  private constructor(
    readonly dir: string,
    assets: Assets,
    ports: { api: number; etcd: number; peer: number },
    options: ApiServerOptions,
  ) {
    this.from = assets.from;
    this.url = `https://127.0.0.1:${ports.api}`;
    this.etcdUrl = `http://127.0.0.1:${ports.etcd}`;
    this.kubeconfig = `${dir}/kubeconfig`;
    this.caFile = `${dir}/pki/ca.crt`;
    this.ca = writePki(`${dir}/pki`);
    writeKubeconfig(this);
    this.#writer = new EventWriter(this);
    const etcdFlags = [...etcdFlagsFor(dir, ports), ...options.etcdFlags ?? []];
    const apiFlags = [...apiFlagsFor(dir, ports), ...options.flags ?? []];
    this.#etcd = new LoggedProcess(assets.etcd, etcdFlags, `${dir}/etcd.log`);
    this.#apiServer = new LoggedProcess(assets.apiServer, apiFlags, `${dir}/kube-apiserver.log`);
  }

  /**
   * Starts etcd and kube-apiserver with their files in `dir`, and waits until they are ready.
   *
   * @throws Error with the end of the log of what failed
   */
  static async start(
    dir: string,
    options: ApiServerOptions & { assets: Assets },
  ): Promise<ApiServer> {
    Deno.mkdirSync(`${dir}/pki`, { recursive: true });
    const ports = {
      api: options.ports?.api ?? freePort(),
      etcd: options.ports?.etcd ?? freePort(),
      peer: options.ports?.peer ?? freePort(),
    };
    const server = new ApiServer(Deno.realPathSync(dir), options.assets, ports, options);
    try {
      await server.startEtcd();
      await server.startApiServer();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** The process ids of the parts; 0 where one is stopped. */
  get pids(): { etcd: number; apiServer: number } {
    return { etcd: this.#etcd.pid, apiServer: this.#apiServer.pid };
  }

  /** Starts etcd again on its data and waits until it answers. */
  async startEtcd(): Promise<void> {
    this.#etcd.start();
    await this.#watchOver();
    await this.#etcd.until(READY_MS, () => answers(fetch(`${this.etcdUrl}/health`)));
  }

  /** Starts kube-apiserver again, on the same port, and waits until it is ready. */
  async startApiServer(): Promise<void> {
    this.#apiServer.start();
    await this.#watchOver();
    await this.#apiServer.until(READY_MS, () => answers(this.#writer.fetch("GET", "/readyz")));
  }

  /** Stops etcd; its data stays. SIGKILL is a crash. */
  async stopEtcd(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    await this.#etcd.stop(signal, STOP_MS);
  }

  /**
   * Stops kube-apiserver. With SIGTERM it ends its watches first; with SIGKILL they break off.
   * SIGSTOP and SIGCONT are for {@linkcode Deno.kill} and the pid.
   */
  async stopApiServer(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    await this.#apiServer.stop(signal, STOP_MS);
  }

  /**
   * From its next start on, kube-apiserver has a certificate of another CA. The file of the CA that
   * clients read stays as it is.
   */
  changeCertificate(pki: Pki): void {
    writeServerCertificate(pki, `${this.dir}/pki`);
    this.#writer.trust(pki.ca);
  }

  /** Stops both parts. The files stay. */
  async stop(): Promise<void> {
    // Nobody waits for the watches to end in good order, nor for etcd to close its files.
    await this.stopApiServer("SIGKILL");
    await this.stopEtcd("SIGKILL");
    await this.#guard.close();
    this.#writer.close();
  }

  /** One request with an admin's rights: see {@linkcode EventWriter.request}. */
  request<T>(method: string, path: string, body?: unknown): Promise<T> {
    return this.#writer.request(method, path, body);
  }

  async #watchOver(): Promise<void> {
    await this.#guard.watch(Object.values(this.pids).filter((pid) => pid !== 0));
  }
}

async function answers(request: Promise<Response>): Promise<boolean> {
  try {
    const response = await request;
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // Not listening yet.
  }
}

/** Starts a server with its files in `dir`; null where there are no binaries of one. */
export async function realApiServer(
  dir: string,
  options: ApiServerOptions = {},
): Promise<ApiServer | null> {
  const assets = options.assets ?? await findAssets();
  return assets === null ? null : await ApiServer.start(dir, { ...options, assets });
}

/** The variable that names the folder of the server which tests share. */
export const SHARED_SERVER = "KEP_TEST_API_SERVER";

/** The server that tests share, or null where tests/run.ts did not start one. */
export function sharedApiServer(): ApiServerAccess | null {
  const dir = Deno.env.get(SHARED_SERVER);
  return dir ? JSON.parse(Deno.readTextFileSync(`${dir}/access.json`)) : null;
}

/** Writes what {@linkcode sharedApiServer} reads, into the server's folder. */
export function publishAccess(server: ApiServer): void {
  const { dir, url, ca, caFile, kubeconfig, adminToken, plainToken, etcdUrl, pids, from } = server;
  const access: ApiServerAccess = {
    ...{ dir, url, ca, caFile, kubeconfig, adminToken, plainToken, etcdUrl, pids, from },
  };
  Deno.writeTextFileSync(`${dir}/access.json`, JSON.stringify(access, null, 2));
}

function writeServerCertificate(pki: Pki, folder: string): void {
  const { cert, key } = pki.server({ name: "kube-apiserver" });
  Deno.writeTextFileSync(`${folder}/server.crt`, cert, { mode: 0o600 });
  Deno.writeTextFileSync(`${folder}/server.key`, key, { mode: 0o600 });
}

/** Certificates, service account key and tokens; returns the CA's certificate. */
function writePki(folder: string): string {
  const pki = new Pki("test-ca");
  const write = (name: string, content: string) =>
    Deno.writeTextFileSync(`${folder}/${name}`, content, { mode: 0o600 });
  const admin = pki.issue({ name: "admin", group: "system:masters" });
  write("ca.crt", pki.ca);
  writeServerCertificate(pki, folder);
  write("admin.crt", admin.cert);
  write("admin.key", admin.key);
  const serviceAccounts = pki.issue({ name: "service-accounts" });
  write("sa.crt", serviceAccounts.cert);
  write("sa.key", serviceAccounts.key);
  write(
    "tokens.csv",
    'admin-token,admin,admin-uid,"system:masters"\nplain-token,plain,plain-uid\n',
  );
  return pki.ca;
}

/** JSON is YAML too. */
function writeKubeconfig({ dir, url, caFile, kubeconfig, plainToken }: ApiServer): void {
  const client = `${dir}/pki/admin`;
  const admin = { "client-certificate": `${client}.crt`, "client-key": `${client}.key` };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    clusters: [{ name: "test", cluster: { server: url, "certificate-authority": caFile } }],
    users: [{ name: "admin", user: admin }, { name: "plain", user: { token: plainToken } }],
    contexts: [
      { name: "test", context: { cluster: "test", user: "admin" } },
      { name: "plain", context: { cluster: "test", user: "plain" } },
    ],
  };
  Deno.writeTextFileSync(kubeconfig, JSON.stringify(config, null, 2));
}

function etcdFlagsFor(dir: string, ports: { etcd: number; peer: number }): string[] {
  const client = `http://127.0.0.1:${ports.etcd}`;
  return [
    `--data-dir=${dir}/etcd`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=http://127.0.0.1:${ports.peer}`,
    "--unsafe-no-fsync", // Nobody cuts the power of a test.
    "--log-level=error",
  ];
}

function apiFlagsFor(dir: string, ports: { api: number; etcd: number }): string[] {
  const pki = `${dir}/pki`;
  return [
    `--etcd-servers=http://127.0.0.1:${ports.etcd}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${ports.api}`,
    `--tls-cert-file=${pki}/server.crt`,
    `--tls-private-key-file=${pki}/server.key`,
    `--client-ca-file=${pki}/ca.crt`,
    `--token-auth-file=${pki}/tokens.csv`,
    "--authorization-mode=RBAC",
    "--service-account-issuer=https://test.local",
    `--service-account-key-file=${pki}/sa.crt`,
    `--service-account-signing-key-file=${pki}/sa.key`,
    "--service-cluster-ip-range=10.0.0.0/24",
    "--endpoint-reconciler-type=none",
    "--disable-admission-plugins=ServiceAccount",
    "--enable-priority-and-fairness=false",
    "--profiling=false",
    "--v=0",
  ];
}

if (import.meta.main) {
  const [dir, ...flags] = Deno.args;
  if (dir === undefined) {
    console.error("Usage: deno run -A tests/real/api_server.ts DIR [kube-apiserver flag]...");
    Deno.exit(64);
  }
  const server = await realApiServer(dir, { flags });
  if (server === null) {
    console.error(`There is no API server here. To have one, ${API_SERVER_HOW}`);
    Deno.exit(69);
  }
  publishAccess(server);
  console.log(`${server.url} is ready. KUBECONFIG=${server.kubeconfig}`);
  const stopped = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => stopped.resolve());
  }
  await stopped.promise;
  await server.stop();
  Deno.exit(0);
}
