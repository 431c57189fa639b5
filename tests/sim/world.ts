/**
 * One run: the shipped recorder lives through a scenario, with what the plan says going wrong, and
 * once more at the end with all well. Then the checker looks at the files.
 *
 * A planned crash ends no run. At the calls where one is wanted, what it would leave is kept (the
 * disk with what is not synced, the API server, the clock, what was noted for the checker), and the
 * run goes on. The crash is a run of its own, that begins with what was kept: so one run through
 * the scenario serves crashes at all of its calls.
 */

import { setImmediate } from "node:timers";
import { codeOf, ExitError, InternalError } from "../../lib/errors.ts";
import { Recorder } from "../../lib/recorder.ts";
import { check, SETTLED_MS } from "./checker.ts";
import { SimClock } from "./clock.ts";
import { SimDisk } from "./disk.ts";
import { type Counts, Faults, type Moment, type Plan } from "./faults.ts";
import type { Line } from "./history.ts";
import { type Keeper, LifeIo } from "./life_io.ts";
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

/** After a crash where the script does not go on, so many more writes of events come ... */
const REST_STEPS = 3;
/** ... within this, ms. */
const REST_MS = 600;

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

/** What came of a run without a crash, and what crashes at its calls would have left. */
export interface Trunk extends Outcome {
  /** By the number of the call that changes something; each is for one {@linkcode crash}. */
  kept: Map<number, Kept>;
}

/** Runs a scenario with a plan. */
export async function simulate(scenario: Scenario, plan: Plan): Promise<Outcome> {
  const trunk = await runTrunk(scenario, plan, (change) => {
    return change === plan.crash?.call ? plan.crash.moment : null;
  });
  const [kept] = trunk.kept.values();
  return kept === undefined ? trunk : await crash(scenario, plan, kept);
}

/** Runs a scenario with a plan's failure and keeps what crashes would leave, where one is wanted. */
export async function runTrunk(
  scenario: Scenario,
  plan: Plan,
  momentOf: (change: number) => Moment | null,
): Promise<Trunk> {
  const { failure } = plan;
  const world = new World(scenario, failure === undefined ? {} : { failure }, momentOf);
  const outcome = await world.run();
  return { ...outcome, kept: world.kept };
}

/** Goes on after the plan's crash from what it left; this uses it up. */
export function crash(scenario: Scenario, plan: Plan, kept: Kept): Promise<Outcome> {
  return new World(scenario, plan, null, kept).run();
}

/** A life of the process. */
interface Life {
  io: LifeIo;
  recorder: Recorder | null;
  watch: SimWatch | null;
  isStopping: boolean;
}

/** What a part of the script does, and when. */
interface Due {
  atMs: number;
  /** A step of the data, what somebody does, or what follows of something done before. */
  kind: "step" | "deed" | "sequel";
  act: (world: World) => void;
}

/** What is there after the process is gone. */
export interface Kept {
  nowMs: number;
  steppedMs: number;
  disk: SimDisk;
  api: SimApi;
  random: Random;
  counts: Counts;
  /** What is still to come, in order. */
  due: Due[];
  lives: number;
  rotations: number;
  destination: string;
  troubleUntilMs: number;
  hasSeenFailure: boolean;
  unwatched: number;
  dealt: { occurrence: number; atMs: number }[];
  settled: Set<number>;
  deleted: Set<number>;
  wrong: string[];
}

class World {
  readonly #scenario: Scenario;
  readonly #plan: Plan;
  readonly #clock = new SimClock();
  readonly #disk: SimDisk;
  readonly #api: SimApi;
  readonly #faults: Faults;
  readonly #random: Random;
  readonly #keeper: Keeper | null;
  readonly #begin: Kept | null;
  readonly kept = new Map<number, Kept>();
  /** What is still to come of the script. */
  readonly #due = new Set<Due>();
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
  readonly #settled: Set<number>;
  readonly #deleted: Set<number>;
  readonly #wrong: string[];

