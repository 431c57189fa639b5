/**
 * The fast way through the bytes of an Event, in AssemblyScript (a small TypeScript that becomes
 * WebAssembly): a strict grammar that is a part of JSON, and the identity of what it accepts.
 *
 * `deno task wasm` compiles it to lib/event_wasm.ts. lib/event_module.ts lays out the memory and
 * fills in the tables, lib/event_grammar.ts says what the grammar is for.
 *
 * Functions named ...End take an address and return the one behind what they read there, or 0 for
 * "not this grammar", which does not mean that it is no JSON. A NUL stands behind the window. It is
 * part of nothing that they accept, so they need no bound: whoever comes to it stops.
 */

// The memory. lib/event_module.ts reads where things are, and fills in the tables, once.

/** What was found: nine numbers, see accept(). */
export const FOUND: usize = 0;
const SEEN: usize = 32;
/** The identity of the last accepted event, four lanes. */
export const KEY: usize = 48;
/** A row for each field of an Event, in the server's order, then one for each own metadata key. */
export const ROWS: usize = 512;
/** The keys of known objects, KEY_BYTES each; those of one object stand together. */
export const KNOWN_KEYS: usize = 3072;
/** Where the window begins: bytes in which events are read, and zeros behind the longest. */
export const WINDOW: usize = 4096;
/** Where a batch may be made, behind it. */
export const DRAFT: usize = WINDOW + 256 * 1024 + 64;
/** Values of fieldsV1 that were accepted: SLOTS of SLOT_BYTES, each with its length in front. */
export const FIELDS_MEMORY: usize = DRAFT + 256 * 1024;
const SLOTS: u32 = 16;
const SLOT_BYTES: usize = 1024;
const SLOT_HEAD: usize = 16;

/** A key as it stands before its value, `"reason":`, with zeros behind it and its length last. */
export const KEY_BYTES: usize = 32;

/** A row: a key, the prefix of the hash with its end at PREFIX_END, and numbers of 4 bytes. */
export const ROW_BYTES: usize = 96;
export const PREFIX_END: usize = 64;
const PREFIX_LENGTH: usize = 64;
const SHAPE: usize = 68;
const OBJECT_KEYS: usize = 72;
const OBJECT_KEYS_END: usize = 76;

// The fields: their number, and those that are read.
const FIELDS: u32 = 17;
const KIND: u32 = 0;
const API_VERSION: u32 = 1;
const COUNT: u32 = 9;
// The rows of the metadata keys.
const NAME: u32 = 17;
const RESOURCE_VERSION: u32 = 20;
const MANAGED_FIELDS: u32 = 21;
const ROWS_END: u32 = 22;

// Shapes: how the value of a field may look. SCALAR is what is left.
const STRING: u32 = 1;
const KNOWN_OBJECT: u32 = 2;
const METADATA: u32 = 3;

/** The Event object is level 1. Real ones have about 8. */
const DEPTH_MAX: u32 = 32;
/** Where an entry of managedFields has its fieldsV1: Event, metadata, managedFields, the entry. */
const FIELDS_DEPTH: u32 = 4;

const QUOTE: u32 = 0x22;
const COMMA: u32 = 0x2c;
const MINUS: u32 = 0x2d;
const ZERO: u32 = 0x30;
const COLON: u32 = 0x3a;
const OPEN_ARRAY: u32 = 0x5b;
const BACKSLASH: u32 = 0x5c;
const CLOSE_ARRAY: u32 = 0x5d;
const LOWER_A: u32 = 0x61;
const LOWER_F: u32 = 0x66;
const LOWER_N: u32 = 0x6e;
const OPEN_OBJECT: u32 = 0x7b;
const CLOSE_OBJECT: u32 = 0x7d;

// Words of 4 bytes as numbers.
/** What fieldsV1 begins with: `{"f:`. */
const FIELDS_BEGIN: u32 = 0x3a66227b;
const NULL: u32 = 0x6c6c756e;
const TRUE: u32 = 0x65757274;
const ALSE: u32 = 0x65736c61;
const HEX_003C: u32 = 0x63333030;
const HEX_003E: u32 = 0x65333030;
const HEX_0026: u32 = 0x36323030;
const HEX_2028: u32 = 0x38323032;
const HEX_2029: u32 = 0x39323032;

/** Where the event that is read begins. */
let line: usize = 0;
/** Of FIELDS_MEMORY the one that is written next. */
let nextSlot: u32 = 0;
let sum1: u32 = 0;
let sum2: u32 = 0;
let sum3: u32 = 0;
let sum4: u32 = 0;

