/**
 * Memory for the page cache, at hand before a run begins.
 *
 * A virtual machine may give free memory back to its host at once. To get it anew costs ten times
 * what writing into it does (dd, 256 KiB at a time: 0.57 and 6 GB/s), 2 us for the line of an event
 * that takes 3 in all, and no program can do anything about it. So each run finds as many pages as
 * it is going to fill, freed just before.
 */

/** More than the lines: what else is written, and pages that are given back meanwhile. */
const SPARE = 1.25;

const chunk = new Uint8Array(1024 * 1024);

/** Fills page cache of a file in `folder` for `bytes` of lines, and frees it. */
export function warmPageCache(folder: string, bytes: number): void {
  const path = `${folder}/warm`;
  using file = Deno.openSync(path, { write: true, createNew: true });
  for (let written = 0; written < SPARE * bytes;) written += file.writeSync(chunk);
  Deno.removeSync(path);
}
