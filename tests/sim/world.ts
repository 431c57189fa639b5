/**
 * One run: the shipped recorder lives through a scenario, with what the plan says going wrong, and
 * once more at the end with all well. Then the checker looks at the files.
 */

import { setImmediate } from "node:timers";
import { codeOf, ExitError, InternalError } from "../../lib/errors.ts";
import { Recorder } from "../../lib/recorder.ts";
import { check, SETTLED_MS } from "./checker.ts";
import { SimClock } from "./clock.ts";
import { SimDisk } from "./disk.ts";
import { Faults, type Plan } from "./faults.ts";
import type { Line } from "./history.ts";
import { LifeIo } from "./life_io.ts";
import { Random } from "./random.ts";
import { type Deed, OUT, type Scenario, STATE } from "./scenario.ts";
import { SimApi } from "./sim_api.ts";
import { SimWatch } from "./sim_watch.ts";

/** After trouble of any kind: by then the program is over it, ms. */
const TROUBLE_MS = 9000;
/** A disk that is full or read-only is mended after this, ms. */
const MENDED_MS = 8000;
/** A stop takes at most this, ms. */
const STOP_LIMIT_MS = 4500;
/** When nothing was left to do for this long, a life has caught up, ms. */
const QUIET_MS = 300;
/** Nothing may take longer than this once the script is over, ms. */
const STUCK_MS = 120_000;

/** What came of a run. */
export interface Outcome {
  /** What is wrong; empty where the promise was kept. */
  wrong: string[];
  /** Calls of the program that changed something, and all of them. */
  changes: number;
  calls: number;
  /** Crashes that were planned and came. */
  crashes: number;
  /** Whether the planned failure came. */
  hasFailed: boolean;
}

/** Runs a scenario with a plan. */
export function simulate(scenario: Scenario, plan: Plan): Promise<Outcome> {
  return new World(scenario, plan).run();
}

/** A life of the process. */
interface Life {
  io: LifeIo;
  recorder: Recorder | null;
  watch: SimWatch | null;
  isStopping: boolean;
}

class World {
  readonly #scenario: Scenario;
  readonly #clock = new SimClock();
  readonly #disk = new SimDisk([STATE, OUT]);
  readonly #api = new SimApi();
  readonly #faults: Faults;
  readonly #random: Random;
  #life: Life | null = null;
  #lives = 0;
  #rotations = 0;
  #destination: string;
  #troubleUntilMs = 0;
  #hasSeenFailure = false;
  /** Up to this occurrence they may have been overwritten before the first position was stored. */
  #unwatched = Infinity;
  /** Lines dealt with, and when. */
  #dealt: { occurrence: number; atMs: number }[] = [];
  readonly #settled = new Set<number>();
  readonly #deleted = new Set<number>();
  readonly #wrong: string[] = [];

  constructor(scenario: Scenario, plan: Plan) {
    this.#scenario = scenario;
    this.#faults = new Faults(plan);
    this.#random = new Random(scenario.seed, 3);
    this.#destination = scenario.destinations[0]!;
  }

