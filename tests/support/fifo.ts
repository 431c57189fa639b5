/** FIFOs as a reader sees them, without ever waiting for a writer. */

import fs from "node:fs";

/** Makes a FIFO. */
export function makeFifo(path: string): void {
  const { success, stderr } = new Deno.Command("mkfifo", { args: [path] }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** Opens a FIFO for reading; returns the descriptor. */
export function openReader(path: string): number {
  return fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
}

/** All that can be read right now. */
export function readAvailable(fd: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (;;) {
    const buffer = new Uint8Array(65536);
    let count = 0;
    try {
      count = fs.readSync(fd, buffer);
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
    }
    if (count === 0) return concat(parts);
    parts.push(buffer.subarray(0, count));
  }
}

function concat(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}

/** Ends the reading. */
export function closeReader(fd: number): void {
  fs.closeSync(fd);
}
