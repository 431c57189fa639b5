/** Bytes that were never written are zeros. */

/** Whether all bytes are 0. */
export function isZero(bytes: Uint8Array): boolean {
  // every() would call a function for each byte: a millisecond for 64 KiB, at every start.
  for (let index = 0; index < bytes.length; index++) if (bytes[index] !== 0) return false;
  return true;
}