  /** @param kept what the plan's crash left; null = the run begins at the beginning */
  constructor(
    scenario: Scenario,
    plan: Plan,
    momentOf: Keeper["momentOf"] | null,
    kept: Kept | null = null,
  ) {
    this.#scenario = scenario;
    this.#plan = plan;
    this.#begin = kept;
    this.#disk = kept?.disk ?? new SimDisk([STATE, OUT]);
    this.#api = kept?.api ?? new SimApi();
    this.#faults = new Faults(plan, kept?.counts);
    this.#random = kept?.random ?? new Random(scenario.seed, 3);
    this.#destination = kept?.destination ?? scenario.destinations[0]!;
    this.#settled = kept?.settled ?? new Set();
    this.#deleted = kept?.deleted ?? new Set();
    this.#wrong = kept?.wrong ?? [];
    this.#keeper = momentOf === null ? null : {
      momentOf: (change) => this.#faults.isOver ? null : momentOf(change),
      keep: (change) => this.kept.set(change, this.#keep()),
    };
    if (kept === null) return;
    this.#clock.nowMs = kept.nowMs;
    this.#clock.steppedMs = kept.steppedMs;
    this.#lives = kept.lives;
    this.#rotations = kept.rotations;
    this.#troubleUntilMs = kept.troubleUntilMs;
    this.#hasSeenFailure = kept.hasSeenFailure;
    this.#unwatched = kept.unwatched;
    this.#dealt = kept.dealt;
  }

  async run(): Promise<Outcome> {
    if (this.#begin === null) this.#beginScript();
    else this.#beginAfterCrash(this.#begin);
    const isShort = this.#plan.crash?.goesOn === false;
    if (isShort) await this.#catchUp();
    else {
      let isOver = false;
      this.#clock.after(this.#scenario.untilMs - this.#clock.nowMs, () => isOver = true);
      while (!isOver) await this.#step();
    }
    const { crashes, counts: { changes, calls, hasFailed } } = this.#faults;
    await this.#finish(isShort);
    return { wrong: this.#verdict(), changes, calls, crashes, hasFailed };
  }

  #beginScript(): void {
    const { history, deeds } = this.#scenario;
    for (const step of history.steps) {
      this.#at(step.atMs, "step", (world) => world.#api.apply(step));
    }
    for (const deed of deeds) this.#at(deed.atMs, "deed", (world) => world.#do(deed));
    this.#start();
  }

  #beginAfterCrash({ due }: Kept): void {
    const { power, goesOn } = this.#plan.crash!;
    this.#crash(power);
    let steps = 0;
    for (const { atMs, kind, act } of due) {
      if (goesOn || kind === "sequel") this.#at(atMs, kind, act);
      else if (kind === "step" && ++steps <= REST_STEPS) {
        this.#at(this.#clock.nowMs + steps / REST_STEPS * REST_MS, kind, act);
      }
    }
  }