/**
 * Reads the Event that begins at an address of the window. Returns the bytes of it, or 0 where it
 * is none of this grammar. Where it is, FOUND holds from there on: begin and end of
 * resourceVersion, name, count and managedFields (0 and 0 where there is none), and a bit for each
 * field; and KEY its identity. In either case the window is as it was before.
 */
export function accept(start: usize): u32 {
  line = start;
  for (let i: usize = 0; i < 4; i++) store<u64>(FOUND + 8 * i, 0);
  sum1 = sum2 = sum3 = sum4 = 0;
  let at = line;
  if (load<u8>(at) != OPEN_OBJECT) return 0;
  let seen: u32 = 0;
  let next: u32 = 0;
  do {
    at++;
    const index = rowAt(at, next, 0, FIELDS);
    if (index == FIELDS || (seen & (1 << index)) != 0) return 0;
    seen |= 1 << index;
    next = index + 1;
    const row = rowOf(index);
    const value = at + keyLength(row);
    at = fieldEnd(row, value);
    if (at == 0) return 0;
    if (index == COUNT) found(2, value, at);
    addPart(row, value, at);
  } while (load<u8>(at) == COMMA);
  if (load<u8>(at) != CLOSE_OBJECT) return 0;
  // With one of the two alone, the slow way puts the other in front.
  const typeMeta = seen & (1 << KIND | 1 << API_VERSION);
  if (typeMeta != 0 && typeMeta != (1 << KIND | 1 << API_VERSION)) return 0;
  const hasVersion = load<u32>(FOUND) < load<u32>(FOUND, 4);
  if (!hasVersion) return 0;
  store<u32>(FOUND, seen, SEEN);
  finish();
  return <u32> (at + 1 - line);
}

/** Copies bytes within the memory. */
export function copy(to: usize, from: usize, length: usize): void {
  memory.copy(to, from, length);
}

function found(index: usize, start: usize, end: usize): void {
  store<u32>(FOUND + 8 * index, <u32> (start - line));
  store<u32>(FOUND + 8 * index, <u32> (end - line), 4);
}

function rowOf(index: u32): usize {
  return ROWS + ROW_BYTES * index;
}

/** Which row of [first, last) has the key at `at`, tried from `next` on; `last` for none. */
function rowAt(at: usize, next: u32, first: u32, last: u32): u32 {
  for (let i = next; i < last; i++) if (isKeyAt(at, rowOf(i))) return i;
  for (let i = first; i < next; i++) if (isKeyAt(at, rowOf(i))) return i;
  return last;
}

function keyLength(key: usize): u32 {
  return load<u8>(key, KEY_BYTES - 1);
}

function isKeyAt(at: usize, key: usize): bool {
  const all: u32 = (1 << keyLength(key)) - 1;
  const low: u32 = i8x16.bitmask(i8x16.eq(v128.load(at), v128.load(key)));
  const high: u32 = i8x16.bitmask(i8x16.eq(v128.load(at, 16), v128.load(key, 16)));
  return ((low | high << 16) & all) == all;
}

function fieldEnd(row: usize, start: usize): usize {
  const shape = load<u32>(row, SHAPE);
  if (shape == STRING) return stringEnd(start);
  if (shape == METADATA) return metadataEnd(start);
  if (shape != KNOWN_OBJECT) return scalarEnd(start);
  return knownObjectEnd(start, load<u32>(row, OBJECT_KEYS), load<u32>(row, OBJECT_KEYS_END));
}

function metadataEnd(start: usize): usize {
  if (load<u8>(start) != OPEN_OBJECT) return 0;
  let seen: u32 = 0;
  let next: u32 = NAME;
  let at = start;
  do {
    at++;
    const index = rowAt(at, next, NAME, ROWS_END);
    if (index == ROWS_END) {
      at = keyEnd(at);
      if (at == 0) return 0;
      at = valueEnd(at, 2);
      if (at == 0) return 0;
      continue;
    }
    if ((seen & (1 << index)) != 0) return 0;
    seen |= 1 << index;
    next = index + 1;
    const row = rowOf(index);
    const valueStart = at + keyLength(row);
    if (index == MANAGED_FIELDS) {
      const keyStart = at;
      at = valueEnd(valueStart, 2);
      if (at == 0) return 0;
      found(3, keyStart, at);
      continue;
    }
    at = stringEnd(valueStart);
    if (at == 0) return 0;
    if (index == RESOURCE_VERSION) found(0, valueStart + 1, at - 1);
    else if (index == NAME) found(1, valueStart + 1, at - 1);
    addPart(row, valueStart, at);
  } while (load<u8>(at) == COMMA);
  return load<u8>(at) == CLOSE_OBJECT ? at + 1 : 0;
}

