/**
 * deploy/kubernetes and deploy/helm on the real API server, which has no nodes: the manifests are
 * applied as `kubectl apply --server-side` does it, and their pod is run as image.ts runs containers,
 * with the token of the ServiceAccount that they made.
 */

import { loadYaml } from "@kubernetes/client-node";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type ApiServerAccess, sharedApiServer } from "../real/api_server.ts";
import { API_SERVER_HOW } from "../real/assets.ts";
import { EventWriter, RequestRefused } from "../real/event_writer.ts";
import { recipe } from "../support/recipes.ts";
import { needing } from "../support/skip.ts";
import { withTempFolder } from "../support/temp.ts";
import { imageParts } from "./image.ts";
import { type ContainerSpec, Pod, type PodSpec, statusesOf, tokenOf } from "./pod.ts";
import { findTool } from "./tools.ts";

const KUBERNETES = new URL("../../deploy/kubernetes/", import.meta.url);
const CHART = new URL("../../deploy/helm/kube-event-pipe", import.meta.url).pathname;
const NAME = "kube-event-pipe";

/** A rule that the program needs, and no other. */
const RULE = { apiGroups: [""], resources: ["events"], verbs: ["list", "watch"] };

/** An object of a manifest. */
interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  [field: string]: unknown;
}

/** A YAML document: as it is written, for the server, and read, which leaves unknown fields out. */
interface Manifest {
  text: string;
  object: KubeObject;
}

function manifestsIn(yaml: string): Manifest[] {
  const texts = yaml.split(/^---.*$/m).filter((text) => /^\w/m.test(text));
  return texts.map((text) => ({ text, object: JSON.parse(JSON.stringify(loadYaml(text))) }));
}

/** What `kubectl apply -k` would apply: the kustomization names files, no more. */
function kustomized(): Manifest[] {
  const read = (name: string) => Deno.readTextFileSync(new URL(name, KUBERNETES));
  const { resources } = loadYaml<{ resources: string[] }>(read("kustomization.yaml"));
  return resources.flatMap((name) => manifestsIn(read(name)));
}