  async run(): Promise<Outcome> {
    const { history, deeds, untilMs } = this.#scenario;
    for (const step of history.steps) this.#clock.after(step.atMs, () => this.#api.apply(step));
    for (const deed of deeds) this.#clock.after(deed.atMs, () => this.#do(deed));
    let isOver = false;
    this.#clock.after(untilMs, () => isOver = true);
    this.#start();
    while (!isOver) await this.#step();
    const { changes, calls, crashes, hasFailed } = this.#faults;
    await this.#finish();
    return { wrong: this.#verdict(), changes, calls, crashes, hasFailed };
  }

  async #step(): Promise<void> {
    // All that can go on without time passing does so before the next action.
    await new Promise<void>((resolve) => setImmediate(() => resolve()));
    if (this.#faults.hasFailed && !this.#hasSeenFailure) {
      this.#hasSeenFailure = true;
      this.#trouble(MENDED_MS);
      if (this.#faults.isMendable) this.#clock.after(MENDED_MS, () => this.#faults.mend());
    }
    if (this.#clock.nextMs === Infinity) throw new Error("Nothing is left to wait for");
    this.#clock.advance();
  }

  /** All is well from here on: the program catches up, is stopped, and is started once more. */
  async #finish(): Promise<void> {
    this.#faults.end();
    this.#mend();
    for (let life = 1; life <= 2; life++) {
      const limitMs = this.#clock.nowMs + STUCK_MS;
      let quietMs = 0;
      while (quietMs < QUIET_MS) {
        const beforeMs = this.#clock.nowMs;
        await this.#step();
        const isQuiet = this.#life?.watch?.isCaughtUp === true && !this.#life.isStopping;
        quietMs = isQuiet ? quietMs + this.#clock.nowMs - beforeMs : 0;
        if (this.#clock.nowMs > limitMs) return void this.#wrong.push("stuck: it never caught up");
      }
      if (life === 2) return;
      const stopped = this.#life;
      this.#stop();
      while (this.#life === stopped) await this.#step();
    }
  }

  #verdict(): string[] {
    const files = new Map<string, string>();
    for (const [path, inode] of this.#disk.names) {
      if (!path.startsWith(`${OUT}/`)) continue;
      files.set(path, new TextDecoder().decode(inode.bytes.subarray(0, inode.size)));
    }
    return [
      ...this.#wrong,
      ...check({
        lines: this.#scenario.history.lines,
        shownAtEnd: this.#api.list(),
        firstWatched: this.#api.hasForgotten ? Infinity : this.#unwatched + 1,
        settled: this.#settled,
        deleted: this.#deleted,
        files,
      }),
    ];
  }

  #start(): void {
    const random = new Random(this.#scenario.seed, 4, this.#lives);
    this.#destination = this.#scenario.destinations[this.#lives] ?? this.#destination;
    this.#lives++;
    const { settings } = this.#scenario;
    const outside = { disk: this.#disk, clock: this.#clock, random, faults: this.#faults };
    const io = new LifeIo(outside, () => this.#crash(this.#faults.isPowerLoss), () => 0);
    const life: Life = { io, recorder: null, watch: null, isStopping: false };
    this.#life = life;
    const opening = Recorder.open(io, {
      settings: { ...settings, destination: this.#destination },
      watches: [{ server: "https://sim", namespace: null, fieldSelector: null }],
      pid: this.#lives,
      askForList: (request) => life.watch?.askForList(request),
      onFatal: (error) => this.#died(life, error),
    });
    opening.then((recorder) => {
      if (io.isDead) return;
      life.recorder = recorder;
      life.watch = new SimWatch(io, this.#api, random, recorder, (lines) => this.#note(lines));
      recorder.begin();
    }).catch((error) => this.#died(life, error));
  }

  /** The process ends with an error, as it does where its disk fails. */
  #died(life: Life, error: unknown): void {
    if (life.io.isDead || life.isStopping) return;
    const isExpected = error instanceof ExitError
      ? !(error instanceof InternalError)
      : codeOf(error) !== undefined;
    const isInTrouble = this.#faults.hasFailed || this.#disk.freeBytes < Infinity;
    if (!isExpected || !isInTrouble) {
      this.#wrong.push(`ended: ${error instanceof Error ? error.stack : error}`);
    }
    this.#trouble();
    life.io.isDead = true;
    this.#over(() => this.#disk.kill());
  }

  #crash(power: boolean): void {
    this.#over(() => power ? this.#disk.losePower(this.#random) : this.#disk.kill());
  }

  /** A life is over; the next one comes after a pause. */
  #over(end: () => void): void {
    this.#settle();
    this.#dealt = [];
    this.#life = null;
    // What is under way on this thread comes to its end before the machine does.
    end();
    this.#faults.mend();
    const pauseMs = this.#scenario.pausesMs[this.#lives - 1] ?? 50;
    this.#clock.after(pauseMs, () => {
      if (this.#life === null) this.#start();
    });
  }

  /** SIGTERM: it ends within STOP_LIMIT_MS; where it has not begun, at once. */
  #stop(): void {
    const life = this.#life;
    if (life === null || life.isStopping) return;
    const end = () => {
      life.io.isDead = true;
      this.#over(() => this.#disk.kill());
    };
    if (life.recorder === null) return end();
    life.isStopping = true;
    life.recorder.stop().then((error) => {
      if (life.io.isDead) return;
      if (error !== null && !this.#faults.hasFailed) this.#wrong.push(`ended: ${error}`);
      end();
    });
    this.#clock.after(STOP_LIMIT_MS, () => {
      if (life.io.isDead) return;
      this.#wrong.push(`stuck: it did not stop within ${STOP_LIMIT_MS} ms`);
      end();
    });
  }

  #do(deed: Deed): void {
    switch (deed.kind) {
      case "disconnect":
        return this.#life?.watch?.disconnect(deed.leavesVersion);
      case "step-clock":
        this.#clock.steppedMs += deed.byMs;
        return;
      case "hangup":
        return this.#life?.recorder?.reopen();
      case "full":
        this.#trouble(deed.forMs);
        this.#disk.freeBytes = deed.freeBytes;
        this.#clock.after(deed.forMs, () => this.#mend());
        return;
      case "end":
        return this.#end(deed.how);
      case "rotate":
      case "delete":
        return this.#moveAway(deed);
      default:
        return deed satisfies never;
    }
  }

