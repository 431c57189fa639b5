/**
 * resourceVersions, and their order as KEP-5504 allows it: plain decimals by their size, whatever
 * that is; anything else may only be compared for equality.
 *
 * A text for each event would be most of what the event costs beside its bytes. So a decimal that a
 * number holds exactly, as all are that etcd gives, is that number in memory, and a text elsewhere.
 */

/** A decimal of at most DIGITS_MAX digits as its number, and everything else as its text. */
export type ResourceVersion = string | number;

/** Of these a double holds every one exactly (2^53 is above 9e15). */
const DIGITS_MAX = 15;

const DECIMAL = /^(?:0|[1-9][0-9]*)$/;
const ZERO = 0x30;

/** The one form in which a version is held, so that equal versions are `===`. */
export function versionOf(version: ResourceVersion): ResourceVersion {
  if (typeof version === "number" || version.length > DIGITS_MAX) return version;
  return DECIMAL.test(version) ? Number(version) : version;
}

/** The number that stands in [start, end), which is not empty; -1 where versionOf() gives none. */
export function decimalIn(bytes: Uint8Array, start: number, end: number): number {
  if (end - start > DIGITS_MAX || bytes[start] === ZERO && end - start > 1) return -1;
  let number = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return -1;
    number = 10 * number + digit;
  }
  return number;
}

/** Orders two versions; null where they have no order. */
export function compareRv(a: ResourceVersion, b: ResourceVersion): -1 | 0 | 1 | null {
  const one = versionOf(a);
  const other = versionOf(b);
  if (one === other) return 0;
  if (typeof one === "number" && typeof other === "number") return one < other ? -1 : 1;
  const text = `${one}`;
  const otherText = `${other}`;
  if (!DECIMAL.test(text) || !DECIMAL.test(otherText)) return null;
  if (text.length !== otherText.length) return text.length < otherText.length ? -1 : 1;
  return text < otherText ? -1 : 1;
}
