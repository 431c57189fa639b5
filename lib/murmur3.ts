/**
 * MurmurHash3_x86_128 with seed 0, fed piece by piece.
 *
 * The same bytes give the same hash however they are cut into pieces, on any byte order. Nothing
 * is allocated after construction. The algorithm is Austin Appleby's (public domain, smhasher,
 * MurmurHash3.cpp); the lanes are h1..h4 of that source.
 */

const C1 = 0x239b961b;
const C2 = 0xab0e9789 | 0;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93 | 0;

/** Bytes the hash takes at a time. */
const BLOCK = 16;

/** The hash of a sequence of bytes that arrives in pieces. Not for secrets: it is not keyed. */
export class Murmur3 {
  readonly #lanes = new Int32Array(4);
  /** The bytes behind the last whole block. */
  readonly #tail = new Uint8Array(BLOCK);
  #tailLength = 0;
  #length = 0;

  /** Starts a new hash. */
  reset(): void {
    for (let i = 0; i < 4; i++) this.#lanes[i] = 0;
    this.#tailLength = 0;
    this.#length = 0;
  }

  /** Adds the bytes in [start, end), which must lie inside `bytes`. */
  update(bytes: Uint8Array, start: number, end: number): void {
    this.#length += end - start;
    let at = start;
    let held = this.#tailLength;
    if (held > 0) {
      while (held < BLOCK && at < end) this.#tail[held++] = bytes[at++]!;
      this.#tailLength = held;
      if (held < BLOCK) return;
      mixBlocks(this.#lanes, this.#tail, 0, BLOCK);
      held = 0;
    }
    const blocksEnd = at + ((end - at) & ~(BLOCK - 1));
    if (blocksEnd > at) mixBlocks(this.#lanes, bytes, at, blocksEnd);
    for (at = blocksEnd; at < end; at++) this.#tail[held++] = bytes[at]!;
    this.#tailLength = held;
  }

  /** Writes the hash of everything since reset() into four lanes. Call reset() before the next. */
  finish(into: Uint32Array): void {
    const lanes = this.#lanes;
    if (this.#tailLength > 0) mixTail(lanes, this.#tail, this.#tailLength);
    for (let i = 0; i < 4; i++) into[i] = lanes[i]! ^ this.#length;
    mixLanes(into);
  }
}

/**
 * Murmur's closing step in place: each lane goes through fmix32 between two rounds of adding the
 * lanes to each other, so that every bit of the result depends on all four lanes.
 */
export function mixLanes(lanes: Uint32Array): void {
  addLanes(lanes);
  for (let i = 0; i < 4; i++) lanes[i] = fmix32(lanes[i]! | 0);
  addLanes(lanes);
}

function addLanes(lanes: Uint32Array): void {
  const first = (lanes[0]! + lanes[1]! + lanes[2]! + lanes[3]!) | 0;
  lanes[0] = first;
  for (let i = 1; i < 4; i++) lanes[i] = (lanes[i]! + first) | 0;
}

function fmix32(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The hot loop: [start, end) is a whole number of blocks. Little-endian reads, byte by byte. */
function mixBlocks(lanes: Int32Array, bytes: Uint8Array, start: number, end: number): void {
  let h1 = lanes[0]!, h2 = lanes[1]!, h3 = lanes[2]!, h4 = lanes[3]!;
  for (let i = start; i < end; i += BLOCK) {
    const k1 = word(bytes, i);
    const k2 = word(bytes, i + 4);
    const k3 = word(bytes, i + 8);
    const k4 = word(bytes, i + 12);
    h1 ^= scramble(k1, C1, 15, C2);
    h1 = (Math.imul(((h1 << 19) | (h1 >>> 13)) + h2, 5) + 0x561ccd1b) | 0;
    h2 ^= scramble(k2, C2, 16, C3);
    h2 = (Math.imul(((h2 << 17) | (h2 >>> 15)) + h3, 5) + 0x0bcaa747) | 0;
    h3 ^= scramble(k3, C3, 17, C4);
    h3 = (Math.imul(((h3 << 15) | (h3 >>> 17)) + h4, 5) + 0x96cd1c35) | 0;
    h4 ^= scramble(k4, C4, 18, C1);
    h4 = (Math.imul(((h4 << 13) | (h4 >>> 19)) + h1, 5) + 0x32ac3b17) | 0;
  }
  lanes[0] = h1;
  lanes[1] = h2;
  lanes[2] = h3;
  lanes[3] = h4;
}

/** A tail shorter than a block counts as if filled up with zeros: a zero word changes no lane. */
function mixTail(lanes: Int32Array, tail: Uint8Array, length: number): void {
  for (let i = length; i < BLOCK; i++) tail[i] = 0;
  lanes[0]! ^= scramble(word(tail, 0), C1, 15, C2);
  lanes[1]! ^= scramble(word(tail, 4), C2, 16, C3);
  lanes[2]! ^= scramble(word(tail, 8), C3, 17, C4);
  lanes[3]! ^= scramble(word(tail, 12), C4, 18, C1);
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function scramble(k: number, first: number, turn: number, second: number): number {
  const product = Math.imul(k, first);
  return Math.imul((product << turn) | (product >>> (32 - turn)), second);
}
