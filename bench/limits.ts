/** A LIST that is far larger than the memory, and messages of 1 MB, under a bound of memory. */

import { lineBytes } from "./feed.ts";
import { Child, fileReaches, sleep, usageOf } from "./process.ts";
import type { Row } from "./report.ts";
import type { Rig } from "./rig.ts";

const LIMIT_MB = 128;

/** A memory cgroup of our own, and how to enter it; null where none can be made. */
function makeCgroup(): { enter: string; remove: () => void; kind: string } | null {
  const name = `kube-event-pipe-bench-${Deno.pid}`;
  const limit = `${LIMIT_MB * 1024 * 1024}`;
  const kinds = [
    ["/sys/fs/cgroup/memory", "memory.limit_in_bytes", "cgroup v1"],
    ["/sys/fs/cgroup", "memory.max", "cgroup v2"],
  ] as const;
  for (const [parent, file, kind] of kinds) {
    const folder = `${parent}/${name}`;
    try {
      Deno.mkdirSync(folder);
    } catch {
      continue; // Not root, or no such hierarchy.
    }
    const remove = () => Deno.removeSync(folder);
    // In a folder that is no cgroup, a mere file would be made.
    if (exists(`${folder}/${file}`)) {
      Deno.writeTextFileSync(`${folder}/${file}`, limit);
      return { enter: `${folder}/cgroup.procs`, remove, kind };
    }
    remove();
  }
  return null;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Rows for both; the program must write every line. */
export async function limits(rig: Rig, events: number): Promise<Row[]> {
  const cgroup = makeCgroup();
  if (cgroup === null) {
    return [{ what: `under ${LIMIT_MB} MB`, figure: "SKIPPED: needs root and a memory cgroup" }];
  }
  const rows: Row[] = [];
  for (const [feed, count, message] of [["list", events, 0], ["watch", 500, 1_000_000]] as const) {
    const folder = rig.newFolder();
    const url = await rig.feeder("https").url(`${feed}=${count},message=${message}`, feed);
    const child = rig.program(url, folder);
    Deno.writeTextFileSync(cgroup.enter, `${child.pid}`);
    await fileReaches(`${folder}/events.jsonl`, lineBytes(count, message));
    const { peakMb } = usageOf(child.pid);
    await stopped(child);
    Deno.removeSync(folder, { recursive: true });
    const size = message === 0 ? "" : ` of ${message / 1e6} MB`;
    rows.push({
      what: `${feed.toUpperCase()} of ${count.toLocaleString("en-US")} events${size}: peak RSS`,
      figure: `${peakMb.toFixed(1)} MB, every line written`,
      reference: `${LIMIT_MB} MB by ${cgroup.kind}, page cache counted in it`,
    });
  }
  cgroup.remove();
  return rows;
}

async function stopped(child: Child): Promise<void> {
  await child.stop();
  await sleep(200); // The cgroup is empty a moment later.
}
