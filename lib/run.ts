/**
 * The life of the process: start, signals, and the end.
 *
 * Order of the start: what can be wrong with the settings is found first; then the state is locked
 * and made to agree with the destination; only then is the API server asked for anything. What main
 * needs no longer is given up before the first event is met.
 */

import { resolve } from "node:path";
import { BatchReader } from "./batch.ts";
import { CheckpointFile, type WatchState } from "./checkpoint.ts";
import { Commit } from "./commit.ts";
import { openDestination } from "./destination.ts";
import { ClusterError, InternalError } from "./errors.ts";
import type { Io, Timer } from "./io.ts";
import { type Cluster, loadCluster, prepareFetch } from "./kubeconfig.ts";
import { STOP_MS, SUMMARY_MS } from "./limits.ts";
import { log } from "./log.ts";
import { Pipeline } from "./pipeline.ts";
import { givePermissionsUp } from "./privileges.ts";
import type { Credentials, FromWatch, WatchSpec } from "./protocol.ts";
import { recover } from "./recovery.ts";
import { Refresh } from "./refresh.ts";
import { Ring } from "./ring.ts";
import { type Settings, settingsWarnings } from "./settings.ts";
import type { Signals } from "./signals.ts";
import { lockStateFolder } from "./state_folder.ts";
import { Abandoned } from "./trouble.ts";
import { WatchClient } from "./watch_client.ts";

/**
 * Runs until a signal or a failure ends it.
 *
 * @returns when it was stopped by a signal and all is in place
 * @throws ExitError with the status of the process; anything else is our bug
 */
export async function run(io: Io, given: Settings, signals: Signals): Promise<void> {
  const settings = withWholePaths(given);
  for (const warning of settingsWarnings(settings)) log.warning(warning);
  log.info(`Settings: ${JSON.stringify(settings)}`);
  const cluster = loadCluster(settings);
  prepareFetch(cluster); // Before the first use of TLS, which the next line may make.
  const credentials = await cluster.credentialSource.load();
  log.info(`API server ${cluster.server}, from ${cluster.source}.`);

  const folder = settings.persistencePath;
  const lock = await lockStateFolder(io, folder, Deno.pid);
  const checkpoints = CheckpointFile.open(io, folder);
  if (checkpoints.damaged > 0) {
    log.warning(
      `${checkpoints.damaged} damaged slot(s) in ${folder}/checkpoint. ` +
        (checkpoints.latest === null
          ? "No checkpoint is left: lines written after the last one may be written again."
          : "The other one is used."),
    );
  }
  const ring = Ring.open(io, { ...settings, folder });
  await recover(io, ring, checkpoints, { folder, identity: settings.identity });
  log.info(
    `State in ${folder}: ${ring.generations.length} generation(s) with ${ring.keys} key(s).`,
  );

  const watches = [{ server: cluster.server, namespace: null, fieldSelector: null }];
  const specs = watches.map((watch) => specOf(watch, checkpoints.latest?.watches ?? []));
  const session = new Session(io, settings, signals, cluster, credentials);
  const commit = await Commit.start(io, ring, checkpoints, {
    identity: settings.identity,
    syncIntervalMs: settings.syncIntervalMs,
    watches,
    positions: specs.map(({ position }) => position),
    openDestination: () => openDestination(io, settings.destination),
    onFatal: (error) => session.end(error),
    onGenerationClosed: () => session.refresh?.consider(),
  });
  log.info(`Lines go to ${commit.destination.path}.`);
  await session.run(commit, ring, specs);
  lock.close();
}

/** The checkpoint names the destination: a start from another folder must find the same file. */
function withWholePaths(settings: Settings): Settings {
  const { destination, persistencePath } = settings;
  return {
    ...settings,
    destination: destination === "-" ? destination : resolve(destination),
    persistencePath: resolve(persistencePath),
  };
}

/** What runs after the start, until the end. */
class Session {
  refresh: Refresh | undefined;
  readonly #io: Io;
  readonly #settings: Settings;
  readonly #signals: Signals;
  readonly #cluster: Cluster;
  readonly #inbox: FromWatch[] = [];
  readonly #timers = new Map<string, Timer>();
  readonly #ended = Promise.withResolvers<{ error: unknown }>();
  #working: Promise<void> = Promise.resolve();
  #credentials: Credentials;
  #connected = false;
  #stopping = false;

  constructor(
    io: Io,
    settings: Settings,
    signals: Signals,
    cluster: Cluster,
    credentials: Credentials,
  ) {
    this.#credentials = credentials;
    this.#io = io;
    this.#settings = settings;
    this.#signals = signals;
    this.#cluster = cluster;
  }

  /** Ends the session; without an error it is a stop that was asked for. */
  end(error: unknown): void {
    this.#ended.resolve({ error });
  }

