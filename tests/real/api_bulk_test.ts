/** Much at once: a namespace of 20,000 events that goes, and events as large as a server takes. */

import { assert, assertEquals, assertLess } from "@std/assert";
import { Program } from "../support/program.ts";
import { type ApiScene, IS_LONG, sharedTest } from "./api_scene.ts";

const EVENTS = 20_000;
/** Deleted by the API, at about a millisecond each; the others go at a stroke. */
const DELETED_BY_API = IS_LONG ? EVENTS : 1_000;
/** Of the resident memory, bytes, from before the events to after their deletion. */
const GROWTH_MAX = 64 * 1024 * 1024;

/** Events as the server stores them; those to be deleted by the API bear another reason. */
function manyEvents(namespace: string): { metadata: { name: string; namespace: string } }[] {
  return Array.from({ length: EVENTS }, (_, n) => ({
    kind: "Event",
    apiVersion: "v1",
    metadata: { name: `pod-${n}.1`, namespace, uid: crypto.randomUUID() },
    involvedObject: { kind: "Pod", namespace, name: `pod-${n}` },
    reason: n < DELETED_BY_API ? "Evicted" : "Killing",
    message: `Pod ${n} goes with its namespace`,
    source: { component: "kubelet", host: "node-1" },
    firstTimestamp: "2026-01-01T00:00:00Z",
    lastTimestamp: "2026-01-01T00:00:00Z",
    count: 1,
    type: "Normal",
  }));
}

/** A line of /proc/PID/status, bytes. */
function memory(program: Program, name: "VmRSS" | "VmHWM"): number {
  const status = Deno.readTextFileSync(`/proc/${program.pid}/status`);
  return 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)![1]);
}

sharedTest(
  `A namespace with ${EVENTS.toLocaleString("en-US")} events is deleted: no line for a DELETED, ` +
    "memory stays bounded, and it goes on (faults 27, 49)",
  async (scene) => {
    const { writer, namespace } = scene;
    const program = await scene.run();
    await scene.create(1);
    await scene.settled();
    const before = memory(program, "VmRSS");
    const events = manyEvents(namespace);
    await scene.etcd.putEvents(events);
    for (const event of await writer.listEvents(namespace)) scene.note(event);
    await scene.settled();

    const said = program.stderr.length;
    const selector = IS_LONG ? "" : "?fieldSelector=reason=Evicted";
    await writer.request("DELETE", `/api/v1/namespaces/${namespace}/events${selector}`);
    await scene.etcd.deleteEvents(namespace);
    await scene.isRight();
    assertEquals(program.stderr.slice(said), "");
    const [now, highest] = [memory(program, "VmRSS"), memory(program, "VmHWM")];
    const mega = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
    console.log(`memory: ${mega(before)}, then ${mega(now)}, at most ${mega(highest)}`);
    assertLess(highest - before, GROWTH_MAX);
  },
);

/** Sizes around what writers complain of; etcd takes 1.5 MiB. */
const LARGE = {
  plain: "m".repeat(300_000),
  // Six bytes each in JSON: more than three buffers of a batch.
  escaped: "\u0001<>&".repeat(75_000),
  wide: "\u{1F680}é".repeat(50_000),
  largest: "m".repeat(1_400_000),
};

/** All sizes, and a large annotation, which is no part of the content. */
async function createLarge(scene: ApiScene, prefix: string): Promise<void> {
  for (const [name, message] of Object.entries(LARGE)) {
    await scene.write(`${prefix}-${name}`, { message });
  }
  const annotations = { "example.org/dump": "a".repeat(250_000) };
  const name = `${prefix}-plain`;
  await scene.writer.patchEvent(scene.namespace, name, { metadata: { annotations } });
  await scene.change(name, { message: `changed ${LARGE.plain}` });
}

sharedTest(
  "Events with messages of 300 kB and up to 1.4 MB are written whole, from a LIST and from a " +
    "WATCH (fault 34)",
  async (scene) => {
    await createLarge(scene, "listed");
    // The LIST can show the last state alone.
    scene.expected.clear();
    for (const event of await scene.writer.listEvents(scene.namespace)) scene.note(event);
    const program = await scene.run();
    await scene.settled();
    await createLarge(scene, "watched");
    await scene.isRight();
    await program.kill();
    await scene.forget(); // So it must LIST.
    await scene.run();
    await scene.isRight();
    const longest = Math.max(...scene.read().join("").split("\n").map((line) => line.length));
    assert(longest > 1_400_000, `${longest}`);
  },
);
