/** The real files, where one folder of every path stands for another: `/golden` for a temporary one. */

import type { Io } from "../../lib/io.ts";
import { realIo } from "../../lib/real_io.ts";

/** Such an Io. What leads elsewhere throws: nothing outside of `to` is touched. */
export function mappedIo(from: string, to: string): Io {
  const map = (path: string) => {
    if (path !== from && !path.startsWith(`${from}/`)) throw new Error(`Not in ${from}: ${path}`);
    return to + path.slice(from.length);
  };
  return {
    ...realIo,
    open: (path, options) => realIo.open(map(path), options),
    openPipe: (path) => realIo.openPipe(map(path)),
    stat: (path) => realIo.stat(map(path)),
    list: (folder) => realIo.list(map(folder)),
    rename: (one, other) => realIo.rename(map(one), map(other)),
    remove: (path) => realIo.remove(map(path)),
    syncFolder: (folder) => realIo.syncFolder(map(folder)),
  };
}
