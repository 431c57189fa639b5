import { assertEquals, assertNotEquals } from "@std/assert";
import { identityHex } from "../../lib/identity.ts";
import { mixLanes, Murmur3 } from "../../lib/murmur3.ts";

/** Made with mmh3 5.3.1 for Python, checked with murmurhash3js-revisited 3.0.0 for JavaScript. */
const TEXTS: [string, string][] = [
  ["", "00000000000000000000000000000000"],
  ["a", "a794933c5556b01b5556b01b5556b01b"],
  ["hello", "2b2444a0db91def79adb31b69adb31b6"],
  ["The quick brown fox jumps over the lazy dog", "2f1583c3ecee2c675d7bf66ce5e91d2c"],
  ["I will not buy this record, it is scratched.", "a0a9683b25ac5e40d9af2895890dddf5"],
  ["日本語 🚀", "25d6ad541d4722d0cad9ecd435d65e30"],
];

/** The same, of the first n bytes of 3, 10, 17, ... modulo 256: every length of the tail. */
const LENGTHS: [number, string][] = [
  [0, "00000000000000000000000000000000"],
  [1, "70d159b27643466f7643466f7643466f"],
  [2, "7e056b48813db2f7813db2f7813db2f7"],
  [3, "aeaf995a3c1e0d173c1e0d173c1e0d17"],
  [4, "96730a642b5a744a2b5a744a2b5a744a"],
  [5, "bfa641bc477db7364533345145333451"],
  [6, "ce615a8d4722b6c7e202110de202110d"],
  [7, "dddebacd88a781bcc16d5231c16d5231"],
  [8, "802555159fc1af51e60b81fbe60b81fb"],
  [9, "83f87d3ff463af4e041325dc59a5a42e"],
  [10, "444c06010850eb8c59a77e3821b00ea6"],
  [11, "921c3d507581b29af02561e313851d8d"],
  [12, "7505922ef7e2241ac634d647401901a8"],
  [13, "36d8233e618d9b6723276d2c76bcc80d"],
  [14, "5e733a96718c0a353aab71e209f0b1ee"],
  [15, "b186314cd83994c979989e614026183a"],
  [16, "66a18bf3ee8386c01f821fdc0a6dd533"],
  [17, "28f01ec4307455b24686acf03523143a"],
  [18, "364a04d1778c20399bb4ebd45989ef59"],
  [19, "03d84bf9efdf3bdaff374ce012784fc5"],
  [20, "bcd56888abd6e936f372996c39c01ff0"],
  [21, "ae3119119e0e8aadb906c3c8b5e28e03"],
  [22, "cb2681a1fa3452bfc62af5869873a6eb"],
  [23, "aa40d674e97bc2ec8a29c0b5c5a0273d"],
  [24, "d8334e8d96a4e580ff33be5fd93ace98"],
  [25, "67af574b3882093abfa47a7313189c4a"],
  [26, "67b37ebe80dcbc3ed6f3416f2d196680"],
  [27, "953cffc1fa455e8291ccee97c0f74535"],
  [28, "568bec33b0f5b984b152b9dcc079230a"],
  [29, "3a062a6dce272a4e57468ee04c23e90a"],
  [30, "8fbeaa00a0e130023424cf145d380c66"],
  [31, "8cfefa9bd715c49d67786e43a51ec26a"],
  [32, "cceea8aca66462996efde9c9a7a95a72"],
  [33, "6be88ebdb03a41991d747b376c64d50e"],
  [255, "27845cd436b0c473dbea39e3fa145716"],
  [1000, "b16407cd3fc1b57f1516d8205e445560"],
];

function numbered(length: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => i * 7 + 3);
}

function hashOf(bytes: Uint8Array, pieceEnds: number[] = []): string {
  const hash = new Murmur3();
  const lanes = new Uint32Array(4);
  let start = 0;
  for (const end of [...pieceEnds, bytes.length]) {
    hash.update(bytes, start, end);
    start = end;
  }
  hash.finish(lanes);
  return identityHex(lanes);
}

Deno.test("Murmur3 gives the hashes of the reference implementation", () => {
  for (const [text, expected] of TEXTS) {
    assertEquals(hashOf(new TextEncoder().encode(text)), expected, JSON.stringify(text));
  }
  for (const [length, expected] of LENGTHS) assertEquals(hashOf(numbered(length)), expected);
});

Deno.test("Murmur3 gives the same hash however the bytes are cut into pieces", () => {
  const bytes = numbered(50);
  const expected = hashOf(bytes);
  for (let first = 0; first <= 50; first++) {
    for (let second = first; second <= 50; second++) {
      assertEquals(hashOf(bytes, [first, second]), expected, `cut at ${first} and ${second}`);
    }
  }
});

Deno.test("Murmur3 reads only the range it is given", () => {
  const hash = new Murmur3();
  const lanes = new Uint32Array(4);
  hash.update(new TextEncoder().encode("xxhelloxx"), 2, 7);
  hash.finish(lanes);
  assertEquals(identityHex(lanes), "2b2444a0db91def79adb31b69adb31b6");
});

Deno.test("Murmur3 remembers nothing of an earlier hash after reset()", () => {
  const hash = new Murmur3();
  const lanes = new Uint32Array(4);
  for (const [length, expected] of LENGTHS) {
    hash.reset();
    hash.update(numbered(length), 0, length);
    hash.finish(lanes);
    assertEquals(identityHex(lanes), expected, `length ${length}`);
  }
});

Deno.test("mixLanes() makes each lane depend on all four", () => {
  for (let changed = 0; changed < 4; changed++) {
    const before = Uint32Array.of(1, 2, 3, 4);
    const after = Uint32Array.of(1, 2, 3, 4);
    after[changed]! ^= 0x80000000;
    mixLanes(before);
    mixLanes(after);
    for (let lane = 0; lane < 4; lane++) assertNotEquals(before[lane], after[lane]);
  }
});
