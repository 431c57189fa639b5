/**
 * The real program for minutes among faults of network, disk and process at once, against an API
 * server that remembers all that it ever stored and showed.
 */

import { hasPosition } from "../support/checkpoint.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";
import { mounts } from "../support/mount.ts";
import { Random } from "../sim/random.ts";
import { Cluster } from "./cluster.ts";
import { diskFaults } from "./disk_faults.ts";
import { type Lane, runLane } from "./faults.ts";
import { DestinationFiles } from "./files.ts";
import { Janitor } from "./janitor.ts";
import { contentHash } from "./ledger.ts";
import { Load } from "./load.ts";
import { catalogueFaults, NETWORK_FAULTS } from "./network_faults.ts";
import { Oracle, type Verdict, worstRate } from "./oracle.ts";
import { PROCESS_FAULTS } from "./process_faults.ts";
import { RESTORES, STORE_FAULTS } from "./store_faults.ts";
import { Subject } from "./subject.ts";
import { Volume } from "./volume.ts";
import { World } from "./world.ts";

/** Sizes of the file systems, kilobytes. */
const DESTINATION_KILOBYTES = 512 * 1024;
const STATE_KILOBYTES = 64 * 1024;
/** A generation holds so many keys: some minutes of load. */
const CAPACITY = 20_000;
/** Between two looks for files that may go, ms. */
const COLLECT_MS = 2_000;
/** What is missing after the last fault gets this long to come, ms: a backoff may be 60 s. */
const LAST_LINES_MS = 120_000;
/** After so long, ms, another state is made that only the history holds. */
const PASSING_MS = 20_000;
/** Requests are counted over this, ms. */
const RATE_SPAN_MS = 10_000;
/** `check` reads all lines, ms. */
const CHECK_MS = 120_000;

/** The program's two file systems. */
interface Volumes {
  destination: Volume;
  state: Volume;
}

/** How generations come and go. */
export interface RingPlan {
  seconds: number;
  count: number;
  /** Whether etcd is put back. Only where no generation is dropped is that remembered. */
  restores: boolean;
}

/** What to do. */
export interface SoakOptions {
  /** Empty; gets all files. */
  folder: string;
  seed: number;
  minutes: number;
  /** Called from time to time. */
  onProgress?: (text: string) => void;
  /** Ends it early. */
  signal?: AbortSignal;
  /** Before all is judged, one line is taken away and another written twice. */
  breaks?: boolean;
}

/** What happened. */
export interface SoakReport {
  verdict: Verdict;
  counts: ReadonlyMap<string, number>;
  writes: number;
  kills: number;
  starts: number;
  rotations: number;
  deletions: number;
  ownEnds: string[];
  badStops: string[];
  said: ReadonlyMap<string, number>;
  peakKilobytes: number;
  /** Requests in the worst 10 s. */
  worstRequests: number;
  /** Longest time for which the API server did not get to run, ms. */
  longestPauseMs: number;
  /** From the end of the faults until nothing was missing, ms. */
  settledMs: number;
  /** What the program's own `check` says of what is left; status 0 = all is well. */
  check: { code: number | null; said: string };
  ring: RingPlan;
  hasDisks: boolean;
}

/** Half of the seeds drop generations, the other half put etcd back. */
export function ringPlan(seed: number): RingPlan {
  return seed % 2 === 0
    ? { seconds: 20, count: 5, restores: false }
    : { seconds: 60, count: 200, restores: true };
}

/** What goes wrong beside each other. A short run has shorter pauses. */
function lanesOf(ring: RingPlan, volumes: Volumes | null, minutes: number): Lane[] {
  const store = ring.restores ? { ...STORE_FAULTS, ...RESTORES } : STORE_FAULTS;
  const lanes = [
    { faults: catalogueFaults(!ring.restores), pauseMs: 8_000 },
    { faults: NETWORK_FAULTS, pauseMs: 15_000 },
    { faults: PROCESS_FAULTS, pauseMs: 8_000 },
    { faults: store, pauseMs: 10_000 },
    ...(volumes === null
      ? []
      : [{ faults: diskFaults(volumes.destination, volumes.state), pauseMs: 15_000 }]),
  ];
  return lanes.map(({ faults, pauseMs }) => ({
    faults,
    pauseMs: minutes < 1 ? pauseMs / 4 : pauseMs,
  }));
}