/** `null` or an object that has only the given keys, in their order, each with a scalar. */
function knownObjectEnd(start: usize, keys: usize, keysEnd: usize): usize {
  if (load<u32>(start) == NULL) return start + 4;
  if (load<u8>(start) != OPEN_OBJECT) return 0;
  if (load<u8>(start + 1) == CLOSE_OBJECT) return start + 2;
  let key = keys;
  let at = start;
  do {
    at++;
    while (key < keysEnd && !isKeyAt(at, key)) key += KEY_BYTES;
    if (key == keysEnd) return 0;
    at = scalarEnd(at + keyLength(key));
    if (at == 0) return 0;
    key += KEY_BYTES;
  } while (load<u8>(at) == COMMA);
  return load<u8>(at) == CLOSE_OBJECT ? at + 1 : 0;
}

/** Behind any value in an object at the given depth; the Event object is at 1. */
function valueEnd(start: usize, depth: u32): usize {
  const base = depth;
  /** Of each level that is open above `base` one bit: whether it is an object. */
  let objects: u32 = 0;
  /** Where the fieldsV1 begins that is being read; 0 = none is. */
  let fields: usize = 0;
  let at = start;
  while (true) {
    const first = <u32> load<u8>(at);
    if (first == OPEN_OBJECT || first == OPEN_ARRAY) {
      if (depth >= DEPTH_MAX) return 0;
      // In ASCII each bracket that closes stands two behind the one that opens.
      const isFields = depth == FIELDS_DEPTH && load<u32>(at) == FIELDS_BEGIN;
      const known = isFields ? knownFieldsEnd(at) : 0;
      if (known != 0) {
        at = known;
      } else if (load<u8>(at + 1) == first + 2) {
        at += 2;
      } else {
        if (isFields) fields = at;
        const isObject = first == OPEN_OBJECT;
        depth++;
        objects = objects << 1 | <u32> isObject;
        at++;
        if (isObject) {
          at = keyEnd(at);
          if (at == 0) return 0;
        }
        continue;
      }
    } else {
      at = scalarEnd(at);
      if (at == 0) return 0;
    }
    while (true) {
      if (depth == base) return at;
      const byte = <u32> load<u8>(at);
      at++;
      if (byte == COMMA) {
        if ((objects & 1) != 0) {
          at = keyEnd(at);
          if (at == 0) return 0;
        }
        break;
      }
      const close = (objects & 1) != 0 ? CLOSE_OBJECT : CLOSE_ARRAY;
      if (byte != close) return 0;
      objects >>= 1;
      depth--;
      if (depth == FIELDS_DEPTH && fields != 0) {
        rememberFields(fields, at);
        fields = 0;
      }
    }
  }
}

/**
 * A cluster's events have few different values of fieldsV1, two fifths of their bytes. One that was
 * accepted at the same depth is accepted again, up to its closing bracket. A NUL is in none, so none
 * goes beyond the end of the window.
 */
function knownFieldsEnd(start: usize): usize {
  for (let slot: u32 = 0; slot < SLOTS; slot++) {
    const known = FIELDS_MEMORY + SLOT_BYTES * slot;
    const length: usize = load<u32>(known);
    if (length == 0) return 0;
    if (areSame(start, known + SLOT_HEAD, length)) return start + length;
  }
  return 0;
}

/** Remembers one in place of that which was remembered first, if it is neither short nor long. */
function rememberFields(start: usize, end: usize): void {
  const length = end - start;
  if (length < 16 || length > SLOT_BYTES - SLOT_HEAD) return;
  const slot = FIELDS_MEMORY + SLOT_BYTES * nextSlot;
  nextSlot = (nextSlot + 1) % SLOTS;
  store<u32>(slot, <u32> length);
  memory.copy(slot + SLOT_HEAD, start, length);
}

/** Whether two places have the same bytes, 16 at least; where they differ it is often at the end. */
function areSame(a: usize, b: usize, length: usize): bool {
  const last = length - 16;
  if (v128.any_true(v128.xor(v128.load(a + last), v128.load(b + last)))) return false;
  for (let at: usize = 0; at < last; at += 16) {
    if (v128.any_true(v128.xor(v128.load(a + at), v128.load(b + at)))) return false;
  }
  return true;
}

