/** What the program makes of a server that forgets its history: compaction, and its own ring's. */

import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { hasPosition } from "../support/checkpoint.ts";
import type { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";
import { type ApiScene, IS_LONG, sharedTest } from "./api_scene.ts";
import { Relay } from "./relay.ts";

/** A new event that is changed twice; each state must have a line. */
async function changeTwice(scene: ApiScene, name: string): Promise<void> {
  await scene.write(name);
  for (const count of [2, 3]) await scene.change(name, { count });
}

sharedTest(
  "Compacted up to the last event while the program is down: what was overwritten since still " +
    "comes, nothing comes twice (fault 5)",
  async (scene) => {
    const first = await scene.run();
    await scene.create(20);
    await scene.settled();
    await scene.stop(first);
    const last = await scene.newestVersion();
    await changeTwice(scene, "since");
    await scene.etcd.compact(last + 1); // One less, and the watch could resume before it.
    await scene.writer.deleteEvent(scene.namespace, "since");
    const second = await scene.run();
    await scene.isRight();
    assertStringIncludes(second.stderr, "was refused");
  },
);

sharedTest(
  "Compacted beyond our position while the program is down: all that is still there is written, " +
    "nothing comes twice (faults 5, 49)",
  async (scene) => {
    const { writer, namespace } = scene;
    const first = await scene.run();
    await scene.create(20);
    await scene.settled();
    await hasPosition(scene.state);
    await first.kill();
    await scene.create(5);
    // Nobody can have seen these two.
    scene.excuse(await writer.createEvent(namespace, { name: "overwritten" }));
    scene.excuse(await writer.createEvent(namespace, { name: "deleted" }));
    await scene.change("overwritten", { count: 2 });
    await writer.deleteEvent(namespace, "deleted");
    await scene.forget();
    await scene.create(5);
    const second = await scene.run();
    await scene.isRight();
    assertStringIncludes(second.stderr, "was refused");
    await changeTwice(scene, "after");
    await scene.isRight();
  },
);

sharedTest(
  "Compacted all the time under a running watch and load, and then under a cut one: nothing is " +
    "lost, nothing comes twice, and no request is repeated without pause (faults 5, 7)",
  async (scene) => {
    await using relay = await Relay.start(scene.server);
    const kubeconfig = `${scene.folder}/relayed`;
    relay.writeKubeconfig(kubeconfig, { token: scene.server.adminToken });
    const program = await scene.run({ args: ["--kubeconfig", kubeconfig] });
    await scene.settled();
    scene.load();
    for (let n = 0; n < 15; n++) {
      await scene.loaded(50);
      await scene.etcd.compact(await scene.etcd.revision());
    }
    await scene.settled();
    assertEquals(relay.requests, [
      { verb: "LIST", status: 200 },
      { verb: "WATCH", status: 200 },
    ]);
    const cuts = IS_LONG ? 4 : 1; // Each waits longer than the one before.
    for (let n = 0; n < cuts; n++) {
      const watches = relay.count("WATCH");
      await scene.forget();
      relay.cut();
      await until("the program watches again", () => relay.count("WATCH") > watches);
      await scene.create(3);
    }
    await scene.isRight();
    assert(relay.count("LIST") > 1, program.stderr);
    assertLess(relay.requests.length, 20);
  },
);

sharedTest(
  "Events that outlive all generations of the ring are never written again: not by its LISTs, " +
    "not at restarts with a compacted history (faults 5, 47)",
  async (scene) => {
    // Each life drops what it can once, which takes a new event and a LIST; then each 10 s.
    const args = ["--batch-count=1", "--batch-duration-sec=1"];
    const drops = IS_LONG ? 4 : 1;
    await scene.create(250);
    for (let life = 0; life < 3; life++) {
      const program = await scene.run({ args });
      for (let drop = 0; drop < drops; drop++) await dropped(scene, program);
      await scene.settled();
      if (life === 1) await program.kill();
      else await scene.stop(program);
      await scene.create(10);
      await scene.forget();
    }
    await scene.run({ args });
    await scene.isRight();
  },
);

/** Makes events until the ring has dropped generations once more. */
async function dropped(scene: ApiScene, program: Program): Promise<void> {
  const from = program.stderr.length;
  await until("generations are dropped", async () => {
    await scene.create(1);
    return program.stderr.indexOf(" Dropped ", from) > 0;
  }, 60_000);
}
