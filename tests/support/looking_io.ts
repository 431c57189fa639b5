/** The real files for somebody who only looks: whatever would change one, or wait for it, throws. */

import type { Io, IoFile } from "../../lib/io.ts";
import { realIo } from "../../lib/real_io.ts";

/** What a test wants to happen meanwhile. */
export interface LookingHooks {
  /** Called in place of each wait. */
  onSleep?: () => void;
  /** Called behind each read of a file, with what was read. */
  onRead?: (path: string, bytes: Uint8Array, offset: number) => void;
}

/** Such an Io. Its waits take no time. */
export function lookingIo(hooks: LookingHooks = {}): Io {
  const refuse = (what: string) => () => {
    throw new Error(`It only looks, but called ${what}()`);
  };
  return {
    ...realIo,
    sleep: () => Promise.resolve(hooks.onSleep?.()),
    open(path, options): IoFile {
      if (options.mode !== "read" || options.create !== undefined) refuse("open")();
      const file = realIo.open(path, options);
      return {
        readAt(into, offset) {
          const read = file.readAt(into, offset);
          hooks.onRead?.(path, into.subarray(0, read), offset);
          return read;
        },
        size: () => file.size(),
        stat: () => file.stat(),
        close: () => file.close(),
        writeAt: refuse("writeAt"),
        append: refuse("append"),
        truncate: refuse("truncate"),
        syncNow: refuse("syncNow"),
        sync: refuse("sync"),
        lock: refuse("lock"),
        waitForLock: refuse("waitForLock"),
      };
    },
    openPipe: refuse("openPipe"),
    writeStdout: refuse("writeStdout"),
    rename: refuse("rename"),
    remove: refuse("remove"),
    syncFolder: refuse("syncFolder"),
  };
}

/** Turns one bit of a file round. */
export function flipBit(path: string, at: number, bit = 0): void {
  const bytes = Deno.readFileSync(path);
  bytes[at]! ^= 1 << bit;
  Deno.writeFileSync(path, bytes);
}
