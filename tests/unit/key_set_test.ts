import { assert, assertEquals } from "@std/assert";
import { KeySet } from "../../lib/key_set.ts";
import { randomKeys, randomUint32, testSeed } from "../support/temp.ts";

Deno.test("KeySet agrees with a Set over random additions, undoings and clearings", () => {
  const next = randomUint32(testSeed());
  const keys = randomKeys(next, 600); // fewer keys than additions, so that some are there already
  const set = new KeySet();
  let model: string[] = [];
  const nameOf = (index: number) => keys.slice(8 * index, 8 * index + 4).join();
  for (let step = 0; step < 20_000; step++) {
    const index = next() % 600;
    if (next() % 50 === 0) {
      const size = next() % (model.length + 1);
      set.truncate(size);
      model = model.slice(0, size);
    } else if (next() % 1000 === 0) {
      set.clear();
      model = [];
    } else {
      assertEquals(set.add(keys, 8 * index), !model.includes(nameOf(index)));
      if (!model.includes(nameOf(index))) model.push(nameOf(index));
    }
    assertEquals(set.size, model.length);
    const probe = next() % 600;
    assertEquals(set.has(keys, 8 * probe), model.includes(nameOf(probe)));
  }
  const inOrder = model.map((_, index) => set.lanes.slice(4 * index, 4 * index + 4).join());
  assertEquals(inOrder, model);
});

Deno.test("KeySet finds each of 100,000 keys after it grew, and no stranger", () => {
  const next = randomUint32(testSeed());
  const keys = randomKeys(next, 100_000);
  const set = new KeySet();
  for (let index = 0; index < 100_000; index++) set.add(keys, 8 * index);
  for (let index = 0; index < 100_000; index++) assert(set.has(keys, 8 * index));
  const strangers = randomKeys(next, 1000);
  for (let index = 0; index < 1000; index++) assert(!set.has(strangers, 8 * index));
});
