import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import {
  expectedFalsePositives,
  probe,
  PROBES_MAX,
  SECTOR_BITS,
  shapeFor,
} from "../../lib/bloom.ts";
import { randomUint32, testSeed } from "../support/temp.ts";

/** Fills a filter of bits kept in the test, and counts strangers that it takes for known. */
function countFalsePositives(keys: number, errorRate: number, strangers: number, seed: number) {
  const next = randomUint32(seed);
  const shape = shapeFor(keys, errorRate);
  const lanes = Uint32Array.from({ length: 4 }, next);
  const bits = new Uint16Array(PROBES_MAX + 1);
  const set = new Uint8Array(shape.sectors * SECTOR_BITS);
  const key = new Uint32Array(4);
  const each = (count: number, visit: (base: number) => void) => {
    for (let index = 0; index < count; index++) {
      for (let lane = 0; lane < 4; lane++) key[lane] = next();
      visit(probe(shape, lanes, key, 0, bits) * SECTOR_BITS);
    }
  };
  each(keys, (base) => {
    for (let index = 0; index < shape.probes; index++) set[base + bits[index]!] = 1;
  });
  let found = 0;
  each(strangers, (base) => {
    let index = 0;
    while (index < shape.probes && set[base + bits[index]!] === 1) index++;
    if (index === shape.probes) found++;
  });
  return { shape, found };
}

Deno.test("A full filter takes as many strangers for known as expectedFalsePositives() says", () => {
  const seed = testSeed();
  for (const errorRate of [1e-2, 1e-3]) {
    const strangers = 400_000;
    const { shape, found } = countFalsePositives(50_000, errorRate, strangers, seed);
    const expected = strangers * expectedFalsePositives(shape, 50_000);
    // Six standard deviations of a Poisson count: a right filter fails once in 500 million runs.
    const margin = 6 * Math.sqrt(expected);
    assertGreater(found, expected - margin);
    assertLess(found, expected + margin);
  }
});

Deno.test("At the default rate a full filter takes none of a million strangers for known", () => {
  const { shape, found } = countFalsePositives(20_000, 1e-9 / 8, 1_000_000, testSeed());
  assertEquals(found, 0);
  assert(expectedFalsePositives(shape, 20_000) <= 1e-9 / 8);
});

Deno.test("shapeFor() keeps the rate with about 53 bits a key at 1e-9 over 8 generations", () => {
  for (const keys of [1, 2, 10, 500, 100_000, 1_000_000, 10_000_000]) {
    const shape = shapeFor(keys, 1e-9 / 8);
    assert(expectedFalsePositives(shape, keys) <= 1e-9 / 8, `${keys} keys`);
    if (keys >= 100_000) assertLess(shape.sectors * SECTOR_BITS / keys, 54);
  }
});

Deno.test("probe() draws bits of a key that are far from each other and from those of a neighbour", () => {
  const shape = { sectors: 1, probes: 30 };
  const seed = Uint32Array.of(1, 2, 3, 4);
  const patterns = new Set<string>();
  const bits = new Uint16Array(PROBES_MAX + 1);
  // Double hashing would know some 8 million patterns, and 20,000 keys would share about 24 of them.
  for (let index = 0; index < 20_000; index++) {
    probe(shape, seed, Uint32Array.of(0, 0, 0, index), 0, bits);
    patterns.add(bits.slice(0, 30).sort().join());
  }
  assertEquals(patterns.size, 20_000);
});

Deno.test("probe() finds the same sector and bits, however many of the bits are asked for", () => {
  const next = randomUint32(testSeed());
  const shape = shapeFor(100_000, 1e-10);
  const lanes = Uint32Array.from({ length: 4 }, next);
  const all = new Uint16Array(PROBES_MAX + 1);
  const some = new Uint16Array(PROBES_MAX + 1);
  for (let round = 0; round < 1000; round++) {
    const key = Uint32Array.from({ length: 4 }, next);
    const sector = probe(shape, lanes, key, 0, all);
    for (const count of [0, 1, 4, shape.probes - 1]) {
      assertEquals(probe(shape, lanes, key, 0, some, count), sector);
      assertEquals(some.slice(0, count), all.slice(0, count));
    }
  }
});
