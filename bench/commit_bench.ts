/** Append, sync and ring for a run of lines that are new: what main does with a batch. */

import { setupLog } from "../lib/log.ts";
import { Rig } from "../tests/support/rig.ts";

const PASS_EVENTS = 200;

setupLog("ERROR");
const folder = Deno.makeTempDirSync({ prefix: "kube-event-pipe-bench-" });
const rig = await Rig.start(folder, { filterCapacity: 100_000_000, syncIntervalMs: 60_000 });
const filler = "x".repeat(1000);
let number = 0;

function lines(): string[] {
  return Array.from({ length: PASS_EVENTS }, () => {
    const metadata = { name: `pod.${number++}`, namespace: "shop", resourceVersion: `${number}` };
    return JSON.stringify({ kind: "Event", apiVersion: "v1", metadata, message: filler });
  });
}

Deno.bench(`commit with a sync (lines are made in it too), ${PASS_EVENTS} events`, async () => {
  await rig.feed(lines());
  await rig.commit.sync();
});

globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
