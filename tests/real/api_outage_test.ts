/** The API server or the way to it fails under load: watches cut, the process killed. */

import { assertGreater, assertLess } from "@std/assert";
import { until } from "../support/temp.ts";
import { ownTest, sharedTest } from "./api_scene.ts";
import { Relay, type WatchFate } from "./relay.ts";

/** A watch that the server itself ends in good order. */
const ended = (seconds: number): WatchFate => ({ seconds, bytes: Infinity });
/** One that breaks off, mostly in the middle of a line. */
const broken = (bytes: number): WatchFate => ({ seconds: null, bytes });

sharedTest(
  "Watches that the server ends every second and the network cuts in the middle of lines, under " +
    "load: nothing is lost, nothing comes twice (faults 1, 2, 17, 22)",
  async (scene) => {
    await using relay = await Relay.start(scene.server);
    const kubeconfig = `${scene.folder}/relayed`;
    relay.writeKubeconfig(kubeconfig, { token: scene.server.adminToken });
    const fates = [ended(1), broken(70_000), ended(2), broken(10_001), ended(1), broken(1_003)];
    const all = fates.length;
    await scene.run({ args: ["--kubeconfig", kubeconfig] });
    await scene.settled();
    relay.fate = () => fates.shift() ?? { seconds: null, bytes: Infinity };
    relay.cut();
    scene.load();
    await until("the watches have met their fates", () => relay.count("WATCH") > all + 1, 60_000);
    await scene.loaded(50);
    await scene.isRight();
    // The first ones, one for each fate, and the last.
    assertLess(relay.requests.length, 2 * all);
  },
);

ownTest(
  "kube-apiserver killed with -9 and started again on its port, twice, under load; once the " +
    "program is killed too: nothing is lost, nothing comes twice (faults 1, 11, 44)",
  [],
  async (scene, server) => {
    let program = await scene.run();
    await scene.settled();
    scene.load();
    for (const isProgramKilled of [false, true]) {
      await scene.loaded(200);
      await server.stopApiServer("SIGKILL");
      if (isProgramKilled) {
        await program.kill();
        program = scene.launch(scene.output);
      }
      await server.startApiServer();
      await scene.loaded(200);
    }
    await program.says("Connected to");
    await scene.isRight();
    assertGreater(scene.writer.failures, 0);
    // One line a failure, and few of them.
    assertLess(program.stderr.split(" failed: ").length, 20);
  },
);
