/**
 * From the real API server's acknowledgement of a write to the visible line, against curl's own
 * watch of the same events.
 */

import { type ApiServer, realApiServer } from "../tests/real/api_server.ts";
import { API_SERVER_HOW } from "../tests/real/assets.ts";
import { EventWriter } from "../tests/real/event_writer.ts";
import { programCommand } from "../tests/support/binary.ts";
import { Child, clockMs, sizeOf, sleep } from "./process.ts";
import { median, quantile, type Row } from "./report.ts";
import { hasCurl, type Rig } from "./rig.ts";

/** Between two events, ms; and how long one may take. */
const PAUSE_MS = 20;
const LATE_MS = 5000;
/** Between two looks, ms; the kernel adds its 50 us. */
const LOOK_MS = 0.05;

/** Nobody changes it: to wait for it is to sleep. */
const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Latencies of the program and of curl, in turns; medians of what each round's events say. */
export async function latency(rig: Rig, rounds: number, events: number): Promise<Row[]> {
  const folder = rig.newFolder();
  const server = await realApiServer(`${folder}/cluster`);
  if (server === null) return [{ what: "latency", figure: `SKIPPED: ${API_SERVER_HOW}` }];
  try {
    using writer = new EventWriter(server);
    await writer.createNamespace("bench");
    await measure(writer, events / 5, await startCurl(server, folder)); // Warms the server up.
    const curl: number[][] = [];
    const ours: number[][] = [];
    for (let round = 0; round < rounds; round++) {
      curl.push(await measure(writer, events, await startCurl(server, rig.newFolder())));
      ours.push(await measure(writer, events, await startProgram(server, rig.newFolder())));
    }
    const row = (name: string, part: number, max?: number): Row => {
      const [our, theirs] = [ours, curl].map((of) => median(of.map((one) => quantile(one, part))));
      return {
        what: `write acknowledged to line visible, ${name}`,
        figure: `${our!.toFixed(2)} ms`,
        reference: `curl's watch ${theirs!.toFixed(2)} ms`,
        ratio: our! / theirs!,
        ...(max !== undefined && { target: `<= ${max} ms`, isMet: our! <= max }),
      };
    };
    return [row("p50", 0.5, 0.6), row("p99", 0.99, 2), row("max", 1)];
  } finally {
    await server.stop();
  }
}

/** A process that writes lines to a file while events come. */
interface Watching {
  child: Child;
  file: string;
}

async function startCurl(server: ApiServer, folder: string): Promise<Watching> {
  if (!hasCurl()) throw new Error("The reference of the latency is curl's watch: install curl");
  const file = `${folder}/curl-${crypto.randomUUID()}`;
  const child = new Child("curl", [
    ...["--silent", "--no-buffer", "--cacert", server.caFile, "--output", file],
    ...["--header", `Authorization: Bearer ${server.adminToken}`],
    `${server.url}/api/v1/events?watch=1`,
  ]);
  await sleep(1000);
  return { child, file };
}

async function startProgram(server: ApiServer, folder: string): Promise<Watching> {
  const { cmd, args } = programCommand();
  const file = `${folder}/events.jsonl`;
  Deno.mkdirSync(`${folder}/state`);
  const child = new Child(cmd, [
    ...args,
    ...["--kubeconfig", server.kubeconfig, "--destination", file],
    ...["--persistence-path", `${folder}/state`],
  ]);
  await child.says("page(s)");
  await sleep(1000);
  return { child, file };
}

async function measure(writer: EventWriter, events: number, at: Watching): Promise<number[]> {
  const latencies: number[] = [];
  for (let event = 0; event < events; event++) {
    const before = sizeOf(at.file);
    const response = await writer.fetch("POST", "/api/v1/namespaces/bench/events", {
      metadata: { generateName: "pod-1.", namespace: "bench" },
      involvedObject: { kind: "Pod", namespace: "bench", name: "pod-1" },
      reason: "Started",
      message: `Started container ${event}`,
      source: { component: "kubelet", host: "node-1" },
      count: 1,
      type: "Normal",
    });
    const acknowledged = clockMs();
    // Who looks without a pause takes one of two cores, and with it 3 ms at a time from what is
    // measured: curl's p99 was 4 ms then, and is 0.7.
    while (sizeOf(at.file) === before) {
      Atomics.wait(nobody, 0, 0, LOOK_MS);
      if (clockMs() - acknowledged > LATE_MS) throw new Error(`No line came:\n${at.child.log}`);
    }
    latencies.push(clockMs() - acknowledged);
    await response.body?.cancel();
    await sleep(PAUSE_MS);
  }
  await at.child.stop();
  return latencies;
}
