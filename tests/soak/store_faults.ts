/** What happens to the API server's data. */

import type { Random } from "../sim/random.ts";
import type { Faults } from "./faults.ts";
import type { World } from "./world.ts";

/** etcd is put back by no more than this, ms. */
const REWIND_MS_MAX = 30_000;

/** After a restore it is mostly quiet until a LIST, for so long at most, ms. */
const QUIET_MS_MAX = 10_000;
/** Between two looks for that LIST, ms. */
const LOOK_MS = 100;

/** See the head of this file. */
export const STORE_FAULTS: Faults = {
  // kube-apiserver leaves 5 minutes of history; a program that was away for longer comes too late.
  "compaction": ({ cluster: { record } }, random) => {
    const agoMs = random.chance(0.1) ? 0 : random.integer(15_000, 90_000);
    record.server.store.compact(record.revisionBefore(agoMs));
  },
  "TTL burst": ({ cluster }, random) => {
    cluster.record.server.store.expire(random.integer(50, 700));
  },
  "mass delete": ({ cluster }, random) => {
    cluster.record.server.store.deleteAll(random.pick(["default", "shop", "kube-system"]));
  },
  "other resources": ({ cluster: { record: { server: { store } } } }, random) =>
    store.bump(store.revision + BigInt(random.integer(1, 5_000))),
  "burst": ({ load }, random) => load.burst(random.integer(50, 400)),
};

/**
 * etcd restored from a copy. Every API server has to be restarted for that, so all watches end.
 * Mostly when the program has met all there is, and mostly quiet until it has noticed: what it had
 * not met before, and what is overwritten in between, is gone for good and shows nothing.
 */
async function restore(
  world: World,
  random: Random,
  movesPast: boolean,
): Promise<void> {
  const { cluster, load, sleep } = world;
  const agoMs = 100 + Math.round(REWIND_MS_MAX * random.next() ** 3);
  const downMs = random.integer(0, 3_000);
  const [before, behind] = [random.integer(0, 50), random.integer(1, 50)];
  const { record, record: { server: { store } } } = cluster;
  await world.mostlyMet(random);
  await cluster.down(async () => {
    const peak = store.revision;
    store.rewindTo(record.revisionBefore(agoMs));
    if (movesPast) {
      load.burst(before);
      if (store.revision < peak) store.bump(peak - 1n);
      load.burst(2 + behind);
    }
    load.isHeld = random.chance(0.7);
    await sleep(downMs);
  });
  const since = performance.now();
  while (load.isHeld && !record.hasListed(since)) {
    await sleep(LOOK_MS);
    load.isHeld = performance.now() - since < QUIET_MS_MAX && !world.isOver;
  }
  load.isHeld = false;
}

/** Only where the ring forgets nothing: what was overwritten long ago is shown again. */
export const RESTORES: Faults = {
  "etcd restored": (world, random) => restore(world, random, false),
  "etcd restored and moved past us": (world, random) => restore(world, random, true),
};