/** See the head of this file. */
export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { folder, seed, minutes } = options;
  const ring = ringPlan(seed);
  const paths = { destination: `${folder}/destination`, state: `${folder}/state` };
  for (const path of Object.values(paths)) Deno.mkdirSync(path);
  const volumes: Volumes | null = mounts() === null ? null : {
    destination: new Volume(paths.destination, DESTINATION_KILOBYTES),
    state: new Volume(paths.state, STATE_KILOBYTES),
  };
  const output = `${paths.destination}/events.jsonl`;
  const janitor = new Janitor(folder, ["destination", "state"]);
  const cluster = await Cluster.start(`${folder}/kubeconfig`);
  const { server } = cluster.record;
  const subject = new Subject(
    [
      ...["--kubeconfig", `${folder}/kubeconfig`, "--destination", output],
      ...["--persistence-path", paths.state, `--batch-duration-sec=${ring.seconds}`],
      ...[`--batch-count=${ring.count}`, `--filter-capacity=${CAPACITY}`],
    ],
    `${folder}/program.log`,
    (pid) => void janitor.mind(pid),
  );
  const files = new DestinationFiles(output, paths.state);
  const load = new Load(server.store, new Random(seed, 1));
  const world = new World({ seed, cluster, load, files, subject });
  const pauses = new PauseMeter();
  let collecting: ReturnType<typeof setInterval> | undefined;
  try {
    load.fill(200);
    subject.start();
    await hasPosition(paths.state);
    subject.supervise();
    load.start();
    collecting = setInterval(() => files.collect(), COLLECT_MS);
    const lanes = lanesOf(ring, volumes, minutes);
    const running = Promise.all(lanes.map((each, lane) => runLane(world, 2 + lane, each)));
    await passTime(world, running, options);
    load.stop();
    server.faults.clear();
    for (const namespace of ["default", "shop"]) {
      server.store.create(lastEvent(namespace));
    }
    // A short run does not wait for a backoff that the faults have made long.
    if (minutes < 1) await restarted(subject);
    const settledMs = await settle(world);
    await subject.alone(() => {
      subject.leave();
      return subject.stop();
    });
    clearInterval(collecting);
    if (options.breaks) breakLines(output);
    const check = await checked(paths.state, files);
    const ledger = files.finish();
    const verdict = new Oracle(cluster.record, subject.lives, world.stalls).judge(ledger);
    return {
      verdict,
      check,
      ring,
      settledMs,
      counts: world.counts,
      writes: load.writes,
      kills: subject.kills,
      starts: subject.lives.length,
      rotations: files.rotations,
      deletions: files.deletions,
      ownEnds: subject.ownEnds,
      badStops: subject.badStops,
      said: subject.said,
      peakKilobytes: subject.peakKilobytes,
      worstRequests: worstRate(cluster.record.asked, RATE_SPAN_MS),
      longestPauseMs: pauses.stop(),
      hasDisks: volumes !== null,
    };
  } finally {
    pauses.stop();
    clearInterval(collecting);
    load.stop();
    world.finish();
    await subject.end();
    await server.close();
    volumes?.destination.end();
    volumes?.state.end();
    await janitor.dismiss();
  }
}

/** Proves that the verdict can be another: see {@linkcode SoakOptions.breaks}. */
function breakLines(path: string): void {
  const lines = Deno.readTextFileSync(path).split(/(?<=\n)/);
  const last = lines.findLastIndex((line) => line.includes('"the-last.1"'));
  const other = last === 0 ? 1 : last - 1;
  lines[last] = lines[other]!;
  Deno.writeTextFileSync(path, lines.join(""));
}

