/** What is done to the process, and to the name of its destination. */

import type { Random } from "../sim/random.ts";
import type { Faults } from "./faults.ts";
import type { World } from "./world.ts";

/** Mostly within some ms, at times later: a start, a switch or a checkpoint is over soon. */
function soonMs(random: Random, longestMs: number): number {
  return Math.round(longestMs * random.next() ** 3);
}

async function rotateAlive(
  { files, subject, sleep }: World,
  { create, hangup, thenMs }: { create: boolean; hangup: boolean; thenMs: number },
): Promise<void> {
  if (!files.rotate()) return;
  if (create) files.create();
  if (hangup) subject.signal("SIGHUP");
  await sleep(thenMs);
}

/** See the head of this file. */
export const PROCESS_FAULTS: Faults = {
  "kill -9": async ({ subject, sleep }, random) => {
    const downMs = random.chance(0.2) ? random.integer(2_000, 9_000) : soonMs(random, 1_000);
    await subject.alone(async () => {
      await subject.kill();
      await sleep(downMs);
      subject.start();
    });
  },
  "kill -9 in a start": async ({ subject, sleep }, random) => {
    const afterMs = Array.from({ length: random.integer(1, 3) }, () => random.integer(0, 900));
    await subject.alone(async () => {
      await subject.kill();
      for (const ms of afterMs) {
        subject.start();
        await sleep(ms);
        await subject.kill();
      }
      subject.start();
    });
  },
  "SIGTERM": async ({ subject, sleep }, random) => {
    const downMs = soonMs(random, 4_000);
    await subject.alone(async () => {
      await subject.stop();
      await sleep(downMs);
      subject.start();
    });
  },
  "rotation": async (world, random) => {
    const create = random.chance(0.5);
    const hangup = random.chance(0.7);
    await rotateAlive(world, { create, hangup, thenMs: soonMs(random, 2_000) });
  },
  "rotation, then kill -9": async (world, random) => {
    const create = random.chance(0.5);
    const hangup = random.chance(0.7);
    const thenMs = random.chance(0.2) ? random.integer(4_800, 5_400) : soonMs(random, 300);
    const { subject } = world;
    await subject.alone(async () => {
      await rotateAlive(world, { create, hangup, thenMs });
      await subject.kill();
      subject.start();
    });
  },
  "rotation while it is down": async ({ subject, files }, random) => {
    const create = random.chance(0.5);
    await subject.alone(async () => {
      await subject.kill();
      if (files.rotate() && create) files.create();
      subject.start();
    });
  },
  "deleted destination": async ({ files, subject, sleep }, random) => {
    const hangup = random.chance(0.3);
    const thenMs = soonMs(random, 7_000);
    if (!files.delete()) return;
    if (hangup) subject.signal("SIGHUP");
    await sleep(thenMs);
  },
  "SIGSTOP": async (world, random) => {
    const forMs = random.integer(200, 6_000);
    const { subject } = world;
    await subject.alone(() =>
      world.stalled(async () => {
        subject.signal("SIGSTOP");
        await world.sleep(forMs);
        subject.signal("SIGCONT");
      })
    );
  },
};
