/** Events go at the end of their time to live, which is the server's business and no news. */

import { until } from "../support/temp.ts";
import { type ApiScene, ownTest } from "./api_scene.ts";

/** Time for a burst of writes, and short enough to wait for. */
const TTL_SECONDS = 3;

/** Waits until the server has no event of the scene any more. */
async function expired(scene: ApiScene): Promise<void> {
  await until("all events have expired", async () => {
    return (await scene.writer.listEvents(scene.namespace)).length === 0;
  }, 60_000);
}

ownTest(
  "Events expire while the program runs, while it is down, and with a kill -9 in between: no " +
    "line for a DELETED, nothing lost that was still in the history (faults 27, 28)",
  [`--event-ttl=${TTL_SECONDS}s`],
  async (scene) => {
    // Generations are dropped as fast as can be: what expires is forgotten soon.
    const args = ["--batch-count=1", "--batch-duration-sec=1"];
    let program = await scene.run({ args });
    await scene.create(200); // They go in one revision, or in a few.
    await scene.write("repeated");
    await scene.change("repeated", { count: 2 });
    await expired(scene);
    await scene.write("repeated", { count: 3 }); // As client-go does after a 404.
    await scene.settled();
    await program.kill();

    await scene.create(50);
    await scene.write("overwritten");
    await scene.change("overwritten", { count: 2 });
    await expired(scene);
    program = await scene.run({ args });
    await scene.isRight();
  },
);