/** Until the time is up, a lane fails or the signal comes; then all lanes are ended. */
async function passTime(
  world: World,
  running: Promise<unknown>,
  { minutes, onProgress, signal }: SoakOptions,
): Promise<void> {
  const startMs = performance.now();
  const failed = running.then(() => {}, () => world.finish());
  const end = () => world.finish();
  signal?.addEventListener("abort", end);
  while (!world.isOver) {
    const leftMs = startMs + minutes * 60_000 - performance.now();
    if (leftMs <= 0) break;
    await Promise.race([world.sleep(Math.min(leftMs, 10_000)), failed]);
    const seconds = Math.round((performance.now() - startMs) / 1000);
    const { load, subject, files, counts } = world;
    const faults = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const megabytes = Math.round(subject.peakKilobytes / 1024);
    onProgress?.(
      `${seconds} s: ${load.writes} writes, ${faults} faults, ${subject.kills} kills, ` +
        `${files.rotations} rotations, ${files.collected.lines} lines read, peak ${megabytes} MiB`,
    );
  }
  world.finish();
  signal?.removeEventListener("abort", end);
  await running;
  signal?.throwIfAborted();
}

async function restarted(subject: Subject): Promise<void> {
  await subject.alone(async () => {
    await subject.stop();
    subject.start();
  });
}

/**
 * Waits until all that lives has its line, and all that only the history holds: a WATCH is read in
 * order, so until a state that is overwritten at once, which no LIST shows, has its line.
 *
 * @returns how long that took, ms
 */
async function settle({ cluster, files }: Pick<World, "cluster" | "files">): Promise<number> {
  const startMs = performance.now();
  const { store } = cluster.record.server;
  const all = { prefix: "", start: "", limit: null, matches: () => true };
  const live = () => store.storage.range({ ...all, at: store.storage.revision }).events;
  const passing = [passingState(store)];
  await until("all has its line", async () => {
    await pause(500);
    const ledger = files.now();
    const has = (hash: string) => ledger.has(hash) || files.collected.has(hash);
    // A watch that is refused by its first line may lose one.
    const sinceMs = performance.now() - startMs;
    if (sinceMs > passing.length * PASSING_MS) passing.push(passingState(store));
    return passing.some(has) && live().map(contentHash).every(has);
  }, LAST_LINES_MS).catch(() => {}); // The verdict says what is missing.
  return performance.now() - startMs;
}

/** Makes an event whose first state is overwritten at once; returns the hash of that state. */
function passingState(store: Cluster["record"]["server"]["store"]): string {
  const first = store.create(lastEvent("default", `passing.${store.storage.revision}`));
  store.patch("default", first.metadata.name, { message: "It is overwritten." });
  return contentHash(first);
}

async function checked(
  state: string,
  files: DestinationFiles,
): Promise<{ code: number | null; said: string }> {
  const old = files.paths.filter((path) => path !== files.path);
  const args = ["check", "--destination", files.path, "--persistence-path", state, ...old];
  const { code, stdout, stderr } = await Program.run({ args }, CHECK_MS);
  return { code, said: `${stdout}${stderr}`.trim() };
}

function lastEvent(
  namespace: string,
  name = "the-last.1",
): Parameters<Cluster["record"]["server"]["store"]["create"]>[0] {
  return {
    metadata: { namespace, name },
    involvedObject: { kind: "Pod", namespace, name: "the-last" },
    reason: "Last",
    message: "Behind it nothing comes.",
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** How long the event loop, and so the API server, was busy with something else. */
class PauseMeter {
  #longestMs = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => {
    const nowMs = performance.now();
    this.#longestMs = Math.max(this.#longestMs, nowMs - this.#lastMs - 20);
    this.#lastMs = nowMs;
  }, 20);

  /** Ends it; the longest so far. */
  stop(): number {
    clearInterval(this.#timer);
    return this.#longestMs;
  }
}
