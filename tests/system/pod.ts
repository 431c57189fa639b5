/** The pod of a manifest, run on this machine as the kubelet would, as far as image.ts can. */

import { assertEquals } from "@std/assert";
import type { ApiServerAccess } from "../real/api_server.ts";
import { EventWriter, type KubeEvent } from "../real/event_writer.ts";
import { freePort } from "../real/process.ts";
import { Container, imageConfig, type ImageParts } from "./image.ts";

/** What a probe asks. */
export interface Probe {
  httpGet: { path: string; port: string };
}

/** As far as it is looked at here. */
export interface ContainerSpec {
  env: { name: string; value: string }[];
  ports: { name: string; containerPort: number }[];
  volumeMounts: { name: string; mountPath: string }[];
  securityContext: Record<string, unknown>;
  readinessProbe: Probe;
  livenessProbe: Probe;
}

/** As far as it is looked at here. */
export interface PodSpec {
  serviceAccountName: string;
  securityContext: { runAsUser: number; runAsGroup: number };
  containers: [ContainerSpec];
  [field: string]: unknown;
}

const TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount";
const ADDRESS = "KUBE_EVENT_PIPE_METRICS_ADDRESS";

/** How long SIGTERM may take, ms; the manifests give 15 s. */
const STOP_MS = 15_000;

/** A token of a pod's ServiceAccount, as the kubelet asks for it. */
export async function tokenOf(
  writer: EventWriter,
  namespace: string,
  spec: PodSpec,
): Promise<string> {
  const account = `/api/v1/namespaces/${namespace}/serviceaccounts/${spec.serviceAccountName}`;
  const body = { spec: { expirationSeconds: 3600 } };
  type Answer = { status: { token: string } };
  const { status } = await writer.request<Answer>("POST", `${account}/token`, body);
  return status.token;
}

/** What the server answers to some requests with a token. */
export async function statusesOf(
  server: ApiServerAccess,
  token: string,
  requests: readonly (readonly string[])[],
): Promise<number[]> {
  using client = new EventWriter({ url: server.url, ca: server.ca, adminToken: token });
  return await Promise.all(requests.map(async ([method = "", path = ""]) => {
    const response = await client.fetch(method, path);
    await response.body?.cancel();
    return response.status;
  }));
}

/** See the head of this file. */
export class Pod {
  /** The volume. */
  readonly data: string;
  readonly container: Container;
  readonly #spec: ContainerSpec;
  /** Containers of other tests share our network, so that the manifest's port may be taken. */
  readonly #port = freePort();

  /** @param folder for its root, its volume and its token */
  constructor(
    folder: string,
    parts: ImageParts,
    server: ApiServerAccess,
    { spec, token }: { spec: PodSpec; token: string },
  ) {
    const { uid, gid } = imageConfig();
    const { runAsUser, runAsGroup } = spec.securityContext;
    assertEquals([runAsUser, runAsGroup], [uid, gid], "the image's folders belong to that user");
    this.data = `${folder}/data`;
    const tokens = `${folder}/tokens`;
    for (const path of [this.data, tokens]) Deno.mkdirSync(path);
    Deno.chownSync(this.data, uid, gid);
    Deno.writeTextFileSync(`${tokens}/token`, token);
    Deno.writeTextFileSync(`${tokens}/ca.crt`, server.ca);
    [this.#spec] = spec.containers;
    const [mount] = this.#spec.volumeMounts;
    const env = Object.fromEntries(this.#spec.env.map(({ name, value }) => [name, value]));
    const { hostname, port } = new URL(server.url);
    this.container = Container.start(folder, parts, {
      mounts: { [mount!.mountPath]: this.data, [TOKENS]: tokens },
      env: {
        ...env,
        [ADDRESS]: this.#addressOf(env[ADDRESS] ?? ""),
        KUBERNETES_SERVICE_HOST: hostname,
        KUBERNETES_SERVICE_PORT: port,
      },
    });
  }

  /** Whether an event's line is there. */
  has({ metadata }: KubeEvent): boolean {
    return this.container.stdout.includes(metadata.uid);
  }

  /** Waits for an event's line. */
  writes(event: KubeEvent): Promise<void> {
    return this.container.until("its line is there", () => this.has(event));
  }

  /** Waits until the kubelet would be content. */
  async passes(...probes: ("readinessProbe" | "livenessProbe")[]): Promise<void> {
    for (const probe of probes) {
      const { path, port } = this.#spec[probe].httpGet;
      assertEquals(port, this.#spec.ports[0]!.name);
      const url = `http://127.0.0.1:${this.#port}${path}`;
      let said = "nothing";
      const ask = async () => {
        try {
          const response = await fetch(url);
          said = `${response.status} ${await response.text()}`;
          return response.ok;
        } catch {
          return false; // Not listening yet.
        }
      };
      await this.container.until(`${probe} passes`, ask).catch((error) => {
        throw new Error(`${path} said ${said}`, { cause: error });
      });
    }
  }

  /** Stops it as the kubelet does, in time and with 0. */
  async stop(): Promise<void> {
    this.container.signal("SIGTERM");
    assertEquals(await this.container.end(STOP_MS), 0, this.container.log);
  }

  /** Kills it where it still runs. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.container[Symbol.asyncDispose]();
  }

  /** The manifest's address, with another port. */
  #addressOf(address: string): string {
    const port = `:${this.#spec.ports[0]!.containerPort}`;
    assertEquals(address.slice(-port.length), port, "the probes ask where it listens");
    return `${address.slice(0, -port.length)}:${this.#port}`;
  }
}
