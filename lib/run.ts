/**
 * The life of the process: start, signals, and the end.
 *
 * Order of the start: what can be wrong with the settings is found first; then the state is locked
 * (a standby waits here) and made to agree with the destination; only then is the API server asked
 * for anything. What main needs no longer is given up before the first event is met.
 */

import { resolve } from "node:path";
import type { WatchState } from "./checkpoint.ts";
import { ClusterError, InternalError } from "./errors.ts";
import type { Io, IoFile } from "./io.ts";
import { type Cluster, loadCluster, prepareFetch } from "./kubeconfig.ts";
import { SUMMARY_MS } from "./limits.ts";
import { log } from "./log.ts";
import { ObserveServer } from "./observe_server.ts";
import { Observer } from "./observer.ts";
import { givePermissionsUp } from "./privileges.ts";
import type { Credentials, FromWatch } from "./protocol.ts";
import { Recorder } from "./recorder.ts";
import { Notifier, takeManagerEnv } from "./sd_notify.ts";
import { Service } from "./service.ts";
import { type Settings, settingsWarnings } from "./settings.ts";
import type { Signals } from "./signals.ts";
import { waitForTurn } from "./standby.ts";
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
  const service = serviceFor(io); // Plugins inherit the environment as the next line finds it.
  const { metricsAddress, standby } = settings;
  let cluster = loadCluster(settings);
  const turn = standby ? await waitForTurn(io, settings, Deno.pid, () => standBy(service)) : null;
  if (turn?.hasWaited) cluster = loadCluster(settings); // That may have been weeks ago.
  // Behind the wait: on the same machine the other instance has the port until it ends.
  const server = metricsAddress === null ? null : await ObserveServer.open(metricsAddress);
  prepareFetch(cluster); // Before the first use of TLS, which the next line may make.
  const credentials = await cluster.credentialSource.load();
  log.info(`API server ${cluster.server}, from ${cluster.source}.`);
  const session = new Session(io, settings, signals, service, cluster, credentials, server);
  await session.run(turn?.lock);
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

/** What tells a service manager how we are; nothing where there is none. */
function serviceFor(io: Io): Service {
  const env = takeManagerEnv(Deno.pid);
  const notifier = env === null ? null : Notifier.open(env.socket);
  return new Service(io, notifier, env?.watchdogMs ?? null);
}

/** A standby is up while it waits: it does what it is there for. */
function standBy(service: Service): void {
  service.ready({
    describe: () => "Standby: waiting for the end of the other instance.",
    health: () => null,
  });
}

/** What is watched: each namespace for itself, or the cluster. */
function watchesOf(
  server: string,
  { namespaces, fieldSelector }: Settings,
): Omit<WatchState, "position">[] {
  const all = namespaces.length === 0 ? [null] : namespaces;
  return all.map((namespace) => ({ server, namespace, fieldSelector }));
}

/** Recorder and watch isolate, joined until the end. */
class Session {
  readonly #io: Io;
  readonly #settings: Settings;
  readonly #signals: Signals;
  readonly #service: Service;
  readonly #cluster: Cluster;
  readonly #server: ObserveServer | null;
  readonly #timers = new Map<string, () => void>();
  readonly #ended = Promise.withResolvers<{ error: unknown }>();
  #credentials: Credentials;
  #isConnected = false;

  constructor(
    io: Io,
    settings: Settings,
    signals: Signals,
    service: Service,
    cluster: Cluster,
    credentials: Credentials,
    server: ObserveServer | null,
  ) {
    this.#server = server;
    this.#credentials = credentials;
    this.#io = io;
    this.#settings = settings;
    this.#signals = signals;
    this.#service = service;
    this.#cluster = cluster;
  }

