/** etcd is put back to an earlier copy of its data, as after a disaster. */

import { assertEquals } from "@std/assert";
import { until } from "../support/temp.ts";
import { type ApiScene, longTest, ownTest } from "./api_scene.ts";
import { EtcdCopy } from "./etcd_copy.ts";

/** Far more than what a kube-apiserver that starts stores by itself. */
const GONE_EVENTS = 100;
/** A component that does not know of the past writes it again: no news. */
const AGAIN = { firstTimestamp: "2026-01-01T00:00:00Z", lastTimestamp: "2026-01-01T00:00:00Z" };
const WENT_BACK = "the API server's data went back from resourceVersion";

/** Events that the program writes and that are in no copy. */
async function writeGone(scene: ApiScene): Promise<void> {
  await scene.write("again", AGAIN);
  await scene.create(GONE_EVENTS);
  await scene.settled();
}

/** What happens before the program can know: all of it is news, but for what it knows. */
async function writeUnseen(scene: ApiScene, name: string): Promise<void> {
  const { writer, namespace } = scene;
  await scene.write("again", AGAIN);
  scene.excuse(await writer.createEvent(namespace, { name }));
  await scene.change(name, { count: 2 });
  await scene.create(5);
}

/** The watch goes on as always: overwritten states come too. */
async function goesOn(scene: ApiScene, name: string): Promise<void> {
  await scene.write(name);
  for (const count of [2, 3]) await scene.change(name, { count });
  await scene.writer.deleteEvent(scene.namespace, name);
  await scene.isRight();
}

ownTest(
  "etcd put back to an earlier copy under the running program, and while it is down so that it has " +
    "moved past us: what is new is written, what is old not again (faults 24, 28)",
  [],
  async (scene, server) => {
    let program = await scene.run();
    await scene.create(10);
    await scene.settled();
    const copy = await EtcdCopy.take(server);

    await writeGone(scene);
    await copy.restore();
    await writeUnseen(scene, "unseen-1");
    await program.says(WENT_BACK);
    await scene.settled();
    await goesOn(scene, "after-1");

    const last = await scene.newestVersion();
    await scene.stop(program); // After a kill -9 its checkpoint may be of the time before.
    await copy.restore();
    await writeUnseen(scene, "unseen-2");
    await until("it has moved past us", async () => {
      await scene.create(20);
      return await scene.newestVersion() > last + 20;
    }, 60_000);
    program = await scene.run();
    await scene.settled();
    await goesOn(scene, "after-2");
    assertEquals(program.stderr.includes(WENT_BACK), false, program.stderr);
  },
);

longTest(
  "etcd put back to an earlier copy while the program is down, and still behind us when it comes: " +
    "what is new is written, what is old not again (fault 24)",
  [],
  async (scene, server) => {
    const first = await scene.run();
    await scene.create(10);
    await scene.settled();
    const copy = await EtcdCopy.take(server);
    await writeGone(scene);
    await scene.stop(first);
    await copy.restore();
    await writeUnseen(scene, "unseen");
    const second = await scene.run();
    await second.says(WENT_BACK);
    await scene.settled();
    await goesOn(scene, "after");
  },
);
