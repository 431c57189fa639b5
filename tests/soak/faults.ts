/**
 * What goes wrong in a soak, in lanes that run beside each other: in each, one fault at a time is
 * drawn, begins, and ends. The n-th fault of a lane depends on the seed alone; what it meets does
 * not, since nobody can repeat the timing of processes.
 */

import { Random } from "../sim/random.ts";
import type { World } from "./world.ts";

/** Does the fault, and undoes it at its end or when the world is over. */
export type Fault = (world: World, random: Random) => Promise<void> | void;

/** Faults of one kind, by name. */
export type Faults = Readonly<Record<string, Fault>>;

/** Faults that are done one after the other. */
export interface Lane {
  faults: Faults;
  /** Longest pause before each, ms. */
  pauseMs: number;
}

/** Does one fault after the other until the world is over. `lane` tells it from others. */
export async function runLane(
  world: World,
  lane: number,
  { faults, pauseMs }: Lane,
): Promise<void> {
  const names = Object.keys(faults);
  for (let n = 0;; n++) {
    const random = new Random(world.seed, lane, n);
    await world.sleep(random.integer(100, pauseMs));
    if (world.isOver) return;
    const name = random.pick(names);
    world.counts.set(name, (world.counts.get(name) ?? 0) + 1);
    await faults[name]!(world, random);
  }
}
