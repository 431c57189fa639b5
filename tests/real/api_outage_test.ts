/**
 * The API server or the way to it fails under load: watches cut, the process killed,
 * its certificate another one.
 */

import { assertGreater, assertLess } from "@std/assert";
import { Pki } from "../support/pki.ts";
import { until } from "../support/temp.ts";
import { IS_LONG, ownTest, sharedTest } from "./api_scene.ts";
import { Relay, UNHARMED, type WatchFate } from "./relay.ts";

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
    // After each broken one it waits for longer.
    const fates = Array.from({ length: IS_LONG ? 3 : 1 }, (_, n) => [
      ...[ended(1), broken(10_001 + 60_000 * n), ended(2), broken(1_003 + 7_000 * n)],
    ]).flat();
    const all = fates.length;
    relay.fate = () => fates.shift() ?? UNHARMED;
    const program = await scene.run({ args: ["--kubeconfig", kubeconfig] });
    await program.says("WATCH /api/v1/events from");
    scene.load();
    await until("the watches have met their fates", () => relay.count("WATCH") > all, 120_000);
    await scene.loaded(50);
    await scene.isRight();
    // The first ones, one for each fate, and the last.
    assertLess(relay.requests.length, 2 * all);
  },
);

ownTest(
  "kube-apiserver killed with -9 and started again on its port under load, the second time with a " +
    "certificate of another CA, which is refused until the CA's file is replaced too: nothing is " +
    "lost, nothing comes twice (faults 1, 11, 16, 44)",
  [],
  async (scene, server) => {
    // The server reads its own file, by which it knows its clients, again too.
    const caFile = `${scene.folder}/ca.crt`;
    Deno.copyFileSync(server.caFile, caFile);
    const kubeconfig = `${scene.folder}/kubeconfig`;
    const { clusters, ...rest } = JSON.parse(Deno.readTextFileSync(server.kubeconfig));
    clusters[0].cluster["certificate-authority"] = caFile;
    Deno.writeTextFileSync(kubeconfig, JSON.stringify({ clusters, ...rest }));
    const program = await scene.run({ args: ["--kubeconfig", kubeconfig] });
    await scene.settled();

    scene.load();
    await scene.loaded(200);
    await server.stopApiServer("SIGKILL");
    await server.startApiServer();
    await scene.loaded(200);

    await server.stopApiServer("SIGKILL");
    const pki = new Pki("another-ca");
    server.changeCertificate(pki);
    scene.writer.trust(pki.ca);
    await server.startApiServer();
    await program.says("invalid peer certificate: UnknownIssuer");
    await scene.loaded(50);
    Deno.writeTextFileSync(caFile, "no certificate yet\n");
    await scene.loaded(50);
    Deno.writeTextFileSync(caFile, pki.ca);
    await program.says("The credentials changed; new ones are in use.");
    await scene.isRight();
    assertGreater(scene.writer.failures, 0);
    // One line a failure, and few of them.
    assertLess(program.stderr.split(" failed: ").length, 20);
  },
);