/** Behind a key and its colon. */
function keyEnd(start: usize): usize {
  const at = stringEnd(start);
  return at != 0 && load<u8>(at) == COLON ? at + 1 : 0;
}

/** Behind a string, integer, `null`, `true` or `false`. */
function scalarEnd(at: usize): usize {
  const first = <u32> load<u8>(at);
  if (first == QUOTE) return stringEnd(at);
  const word = load<u32>(at);
  if (word == NULL || word == TRUE) return at + 4;
  if (first == LOWER_F && load<u32>(at, 1) == ALSE) return at + 5;
  return integerEnd(at);
}

function isDigit(at: usize): bool {
  return <u32> load<u8>(at) - ZERO <= 9;
}

/**
 * An integer in plain digits, which is canonical at any length. No -0, no leading zero, and no
 * fraction or exponent: what is left of those is no `,` `}` or `]`, and the caller stops at it.
 */
function integerEnd(start: usize): usize {
  let at = load<u8>(start) == MINUS ? start + 1 : start;
  if (!isDigit(at)) return 0;
  if (load<u8>(at) == ZERO) return at == start ? at + 1 : 0;
  while (isDigit(at)) at++;
  return at;
}

/** Behind a string: canonical, and without what would break a line. */
function stringEnd(start: usize): usize {
  if (load<u8>(start) != QUOTE) return 0;
  let at = start + 1;
  while (true) {
    const bytes = v128.load(at);
    // As signed numbers, bytes beyond ASCII are below the space too.
    const special = v128.or(
      v128.or(
        i8x16.lt_s(bytes, i8x16.splat(0x20)),
        v128.or(
          i8x16.eq(bytes, i8x16.splat(0x22)),
          i8x16.eq(bytes, i8x16.splat(0x5c)),
        ),
      ),
      v128.or(
        // `<` and `>` are two apart, and 0x3c | 2 is 0x3e.
        i8x16.eq(v128.or(bytes, i8x16.splat(2)), i8x16.splat(0x3e)),
        i8x16.eq(bytes, i8x16.splat(0x26)),
      ),
    );
    const mask = i8x16.bitmask(special);
    if (mask == 0) {
      at += 16;
      continue;
    }
    at += ctz(mask);
    const byte = <u32> load<u8>(at);
    if (byte == QUOTE) return at + 1;
    at = byte == BACKSLASH ? escapeEnd(at + 1) : byte >= 0xc2 ? beyondAsciiEnd(at) : 0;
    if (at == 0) return 0;
  }
}

/** Behind an escape, from behind its backslash: one in its canonical spelling. */
function escapeEnd(at: usize): usize {
  switch (<u32> load<u8>(at)) {
    case QUOTE:
    case BACKSLASH:
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return at + 1;
    case 0x75: // u
      return isCanonicalHex(load<u32>(at, 1)) ? at + 5 : 0;
  }
  return 0;
}

/** Whether four digits are of a character that is escaped so: `<`, a control character and so on. */
function isCanonicalHex(digits: u32): bool {
  if (digits == HEX_003C || digits == HEX_003E || digits == HEX_0026) return true;
  if (digits == HEX_2028 || digits == HEX_2029) return true;
  const isBelow20 = (digits & 0xfeffff) == 0x303030;
  if (!isBelow20) return false;
  const last = digits >> 24;
  const isDecimal = last - ZERO <= 9;
  if (!isDecimal && last - LOWER_A > 5) return false;
  // 0009, 000a and 000d have escapes of their own.
  const isLow = (digits & 0x010000) == 0;
  return !isLow || (last != 0x39 && last != LOWER_A && last != 0x64);
}

/**
 * Behind a character beyond ASCII in valid UTF-8 (RFC 3629). Not U+0085, U+2028 and U+2029: some
 * readers take them for the end of a line, so the slow way spells them otherwise.
 */
function beyondAsciiEnd(at: usize): usize {
  const first = <u32> load<u8>(at);
  if (first < 0xc2) return 0;
  const second = <u32> load<u8>(at + 1);
  if ((second & 0xc0) != 0x80) return 0;
  if (first < 0xe0) return first == 0xc2 && second == 0x85 ? 0 : at + 2;
  const third = <u32> load<u8>(at + 2);
  if ((third & 0xc0) != 0x80) return 0;
  const code = (first & 0x0f) << 12 | (second & 0x3f) << 6 | third & 0x3f;
  if (first < 0xf0) {
    const isOther = code >= 0x800 && code >> 11 != 0x1b && code != 0x2028 && code != 0x2029;
    return isOther ? at + 3 : 0;
  }
  if (first > 0xf4 || (load<u8>(at + 3) & 0xc0) != 0x80) return 0;
  const plane = (first & 7) << 2 | second >> 4 & 3;
  return plane >= 1 && plane <= 16 ? at + 4 : 0;
}

