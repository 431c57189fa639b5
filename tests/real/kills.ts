/**
 * The program under load, killed with -9 at all moments of its life and rotated in between; then
 * its lines are held against what the API server acknowledged.
 */

import { linesOf, type Tally, tally } from "../fake/tally.ts";
import { hasPosition } from "../support/checkpoint.ts";
import { until } from "../support/temp.ts";
import type { ApiServerAccess } from "./api_server.ts";
import { EventWriter } from "./event_writer.ts";
import { Load } from "./kill_load.ts";
import type { Life } from "./kill_plan.ts";
import { Victim } from "./kill_victim.ts";

/** What is missing at the end gets this long to come, ms. */
const LAST_LINES_MS = 30_000;

/** What to do, and with what. */
export interface KillOptions {
  /** Empty; see {@linkcode Victim} for what it will hold. */
  folder: string;
  /** Nobody else may write to it. */
  namespace: string;
  lives: Life[];
  /** Called after each life. */
  onLife?: (done: number, so: { rotations: number; writes: number }) => void;
  /** Once it is raised, no more lives begin: its reason is thrown. */
  signal?: AbortSignal;
}

/** What happened, and whether all lines are right. */
export interface KillReport {
  tally: Tally;
  /** Content of each occurrence, and when it was acknowledged, ms since 1970. */
  expected: ReadonlyMap<string, number>;
  kills: number;
  /** Writes that the API server acknowledged. */
  writes: number;
  writesPerSecond: number;
  /** The same in the worst 10 s. */
  slowestPerSecond: number;
  /** What the program's own `check` says of all that; status 0 = all is well. */
  check: { code: number | null; said: string };
  /** Its files, and what it said and did. */
  victim: Victim;
}

/** Writes events at the server and lets the program live and die as planned. */
export async function killUnderLoad(
  server: ApiServerAccess,
  options: KillOptions,
): Promise<KillReport> {
  using writer = new EventWriter(server);
  await writer.createNamespace(options.namespace);
  const victim = new Victim(server.kubeconfig, options.folder);
  let load: Load | null = null;
  try {
    await hasPosition(victim.state);
    load = new Load(writer, options.namespace);
    let kills = 0;
    for (const life of options.lives) {
      options.signal?.throwIfAborted();
      if (load.isOver) break;
      await victim.live(life);
      kills++;
      options.onLife?.(kills, { rotations: victim.rotated.length, writes: load.writes });
      victim.start();
    }
    await load.stop();
    const { writes, expected, writesPerSecond, slowestPerSecond } = load;
    const judge = () => tally(linesIn(victim.files, options.namespace), expected.keys());
    await until("nothing is missing", () => judge().lost.length === 0, LAST_LINES_MS)
      .catch(() => {}); // The tally says what is.
    await victim.stop(); // With it comes what is written once too often.
    // Tests that share the server would find them.
    await writer.request("DELETE", `/api/v1/namespaces/${options.namespace}/events`);
    return {
      tally: judge(),
      check: await victim.check(),
      ...{ expected, kills, writes, writesPerSecond, slowestPerSecond, victim },
    };
  } finally {
    await load?.stop().catch(() => {}); // It was thrown above.
    await victim.end();
  }
}

/** The lines of a namespace in these files, and all that are torn. */
export function* linesIn(files: string[], namespace: string): Generator<string> {
  for (const line of linesOf(...files.map((path) => Deno.readTextFileSync(path)))) {
    const isWhole = line.startsWith("{") && line.endsWith("}");
    if (!isWhole || line.includes(`"namespace":"${namespace}"`)) yield line;
  }
}