  async run(commit: Commit, ring: Ring, watches: WatchSpec[]): Promise<void> {
    const client = new WatchClient(this.#cluster.netHosts, {
      onMessage: (message) => this.#receive(message, client, commit, pipeline),
      onDeath: (reason) => this.end(new InternalError(`The watch isolate died: ${reason}`)),
    });
    await givePermissionsUp(this.#cluster.credentialSource.needsRun);
    const refresh = new Refresh(this.#io, ring, (request) => client.askForList(request));
    this.refresh = refresh;
    const pipeline = new Pipeline(this.#io, commit, refresh, this.#settings.identity);
    this.#signals.onHangup = () => {
      log.info("SIGHUP: reopening the destination.");
      commit.switchFile().catch((error) => this.#failed(error));
    };
    this.#signals.onStop = (signal) => {
      log.info(`${signal}: stopping.`);
      this.end(null);
    };
    const { identity } = this.#settings;
    client.start({
      server: this.#cluster.server,
      identity,
      bothIdentities: ring.generations.some(({ header }) => header.identityMode !== identity),
      credentials: this.#credentials,
      watches,
    });
    this.#startTimers(client, pipeline, ring);
    refresh.consider();

    const { error } = await this.#ended.promise;
    const stopError = await this.#stop(client, commit, refresh);
    summarize(pipeline, ring);
    if (error !== null || stopError !== null) throw error ?? stopError;
  }

  /** A message of the watch isolate. What touches files is done in order, one after another. */
  #receive(message: FromWatch, client: WatchClient, commit: Commit, pipeline: Pipeline): void {
    switch (message.type) {
      case "log":
        return log.at(message.level, message.text);
      case "connected":
        this.#connected = true;
        log.info(`Connected to ${this.#cluster.server}.`);
        this.#clear("start");
        return;
      case "unauthorized":
        // Answered in any case: the watch isolate waits for it before it tries again.
        void this.#renewCredentials(client, true);
        return;
      case "batch":
      case "listed":
        this.#inbox.push(message);
        if (this.#inbox.length === 1) this.#working = this.#work(client, commit, pipeline);
        return;
      default:
        return message satisfies never;
    }
  }

  /** Deals with the inbox until it is empty. A message stays in it while it is dealt with. */
  async #work(client: WatchClient, commit: Commit, pipeline: Pipeline): Promise<void> {
    try {
      for (; this.#inbox.length > 0 && !this.#stopping; this.#inbox.shift()) {
        const message = this.#inbox[0]!;
        if (message.type === "listed") await this.refresh?.listed(commit, message.request);
        if (message.type !== "batch") continue;
        if (message.buffer !== null) {
          await pipeline.deal(new BatchReader(message.buffer));
          client.returnBuffer(message.buffer);
        }
        commit.dealt(message.positions);
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (!(error instanceof Abandoned)) this.end(error);
  }

  #startTimers(client: WatchClient, pipeline: Pipeline, ring: Ring): void {
    const { startTimeoutSec } = this.#settings;
    const { credentialSource, server } = this.#cluster;
    if (startTimeoutSec > 0) {
      this.#after("start", () => startTimeoutSec * 1000, () => {
        if (this.#connected) return;
        this.end(
          new ClusterError(
            `No API server let us in at ${server} within ${startTimeoutSec} s ` +
              "(--start-timeout-sec). The lines above say what it answered.",
          ),
        );
      });
    }
    this.#every("credentials", () => credentialSource.nextCheckMs(), () => {
      void this.#renewCredentials(client, false);
    });
    this.#every("summary", () => SUMMARY_MS, () => summarize(pipeline, ring));
  }

  async #renewCredentials(client: WatchClient, refused: boolean): Promise<void> {
    const { credentialSource } = this.#cluster;
    const renewed = await credentialSource.refresh({ force: refused });
    if (renewed !== null) log.info("The credentials changed; new ones are in use.");
    this.#credentials = renewed ?? this.#credentials;
    if (renewed !== null || refused) client.updateCredentials(this.#credentials);
  }

  /**
   * The batch in work is finished, unless it is blocked; what is durable stands in a checkpoint.
   *
   * @returns what the last commit failed with, or null
   */
  async #stop(client: WatchClient, commit: Commit, refresh: Refresh): Promise<unknown> {
    this.#stopping = true;
    for (const name of [...this.#timers.keys()]) this.#clear(name);
    refresh.stop();
    client.stop();
    commit.abandonWaits();
    const late = new AbortController();
    await Promise.race([this.#working, this.#io.sleep(STOP_MS, late.signal)]);
    late.abort();
    try {
      await commit.stop();
    } catch (error) {
      if (!(error instanceof Abandoned)) return error;
      log.warning("Stopped before all was written; the next start goes on from there.");
    }
    return null;
  }

  #every(name: string, ms: () => number, action: () => void): void {
    this.#after(name, ms, () => {
      action();
      this.#every(name, ms, action);
    });
  }

  #after(name: string, ms: () => number, action: () => void): void {
    this.#timers.set(name, setTimeout(action, ms()));
  }

  #clear(name: string): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

function specOf(watch: Omit<WatchState, "position">, known: WatchState[]): WatchSpec {
  const { server, namespace, fieldSelector } = watch;
  const state = known.find((one) =>
    one.server === server && one.namespace === namespace && one.fieldSelector === fieldSelector
  );
  return { namespace, fieldSelector, position: state?.position ?? null };
}

function summarize(pipeline: Pipeline, ring: Ring): void {
  const { met, written, bytes } = pipeline.counts;
  log.info(
    `Since the start: ${met} event(s) met, ${written} line(s) written (${bytes} bytes), ` +
      `${
        met - written
      } known. Ring: ${ring.generations.length} generation(s), ${ring.keys} key(s).`,
  );
}