  #end(how: "stop" | "kill" | "power loss"): void {
    if (this.#life === null) return;
    if (how === "stop") return this.#stop();
    this.#life.io.isDead = true;
    this.#crash(how === "power loss");
  }

  #moveAway(deed: Extract<Deed, { kind: "rotate" | "delete" }>): void {
    const path = this.#destination;
    const inode = this.#disk.names.get(path);
    if (inode === undefined) return;
    this.#trouble(deed.hangupMs ?? 0);
    if (deed.kind === "rotate") this.#disk.rename(path, `${path}.${++this.#rotations}`);
    else {
      const text = new TextDecoder().decode(inode.bytes.subarray(0, inode.size));
      for (const line of text.split("\n")) {
        const occurrence = this.#scenario.history.lines.get(line)?.occurrence;
        if (occurrence !== undefined) this.#deleted.add(occurrence);
      }
      this.#disk.remove(path);
    }
    if (deed.creates) this.#disk.create(path, this.#clock.nowMs);
    if (deed.hangupMs === null) return;
    this.#clock.after(deed.hangupMs, () => this.#life?.recorder?.reopen());
  }

  #mend(): void {
    this.#disk.freeBytes = Infinity;
    this.#faults.mend();
  }

  /** What is dealt with from now on, and what was just before, may take longer to be durable. */
  #trouble(forMs = 0): void {
    this.#settle();
    this.#dealt = [];
    this.#troubleUntilMs = Math.max(this.#troubleUntilMs, this.#clock.nowMs + forMs + TROUBLE_MS);
  }

  #note(lines: Line[]): void {
    const atMs = this.#clock.nowMs;
    if (atMs < this.#troubleUntilMs || this.#faults.isBroken) return;
    if (this.#unwatched === Infinity) {
      const life = this.#life;
      const { lastOccurrence } = this.#api;
      this.#clock.after(SETTLED_MS, () => {
        if (this.#life !== life || this.#clock.nowMs < this.#troubleUntilMs) return;
        this.#unwatched = Math.min(this.#unwatched, lastOccurrence);
      });
    }
    for (const { occurrence } of lines) this.#dealt.push({ occurrence, atMs });
  }

  /** What was dealt with long enough ago is durable. */
  #settle(): void {
    for (const { occurrence, atMs } of this.#dealt) {
      if (atMs + SETTLED_MS <= this.#clock.nowMs) this.#settled.add(occurrence);
    }
  }
}
