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

/** Of the memory that is at hand no more than this: other pages are to stay, the binary's above all. */
const SHARE = 0.25;

const chunk = new Uint8Array(1024 * 1024);

/** Fills page cache of a file in `folder` for `bytes` of lines, and frees it. */
export function warmPageCache(folder: string, bytes: number): void {
  const path = `${folder}/warm`;
  using file = Deno.openSync(path, { write: true, createNew: true });
  const most = Math.min(SPARE * bytes, SHARE * availableBytes());
  for (let written = 0; written < most;) written += file.writeSync(chunk);
  Deno.removeSync(path);
}

/** Memory that can be had without swapping, as Linux estimates it. */
function availableBytes(): number {
  const text = Deno.readTextFileSync("/proc/meminfo");
  return 1024 * Number(/^MemAvailable:\s+(\d+) kB$/m.exec(text)![1]);
}
