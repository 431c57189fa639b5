/**
 * The mathematics of a blocked bloom filter: which bits a key has, and how large a filter must be.
 *
 * A key lives in one sector of 512 bytes, of which 506 hold bits: a test reads one sector, an
 * addition dirties one. All functions are pure.
 *
 * The bits of a key must be drawn independently. Double hashing (a + i*b), usual elsewhere, knows
 * only some 8 million patterns in a sector of 4048 bits; with 80 keys there one in 100,000 new keys
 * would meet a full pattern of another, far above the 1e-9 that we promise. So each key seeds a
 * small generator (sfc32, public domain, Chris Doty-Humphrey's PractRand) with all its 128 bits.
 */

/** Bytes of a sector; what disks write whole. */
export const SECTOR_BYTES = 512;
/** Bytes at the head of a sector before its bits: CRC-32 (4) and the number of keys (2). */
export const SECTOR_HEAD_BYTES = 6;
/** Bits of a sector. */
export const SECTOR_BITS = 8 * (SECTOR_BYTES - SECTOR_HEAD_BYTES);

/** Size of a filter. */
export interface BloomShape {
  /** Sectors; a key lives in one of them. */
  sectors: number;
  /** Bits set for a key. */
  probes: number;
}

/**
 * Largest number of bits a key. More than any error rate that a 128-bit key could keep asks for.
 */
export const PROBES_MAX = 64;

/**
 * The sector of a key, and its bits there.
 *
 * @param bits receives the bit numbers in the sector, the first `count` of them, or one more; with
 * a count of 0 the sector alone is wanted
 * @param seed four lanes that differ in each generation, so that an unlucky key is lucky in the
 * next
 * @returns the sector's number
 */
export function probe(
  shape: BloomShape,
  seed: Uint32Array,
  key: Uint32Array,
  at: number,
  bits: Uint16Array,
  count = shape.probes,
): number {
  let a = (key[at]! ^ seed[0]!) | 0;
  let b = (key[at + 1]! ^ seed[1]!) | 0;
  let c = (key[at + 2]! ^ seed[2]!) | 0;
  let d = (key[at + 3]! ^ seed[3]!) | 0;
  const { sectors } = shape;
  let sector = 0;
  // Two numbers are thrown away: a key is well mixed, but its exclusive or with the seed may not
  // be.
  for (let round = -3, filled = 0; round < 0 || filled < count; round++) {
    const out = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + out) | 0;
    if (round < -1) continue;
    if (round === -1) {
      sector = Math.floor((out >>> 0) * sectors / 4294967296);
      continue;
    }
    bits[filled++] = ((out & 0xffff) * SECTOR_BITS) >>> 16;
    bits[filled++] = ((out >>> 16) * SECTOR_BITS) >>> 16;
  }
  return sector;
}

/**
 * The expected rate of false positives of one filter that holds `keys` keys.
 *
 * Keys fall into sectors at random (Poisson), so some sectors are fuller than others; the mean is
 * taken over that. Checked against counted false positives in tests/unit/bloom_test.ts.
 */
export function expectedFalsePositives(shape: BloomShape, keys: number): number {
  const mean = keys / shape.sectors;
  if (mean === 0) return 0;
  let rate = 0;
  // Terms beyond 12 standard deviations are below what a double adds to the sum.
  const last = Math.ceil(mean + 12 * Math.sqrt(mean) + 12);
  for (let count = 1, log = Math.log(mean) - mean; count <= last; count++) {
    rate += Math.exp(log) * fullRate(count, shape.probes);
    log += Math.log(mean) - Math.log(count + 1);
  }
  return rate;
}

/** Shapes that were searched for before. */
const shapes = new Map<string, BloomShape>();

/** The smallest filter whose rate stays within `errorRate` at `keys` keys. */
export function shapeFor(keys: number, errorRate: number): BloomShape {
  const name = `${keys} ${errorRate}`;
  const shape = shapes.get(name) ?? searchShape(keys, errorRate);
  shapes.set(name, shape);
  return shape;
}

function searchShape(keys: number, errorRate: number): BloomShape {
  let low = 1;
  let high = Math.ceil(keys / 4) + 1; // 1,000 bits a key: enough for any rate of interest
  let best: BloomShape = { sectors: high, probes: bestProbes(high, keys) };
  while (low < high) {
    const sectors = Math.floor((low + high) / 2);
    const shape = { sectors, probes: bestProbes(sectors, keys) };
    if (expectedFalsePositives(shape, keys) <= errorRate) {
      best = shape;
      high = sectors;
    } else low = sectors + 1;
  }
  return best;
}

/** The chance that all probes of a stranger are set in a sector of `keys` keys. */
function fullRate(keys: number, probes: number): number {
  const empty = Math.exp(probes * keys * Math.log1p(-1 / SECTOR_BITS));
  return Math.pow(1 - empty, probes);
}

function bestProbes(sectors: number, keys: number): number {
  // In a filter without sectors the best is ln 2 bits for each bit a key has; uneven sectors want
  // somewhat fewer. Only that neighbourhood is searched, since this runs at start.
  const ideal = Math.LN2 * SECTOR_BITS * sectors / keys;
  const last = Math.max(1, Math.min(PROBES_MAX, Math.ceil(ideal)));
  let best = last;
  let bestRate = 1;
  for (let probes = Math.max(1, Math.floor(0.75 * last)); probes <= last; probes++) {
    const rate = expectedFalsePositives({ sectors, probes }, keys);
    if (rate < bestRate) {
      bestRate = rate;
      best = probes;
    }
  }
  return best;
}
