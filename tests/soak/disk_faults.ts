/** What is done to the file systems of the destination and of the state folder. */

import type { Random } from "../sim/random.ts";
import type { Faults } from "./faults.ts";
import type { Volume } from "./volume.ts";
import type { World } from "./world.ts";

/** After it the program may still end of it, ms. */
const AFTER_MS = 2_000;

async function full(world: World, volume: Volume, random: Random): Promise<void> {
  const pages = random.integer(0, 8);
  const forMs = random.integer(300, 6_000);
  await world.troubled(async () => {
    volume.fill(pages);
    await world.sleep(forMs);
    volume.free();
  }, AFTER_MS);
}

async function readOnly(world: World, volume: Volume, random: Random): Promise<void> {
  const forMs = random.integer(300, 4_000);
  await world.troubled(async () => {
    volume.makeReadOnly();
    await world.sleep(forMs);
    volume.makeWritable();
  }, AFTER_MS);
}

/** See the head of this file. */
export function diskFaults(destination: Volume, state: Volume): Faults {
  return {
    "full destination": (world, random) => full(world, destination, random),
    "full state folder": (world, random) => full(world, state, random),
    "read-only destination": (world, random) => readOnly(world, destination, random),
    "read-only state folder": (world, random) => readOnly(world, state, random),
  };
}