/** Where an object is at the API server. */
function pathOf({ apiVersion, kind, metadata }: KubeObject): string {
  const group = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const scope = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`;
  return `${group}${scope}/${kind.toLowerCase()}s/${metadata.name}`;
}

/** Server-side apply; fails where the server refuses a field or warns of one. */
async function apply(server: ApiServerAccess, { text, object }: Manifest): Promise<void> {
  using client = Deno.createHttpClient({ caCerts: [server.ca] });
  const query = "fieldManager=test&force=true&fieldValidation=Strict";
  const response = await fetch(`${server.url}${pathOf(object)}?${query}`, {
    method: "PATCH",
    headers: {
      authorization: `Bearer ${server.adminToken}`,
      "content-type": "application/apply-patch+yaml",
    },
    body: text,
    client,
  });
  const said = await response.text();
  assert(response.ok, `${pathOf(object)}: ${response.status} ${said}`);
  assertEquals(response.headers.get("warning"), null, pathOf(object));
}

function podOf(manifests: Manifest[]): { metadata: unknown; spec: PodSpec } {
  const set = manifests.map(({ object }) => object).find(({ kind }) => kind === "StatefulSet");
  return (set?.spec as { template: { metadata: unknown; spec: PodSpec } }).template;
}

/** All that the roles among them allow. */
function rulesOf(manifests: Manifest[]): unknown[] {
  return manifests.flatMap(({ object }) => /Role$/.test(object.kind) ? object.rules : []);
}

function runHelm(helm: string, ...args: string[]): { code: number; text: string; error: string } {
  const { code, stdout, stderr } = new Deno.Command(helm, { args }).outputSync();
  const [text = "", error = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, text, error };
}

/** What helm makes of the chart, as a release of that name. */
function helmed(helm: string, flags: string[] = [], release = NAME): Manifest[] {
  const named = ["template", release, CHART, `--namespace=${NAME}`, "--kube-version=1.29.0"];
  const { code, text, error } = runHelm(helm, ...named, ...flags);
  assertEquals(code, 0, error);
  return manifestsIn(text);
}

const server = sharedApiServer();
const parts = imageParts();
const helm = findTool("helm");
const HELM_HOW = "`go install helm.sh/helm/v3/cmd/helm@v3.22.0`";

Deno.test(needing(
  server === null || "how" in parts ? null : { server, parts },
  server === null ? API_SERVER_HOW : "how" in parts ? parts.how : "",
  "applied to the API server, the manifests' pod may exist, and writes events with the token of " +
    "its ServiceAccount, which may do nothing else",
  async ({ server, parts }) => {
    using writer = new EventWriter(server);
    const manifests = kustomized();
    for (const manifest of manifests) await apply(server, manifest);
    const { metadata, spec } = podOf(manifests);

    // Its namespace enforces "restricted": the server would refuse the pod otherwise.
    const pods = `/api/v1/namespaces/${NAME}/pods?dryRun=All`;
    const pod = (spec: PodSpec) => ({
      metadata: { ...(metadata as object), name: "pod" },
      spec: { ...spec, volumes: [{ name: "data", emptyDir: {} }] },
    });
    await writer.request("POST", pods, pod(spec));
    const [container] = spec.containers;
    const loose = {
      ...spec,
      containers: [{ ...container, securityContext: {} }] as [ContainerSpec],
    };
    await assertRejects(
      () => writer.request("POST", pods, pod(loose)),
      RequestRefused,
      "PodSecurity",
    );

    const token = await tokenOf(writer, NAME, spec);
    const event = `/api/v1/namespaces/${NAME}/events/x`;
    const statuses = await statusesOf(server, token, [
      ...[["GET", "/api/v1/events?limit=1"], ["GET", "/api/v1/pods"]],
      ...[["GET", event], ["DELETE", event]],
    ]);
    assertEquals(statuses, [200, 403, 403, 403]);

    await withTempFolder(async (folder) => {
      await writer.createNamespace("manifests-test");
      const event = await writer.createEvent("manifests-test");
      await using pod = new Pod(folder, parts, server, { spec, token });
      await pod.writes(event);
      await pod.passes("readinessProbe", "livenessProbe");
      await pod.stop();
      const state = Array.from(Deno.readDirSync(pod.data), ({ name }) => name);
      assert(state.includes("checkpoint"), "the state is on the volume");
    });
  },
));

Deno.test("the manifests ask for list and watch on events, and for nothing else", () => {
  assertEquals(rulesOf(kustomized()), [RULE]);
});

Deno.test(needing(helm, HELM_HOW, "helm has nothing to say against the chart", (helm) => {
  const { code, text } = runHelm(helm, "lint", "--strict", CHART);
  assertEquals(code, 0, text);
}));

Deno.test(
  needing(helm, HELM_HOW, "the chart makes the same objects as the kustomization", (helm) => {
    const ours = [
      ...["helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"],
      "imagePullPolicy",
    ];
    const plain = (manifests: Manifest[]) =>
      Object.fromEntries(manifests.map(({ object }) => {
        const text = JSON.stringify(object, (key, value) => ours.includes(key) ? undefined : value);
        return [`${object.kind} ${object.metadata.name}`, JSON.parse(text)];
      }));
    const { [`Namespace ${NAME}`]: _, ...others } = plain(kustomized());
    assertEquals(plain(helmed(helm)), others);
  }),
);

Deno.test(
  needing(helm, HELM_HOW, "the PodMonitor finds the pod; without metrics no probe", (helm) => {
    const monitored = helmed(helm, ["--set=metrics.podMonitor.enabled=true"]);
    const monitor = monitored.map(({ object }) => object).find(({ kind }) => kind === "PodMonitor");
    const { selector, podMetricsEndpoints } = monitor?.spec as {
      selector: { matchLabels: Record<string, string> };
      podMetricsEndpoints: { port: string }[];
    };
    const { metadata, spec } = podOf(monitored);
    assertEquals(metadata, { labels: selector.matchLabels });
    const { ports } = spec.containers[0];
    assertEquals(podMetricsEndpoints.map(({ port }) => port), ports.map(({ name }) => name));

    const flags = ["--set=metrics.podMonitor.enabled=true", "--set=metrics.enabled=false"];
    const [container] = podOf(helmed(helm, flags)).spec.containers;
    assertEquals(Object.keys(container).filter((key) => /Probe$|^ports$/.test(key)), []);
    assert(!container.env.some(({ name }) => name.includes("METRICS")));
  }),
);

Deno.test(needing(
  helm !== null && server !== null ? { helm, server } : null,
  helm === null ? HELM_HOW : API_SERVER_HOW,
  "the containers that docs/RECIPES.md puts beside it may exist where pods are restricted",
  async ({ helm, server }) => {
    using writer = new EventWriter(server);
    const name = "manifests-sidecars";
    const labels = { "pod-security.kubernetes.io/enforce": "restricted" };
    await writer.request("POST", "/api/v1/namespaces", { metadata: { name, labels } });
    await withTempFolder(async (folder) => {
      await Deno.writeTextFile(`${folder}/values.yaml`, recipe("values.yaml"));
      const { spec } = podOf(helmed(helm, [`--values=${folder}/values.yaml`]));
      assertEquals(spec.containers.length, 3);
      await writer.request("POST", `/api/v1/namespaces/${name}/pods?dryRun=All`, {
        metadata: { name: "pod" },
        spec: { ...spec, volumes: [{ name: "data", emptyDir: {} }] },
      });
    });
  },
));

Deno.test(needing(
  helm === null || server === null || "how" in parts ? null : { helm, server, parts },
  helm === null ? HELM_HOW : server === null ? API_SERVER_HOW : "how" in parts ? parts.how : "",
  "two releases share a cluster: one sees its namespaces and may see no other, the other the rest",
  async ({ helm, server, parts }) => {
    using writer = new EventWriter(server);
    const namespace = "manifests-shards";
    const [named, rest] = [["shard-shop", "shard-bank"], "shard-other"];
    for (const name of [namespace, ...named, rest]) await writer.createNamespace(name);
    const selector = named.map((name) => `metadata.namespace!=${name}`).join(",");
    const releaseOf = async (folder: string, values: unknown) => {
      await Deno.mkdir(folder);
      await Deno.writeTextFile(`${folder}/values.json`, JSON.stringify(values));
      const flags = [`--values=${folder}/values.json`, `--namespace=${namespace}`];
      const manifests = helmed(helm, flags, folder.slice(folder.lastIndexOf("/") + 1));
      for (const manifest of manifests) await apply(server, manifest);
      const { spec } = podOf(manifests);
      return { manifests, pod: { spec, token: await tokenOf(writer, namespace, spec) } };
    };
    await withTempFolder(async (folder) => {
      const shard = await releaseOf(`${folder}/shard`, { namespaces: named });
      const others = await releaseOf(`${folder}/others`, { fieldSelector: selector });
      assertEquals(rulesOf(shard.manifests), [RULE, RULE]);
      assertEquals(
        shard.manifests.filter(({ object }) => object.kind.startsWith("Cluster")),
        [],
      );
      const eventsIn = (name: string) => ["GET", `/api/v1/namespaces/${name}/events`] as const;
      const statuses = await statusesOf(server, shard.pod.token, [
        ...[...named, rest].map(eventsIn),
        ...[["GET", "/api/v1/events"], ["GET", `/api/v1/namespaces/${named[0]}/pods`]] as const,
      ]);
      assertEquals(statuses, [200, 200, 403, 403, 403]);

      await using first = new Pod(`${folder}/shard`, parts, server, shard.pod);
      await using second = new Pod(`${folder}/others`, parts, server, others.pod);
      const inRest = await writer.createEvent(rest);
      for (const name of named) {
        const event = await writer.createEvent(name);
        await first.writes(event);
        assert(!second.has(event));
      }
      await second.writes(inRest);
      // Behind all others' events: one too many would stand before it.
      await second.writes(await writer.createEvent(rest));
      assert(!first.has(inRest));
      assert(!named.some((name) => second.container.stdout.includes(`"namespace":"${name}"`)));
      await first.passes("readinessProbe");
      for (const pod of [first, second]) await pod.stop();
    });
  },
));

Deno.test(needing(
  helm !== null && server !== null ? { helm, server } : null,
  helm === null ? HELM_HOW : API_SERVER_HOW,
  "the API server takes what the chart makes of all its values; its schema refuses a misspelt one",
  async ({ helm, server }) => {
    using writer = new EventWriter(server);
    const namespace = "manifests-helm";
    await writer.createNamespace(namespace);
    await withTempFolder(async (folder) => {
      const values = `${folder}/values.json`;
      await Deno.writeTextFile(
        values,
        JSON.stringify({
          destination: "/data/events.jsonl",
          namespaces: ["shop", "bank"],
          fieldSelector: "type!=Normal",
          metrics: { host: "[::]", port: 9400, podMonitor: { labels: { e: "f" } } },
          livenessProbe: null,
          settings: { FILTER_CAPACITY: "2000000", LOG_LEVEL: "DEBUG" },
          kubeconfigSecret: "other-cluster",
          imagePullSecrets: [{ name: "pull" }],
          serviceAccount: { annotations: { a: "b" } },
          persistence: { storageClassName: "fast", accessMode: "ReadWriteOnce", size: "2Gi" },
          podAnnotations: { a: "b" },
          podLabels: { c: "d" },
          priorityClassName: "high",
          nodeSelector: { disk: "ssd" },
          tolerations: [{ operator: "Exists" }],
          affinity: { nodeAffinity: {} },
          extraContainers: [{ name: "shipper", image: "shipper:1" }],
        }),
      );
      const manifests = helmed(helm, [`--values=${values}`, `--namespace=${namespace}`]);
      for (const manifest of manifests) await apply(server, manifest);
      assertEquals(rulesOf(manifests), [], "another cluster's events need no rights in this one");
      const { spec } = podOf(manifests);
      const [container] = spec.containers;
      const given = container.env.map(({ value }) => value);
      for (const value of ["2000000", "shop,bank", "type!=Normal", "[::]:9400"]) {
        assert(given.includes(value), value);
      }
      assertEquals(container.livenessProbe, undefined);
      for (const wrong of ["replicas=2", "namespaces={Shop}", "settings.NAMESPACES=shop"]) {
        const { code, text, error } = runHelm(helm, "lint", CHART, `--set=${wrong}`);
        assert(code !== 0, wrong);
        assertStringIncludes(text + error, /(\w+)=/.exec(wrong)![1]!);
      }
    });
  },
));
