/** What a BYOB reader does to a splitter's window, without a stream. */

/** The side of a splitter that reads. */
export interface Window {
  room(): Uint8Array<ArrayBuffer>;
  fill(view: Uint8Array<ArrayBuffer>): void;
}

/**
 * Reads a chunk into the window, in as many reads as its room asks for, and drains it after each.
 * The buffer is moved at each read, so that a view kept from before would be empty.
 */
export function feed(window: Window, chunk: Uint8Array, drain: () => void): void {
  for (let at = 0; at < chunk.length;) {
    const room = window.room();
    const piece = chunk.subarray(at, at + room.length);
    room.set(piece);
    const start = room.byteOffset;
    window.fill(new Uint8Array(room.buffer.transfer(), start, piece.length));
    at += piece.length;
    drain();
  }
}

/** Cuts bytes at the given places, in any order. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set([...places.map((place) => place % (bytes.length + 1)), bytes.length])];
  ends.sort((a, b) => a - b);
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

/** One byte at a time. */
export function singleBytes(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
}