  /** What is there now for who begins after a crash. */
  #keep(): Kept {
    return {
      nowMs: this.#clock.nowMs,
      steppedMs: this.#clock.steppedMs,
      disk: this.#disk.copy(),
      api: this.#api.copy(),
      random: this.#random.copy(),
      counts: { ...this.#faults.counts },
      due: [...this.#due],
      lives: this.#lives,
      rotations: this.#rotations,
      destination: this.#destination,
      troubleUntilMs: this.#troubleUntilMs,
      hasSeenFailure: this.#hasSeenFailure,
      unwatched: this.#unwatched,
      dealt: [...this.#dealt],
      settled: new Set(this.#settled),
      deleted: new Set(this.#deleted),
      wrong: [...this.#wrong],
    };
  }

  /** A part of the script comes at this time, also after a crash. */
  #at(atMs: number, kind: Due["kind"], act: Due["act"]): void {
    const due = { atMs, kind, act };
    this.#due.add(due);
    this.#clock.after(atMs - this.#clock.nowMs, () => {
      this.#due.delete(due);
      act(this);
    });
  }

  #afterwards(ms: number, act: Due["act"]): void {
    this.#at(this.#clock.nowMs + ms, "sequel", act);
  }

  async #step(): Promise<void> {
    // All that can go on without time passing does so before the next action.
    await new Promise<void>((resolve) => setImmediate(() => resolve()));
    if (this.#faults.counts.hasFailed && !this.#hasSeenFailure) {
      this.#hasSeenFailure = true;
      this.#trouble(MENDED_MS);
      // A crash mends it before.
      if (this.#faults.isMendable) this.#clock.after(MENDED_MS, () => this.#faults.mend());
    }
    if (this.#clock.nextMs === Infinity) throw new Error("Nothing is left to wait for");
    this.#clock.advance();
  }

  /** All is well from here on: the program catches up, is stopped and started once more. */
  async #finish(isCaughtUp: boolean): Promise<void> {
    this.#faults.end();
    this.#mend();
    if (!isCaughtUp && !await this.#catchUp()) return;
    const stopped = this.#life;
    this.#stop();
    while (this.#life === stopped) await this.#step();
    await this.#catchUp();
  }

  /** Until nothing was left to do for a while; false where that never comes. */
  async #catchUp(): Promise<boolean> {
    const limitMs = this.#clock.nowMs + STUCK_MS;
    let quietMs = 0;
    while (quietMs < QUIET_MS) {
      const beforeMs = this.#clock.nowMs;
      await this.#step();
      const isQuiet = this.#due.size === 0 && this.#life?.watch?.isCaughtUp === true &&
        !this.#life.isStopping;
      quietMs = isQuiet ? quietMs + this.#clock.nowMs - beforeMs : 0;
      if (this.#clock.nowMs <= limitMs) continue;
      this.#wrong.push("stuck: it never caught up");
      return false;
    }
    return true;
  }

  #verdict(): string[] {
    const files = new Map<string, string>();
    for (const [path, inode] of this.#disk.names) {
      if (!path.startsWith(`${OUT}/`)) continue;
      files.set(path, new TextDecoder().decode(inode.content()));
    }
    return [
      ...this.#wrong,
      ...check({
        lines: this.#scenario.history.lines,
        shownAtEnd: this.#api.list(),
        lastOccurrence: this.#api.lastOccurrence,
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
    const outside = {
      disk: this.#disk,
      clock: this.#clock,
      random,
      faults: this.#faults,
      keeper: this.#keeper,
    };
    const io = new LifeIo(outside, () => this.#crash(true), () => 0);
    const life: Life = { io, recorder: null, watch: null, isStopping: false };
    this.#life = life;
    const opening = Recorder.open(io, {
      settings: { ...settings, destination: this.#destination },
      watches: [{ server: "https://sim", namespace: null, fieldSelector: null }],
      pid: this.#lives,
      // The runs are short: what others do in between must have its chance there too.
      ...(new Random(this.#scenario.seed, 7).chance(0.5) && { atOnce: { keys: 2, sectors: 1 } }),
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
    const isInTrouble = this.#faults.counts.hasFailed || this.#disk.freeBytes < Infinity;
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
      if (error !== null && !this.#faults.counts.hasFailed) this.#wrong.push(`ended: ${error}`);
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
        return void this.#life?.recorder?.reopen();
      case "full":
        this.#trouble(deed.forMs);
        this.#disk.freeBytes = deed.freeBytes;
        this.#afterwards(deed.forMs, (world) => world.#mend());
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
      const text = new TextDecoder().decode(inode.content());
      for (const line of text.split("\n")) {
        const occurrence = this.#scenario.history.lines.get(line)?.occurrence;
        if (occurrence !== undefined) this.#deleted.add(occurrence);
      }
      this.#disk.remove(path);
    }
    if (deed.creates) this.#disk.create(path, this.#clock.nowMs);
    if (deed.hangupMs === null) return;
    this.#afterwards(deed.hangupMs, (world) => world.#life?.recorder?.reopen());
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