/**
 * Adds the hash of a part: its prefix, then the value in [start, end). Nothing where the row has no
 * prefix, or the value is `null`, `{}` or `""`. The prefix is put in front of the value for that
 * time, over up to KEY_BYTES that were read already.
 */
function addPart(row: usize, start: usize, end: usize): void {
  const prefixLength = load<u32>(row, PREFIX_LENGTH);
  if (prefixLength == 0) return;
  const first = <u32> load<u8>(start);
  // Nothing else in the grammar begins with n.
  if (first == LOWER_N) return;
  if (end - start == 2 && (first == QUOTE || first == OPEN_OBJECT)) return;
  const before32 = v128.load(start - 32);
  const before16 = v128.load(start - 16);
  v128.store(start - 32, v128.load(row, PREFIX_END - 32));
  v128.store(start - 16, v128.load(row, PREFIX_END - 16));
  addHash(start - prefixLength, end);
  v128.store(start - 32, before32);
  v128.store(start - 16, before16);
}

const C1: u32 = 0x239b961b;
const C2: u32 = 0xab0e9789;
const C3: u32 = 0x38b34ae5;
const C4: u32 = 0xa1e38b93;

/** The index of each byte of a block. */
const COUNTING = i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);

/** Adds the MurmurHash3_x86_128 of [start, end) to the sum; lib/murmur3.ts is the same in words. */
function addHash(start: usize, end: usize): void {
  const length = <u32> (end - start);
  let h1: u32 = 0, h2: u32 = 0, h3: u32 = 0, h4: u32 = 0;
  let at = start;
  for (const last = end - 16; at <= last; at += 16) {
    h1 ^= rotl(load<u32>(at) * C1, 15) * C2;
    h1 = (rotl(h1, 19) + h2) * 5 + 0x561ccd1b;
    h2 ^= rotl(load<u32>(at + 4) * C2, 16) * C3;
    h2 = (rotl(h2, 17) + h3) * 5 + 0x0bcaa747;
    h3 ^= rotl(load<u32>(at + 8) * C3, 17) * C4;
    h3 = (rotl(h3, 15) + h4) * 5 + 0x96cd1c35;
    h4 ^= rotl(load<u32>(at + 12) * C4, 18) * C1;
    h4 = (rotl(h4, 13) + h1) * 5 + 0x32ac3b17;
  }
  // A tail shorter than a block counts as if filled up with zeros: a zero word changes no lane.
  const isTail = i8x16.lt_u(COUNTING, i8x16.splat(<i8> (end - at)));
  const tail = v128.and(v128.load(at), isTail);
  h1 ^= rotl<u32>(i32x4.extract_lane(tail, 0) * C1, 15) * C2;
  h2 ^= rotl<u32>(i32x4.extract_lane(tail, 1) * C2, 16) * C3;
  h3 ^= rotl<u32>(i32x4.extract_lane(tail, 2) * C3, 17) * C4;
  h4 ^= rotl<u32>(i32x4.extract_lane(tail, 3) * C4, 18) * C1;
  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  h1 += h2 + h3 + h4;
  h2 = fmix(h2 + h1);
  h3 = fmix(h3 + h1);
  h4 = fmix(h4 + h1);
  h1 = fmix(h1);
  h1 += h2 + h3 + h4;
  sum1 += h1;
  sum2 += h2 + h1;
  sum3 += h3 + h1;
  sum4 += h4 + h1;
}

function fmix(value: u32): u32 {
  let h = value;
  h = (h ^ h >> 16) * 0x85ebca6b;
  h = (h ^ h >> 13) * 0xc2b2ae35;
  return h ^ h >> 16;
}

/** Makes the identity of the sum. */
function finish(): void {
  let h1 = sum1 + sum2 + sum3 + sum4;
  let h2 = fmix(sum2 + h1);
  let h3 = fmix(sum3 + h1);
  let h4 = fmix(sum4 + h1);
  h1 = fmix(h1);
  h1 += h2 + h3 + h4;
  store<u32>(KEY, h1);
  store<u32>(KEY + 4, h2 + h1);
  store<u32>(KEY + 8, h3 + h1);
  store<u32>(KEY + 12, h4 + h1);
}
