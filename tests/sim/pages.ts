/**
 * The bytes of a file, in pages that never change once they are here: who writes makes a new page.
 * So what a file was is kept by keeping a list of pages.
 */

import { Buffer } from "node:buffer";

/** What a disk writes whole, bytes. */
export const SECTOR = 512;
const PAGE = 4096;
const SECTORS = PAGE / SECTOR;
const ZEROS = new Uint8Array(PAGE);
const { compare } = Buffer;

/** See the head of this file. What was never written is zeros. */
export class Pages {
  #pages: Uint8Array[] = [];

  /** What is here now. */
  copy(): Pages {
    const copy = new Pages();
    copy.#pages = this.#pages.slice();
    return copy;
  }

  /** Whether the same bytes are here. */
  equals(other: Pages): boolean {
    const count = Math.max(this.#pages.length, other.#pages.length);
    for (let page = 0; page < count; page++) {
      const [one, another] = [this.#page(page), other.#page(page)];
      if (one !== another && compare(one, another) !== 0) return false;
    }
    return true;
  }

  /** Fills `into` with what stands from an offset on. */
  read(into: Uint8Array, offset: number): void {
    for (let done = 0; done < into.length;) {
      const at = (offset + done) % PAGE;
      const page = this.#page(Math.floor((offset + done) / PAGE));
      const part = page.subarray(at, at + into.length - done);
      into.set(part, done);
      done += part.length;
    }
  }

  /** Writes bytes at an offset and tells the sectors that are others now. */
  write(bytes: Uint8Array, offset: number, onSector: (sector: number) => void): void {
    const end = offset + bytes.length;
    for (let page = Math.floor(offset / PAGE); page * PAGE < end; page++) {
      const from = Math.max(offset, page * PAGE);
      const to = Math.min(end, (page + 1) * PAGE);
      this.#writePage(page, bytes.subarray(from - offset, to - offset), from % PAGE, onSector);
    }
  }

  #writePage(
    page: number,
    bytes: Uint8Array,
    at: number,
    onSector: (sector: number) => void,
  ): void {
    const before = this.#page(page);
    // A checkpoint's slot is 64 KiB of which few change: whole pages are skipped first.
    if (compare(before.subarray(at, at + bytes.length), bytes) === 0) return;
    const after = before.slice();
    after.set(bytes, at);
    this.#set(page, after);
    const last = Math.floor((at + bytes.length - 1) / SECTOR);
    for (let sector = Math.floor(at / SECTOR); sector <= last; sector++) {
      const [from, to] = [sector * SECTOR, (sector + 1) * SECTOR];
      const isSame = compare(before.subarray(from, to), after.subarray(from, to)) === 0;
      if (!isSame) onSector(page * SECTORS + sector);
    }
  }

  /** Takes these sectors from others. */
  take(sectors: Iterable<number>, from: Pages): void {
    const fresh = new Map<number, Uint8Array>();
    for (const sector of sectors) {
      const page = Math.floor(sector / SECTORS);
      let bytes = fresh.get(page);
      if (bytes === undefined) {
        bytes = this.#page(page).slice();
        fresh.set(page, bytes);
        this.#set(page, bytes);
      }
      const at = sector * SECTOR % PAGE;
      bytes.set(from.#page(page).subarray(at, at + SECTOR), at);
    }
  }

  /** Nothing but zeros from this size on. */
  cut(size: number): void {
    const whole = Math.ceil(size / PAGE);
    if (this.#pages.length > whole) this.#pages.length = whole;
    const page = this.#pages[Math.floor(size / PAGE)];
    if (page === undefined) return;
    const rest = page.subarray(size % PAGE);
    if (compare(rest, ZEROS.subarray(size % PAGE)) === 0) return;
    this.#set(Math.floor(size / PAGE), page.slice().fill(0, size % PAGE));
  }

  #page(page: number): Uint8Array {
    return this.#pages[page] ?? ZEROS;
  }

  #set(page: number, bytes: Uint8Array): void {
    while (this.#pages.length < page) this.#pages.push(ZEROS);
    this.#pages[page] = bytes;
  }
}
