/**
 * Records what other programs write of the same events on a real kube-apiserver: see README.md
 * beside this. By hand: `deno run -A tests/migration/record.ts DIR NAME=COMMAND...`
 *
 * Each COMMAND is run by sh with KUBECONFIG set, and OUT, the file that it has to write. Some events
 * are there before the programs start; others are made, counted up, annotated and deleted under
 * them. DIR gets the files, and `server.jsonl`: what a LIST showed at the end.
 */

import { until } from "../support/temp.ts";
import { ApiServer } from "../real/api_server.ts";
import { API_SERVER_HOW, findAssets } from "../real/assets.ts";
import { EventWriter } from "../real/event_writer.ts";

/** Texts that encoders spell in different ways. */
const MESSAGES = [
  'Container image "registry.example/app:1" already present on machine',
  "Readiness probe failed: dial tcp <nil> && exit > 0",
  "größer, 部署, \u{1F680}, \u2028 and \u007f",
  "tab\there, newline\nthere, backslash \\ and / slash",
];

async function main([dir, ...programs]: string[]): Promise<void> {
  const assets = await findAssets();
  if (dir === undefined || assets === null) throw new Error(`DIR is missing, or ${API_SERVER_HOW}`);
  const serverDir = await Deno.makeTempDir();
  const server = await ApiServer.start(serverDir, { assets });
  const children: Deno.ChildProcess[] = [];
  try {
    using writer = new EventWriter(server);
    for (const namespace of ["shop", "store"]) await writer.createNamespace(namespace);
    const web = { namespace: "shop", name: "web", labels: { "app.kubernetes.io/name": "web" } };
    await writer.request("POST", "/api/v1/namespaces/shop/configmaps", { metadata: web });
    await writeEvents(writer, "early");
    const files = programs.map((program) => {
      const [name = "", ...command] = program.split("=");
      const file = `${dir}/${name}`;
      const env = { KUBECONFIG: server.kubeconfig, OUT: file };
      const child = new Deno.Command("sh", { args: ["-c", `exec ${command.join("=")}`], env })
        .spawn();
      children.push(child);
      return file;
    });
    for (const file of files) await until(`lines in ${file}`, () => linesIn(file) > 10, 60_000);
    await writeEvents(writer, "later");
    await changeEvents(writer);
    for (const file of files) {
      await until("the last event", () => Deno.readTextFileSync(file).includes("the-last"), 60_000);
    }
    const list = await (await writer.fetch("GET", "/api/v1/events")).text();
    await Deno.writeTextFile(`${dir}/server.jsonl`, list);
  } finally {
    for (const child of children) {
      child.kill("SIGTERM");
      await child.status;
    }
    await server.stop();
    await Deno.remove(serverDir, { recursive: true });
  }
}

async function writeEvents(writer: EventWriter, prefix: string): Promise<void> {
  for (let n = 0; n < 8; n++) {
    const involvedObject = { kind: "ConfigMap", apiVersion: "v1", namespace: "shop", name: "web" };
    const message = MESSAGES[n % MESSAGES.length];
    const component = { reportingComponent: "kubelet", reportingInstance: "node-1" };
    // Equal names in two namespaces, which the Python tool takes for one event.
    await writer.createEvent("shop", { name: `${prefix}-${n}`, message, involvedObject });
    if (n < 3) await writer.createEvent("store", { name: `${prefix}-${n}`, message });
    if (n < 4) {
      await writer.createEvent("store", { name: `${prefix}-store-${n}`, ...component, message });
      await writer.createSeriesEvent("store", { name: `${prefix}-series-${n}` });
    }
  }
}

async function changeEvents(writer: EventWriter): Promise<void> {
  for (const count of [2, 3]) {
    for (const prefix of ["early", "later"]) {
      await writer.patchEvent("shop", `${prefix}-1`, { count, message: `again, ${count}` });
      await writer.patchSeries("store", `${prefix}-series-1`, count);
    }
  }
  await writer.patchEvent("shop", "early-2", { metadata: { annotations: { seen: "yes" } } });
  await writer.deleteEvent("shop", "early-3");
  await writer.createEvent("store", { name: "the-last" });
}

function linesIn(path: string): number {
  try {
    return Deno.readTextFileSync(path).split("\n").length - 1;
  } catch {
    return 0;
  }
}

await main(Deno.args);