  /** @param lock that of the state folder, where it was taken before */
  async run(lock?: IoFile): Promise<void> {
    const { identity, managedFields, wrap, cluster } = this.#settings;
    const { server, netHosts, credentialSource } = this.#cluster;
    const watches = watchesOf(server, this.#settings);
    this.#service.starting();
    // It needs 50 ms to start, and has nothing to say before client.start().
    const client = new WatchClient(netHosts, {
      onMessage: (message) => this.#receive(message, client, recorder, observer),
      onDeath: (reason) => this.#end(new InternalError(`The watch isolate died: ${reason}`)),
    });
    const recorder = await Recorder.open(this.#io, {
      settings: this.#settings,
      watches,
      pid: Deno.pid,
      ...(lock === undefined ? {} : { lock }),
      askForList: (request) => client.askForList(request),
      onFatal: (error) => this.#end(error),
    });
    const observer = new Observer(this.#io, recorder, this.#settings, watches);
    if (this.#server !== null) await observer.serve(this.#server);
    await givePermissionsUp(credentialSource.needsRun);
    this.#signals.onHangup = () => {
      log.info("SIGHUP: reopening the destination.");
      void this.#service.reload(() => recorder.reopen());
    };
    this.#signals.onStop = (signal) => {
      log.info(`${signal}: stopping.`);
      this.#end(null);
    };
    client.start({
      server,
      identity,
      hasProxy: this.#cluster.proxy !== null,
      bothIdentities: recorder.ring.generations.some(({ header }) =>
        header.identityMode !== identity
      ),
      line: { managedFields, wrap, cluster },
      credentials: this.#credentials,
      watches: watches.map((watch, index) => ({
        ...watch,
        position: recorder.positions[index] ?? null,
      })),
    });
    this.#startTimers(client, recorder);
    recorder.begin();
    this.#service.ready({
      describe: () => this.#describe(recorder),
      health: () => observer.unhealthy(),
    });

    const { error } = await this.#ended.promise;
    for (const name of [...this.#timers.keys()]) this.#clear(name);
    client.stop();
    const stopError = await recorder.stop();
    log.info(recorder.summary());
    if (error !== null || stopError !== null) throw error ?? stopError;
  }

  /** Without an error it is a stop that was asked for. */
  #end(error: unknown): void {
    this.#service.stopping(error);
    this.#ended.resolve({ error });
  }

  #describe(recorder: Recorder): string {
    const { server } = this.#cluster;
    return this.#isConnected
      ? `Watching ${server}. ${recorder.summary()}`
      : `Waiting for ${server}, which did not let us in yet.`;
  }

  #receive(
    message: FromWatch,
    client: WatchClient,
    recorder: Recorder,
    observer: Observer,
  ): void {
    switch (message.type) {
      case "log":
        return log.at(message.level, message.text);
      case "gap":
        return recorder.missed(message.gap);
      case "pulse":
        return observer.take(message.report);
      case "connected":
        this.#isConnected = true;
        log.info(`Connected to ${this.#cluster.server}.`);
        this.#clear("start");
        return;
      case "unauthorized":
        // Answered in any case: the watch isolate waits for it before it tries again.
        void this.#renewCredentials(client, { force: message.areRefused, isAsked: true });
        return;
      case "batch": {
        const { place, positions } = message;
        const events = place === null ? null : client.read(place);
        return recorder.take({ events, positions }, () => {
          if (place !== null) client.free(place);
        });
      }
      case "listed":
        return recorder.listed(message.request);
      default:
        return message satisfies never;
    }
  }

  #startTimers(client: WatchClient, recorder: Recorder): void {
    const { startTimeoutSec } = this.#settings;
    const { credentialSource, server } = this.#cluster;
    if (startTimeoutSec > 0) {
      this.#after("start", () => startTimeoutSec * 1000, () => {
        if (this.#isConnected) return;
        this.#end(
          new ClusterError(
            `No API server let us in at ${server} within ${startTimeoutSec} s ` +
              "(--start-timeout-sec). The lines above say what it answered.",
          ),
        );
      });
    }
    this.#every("credentials", () => credentialSource.nextCheckMs(), () => {
      void this.#renewCredentials(client, { force: false, isAsked: false });
    });
    this.#every("summary", () => SUMMARY_MS, () => log.info(recorder.summary()));
  }

  /** @param options.isAsked the watch isolate waits for them, also where they are the same */
  async #renewCredentials(
    client: WatchClient,
    options: { force: boolean; isAsked: boolean },
  ): Promise<void> {
    const renewed = await this.#cluster.credentialSource.refresh(options);
    if (renewed !== null) log.info("The credentials changed; new ones are in use.");
    this.#credentials = renewed ?? this.#credentials;
    if (renewed !== null || options.isAsked) client.updateCredentials(this.#credentials);
  }

  #every(name: string, ms: () => number, action: () => void): void {
    this.#after(name, ms, () => {
      action();
      this.#every(name, ms, action);
    });
  }

  #after(name: string, ms: () => number, action: () => void): void {
    this.#timers.set(name, this.#io.after(ms(), action));
  }

  #clear(name: string): void {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
  }
}
