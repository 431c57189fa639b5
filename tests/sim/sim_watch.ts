/**
 * What stands in for the watch isolate: lists and watches the simulated API server by the rules of
 * lib/reflector.ts, with the shipped position, and hands on batches in bursts, with pauses.
 */

import { crc32 } from "node:zlib";
import type { EventBatch } from "../../lib/pipeline.ts";
import { WatchPosition } from "../../lib/position.ts";
import type { Position } from "../../lib/protocol.ts";
import type { Recorder } from "../../lib/recorder.ts";
import type { Line, Revision } from "./history.ts";
import type { LifeIo } from "./life_io.ts";
import type { Random } from "./random.ts";
import type { SimApi } from "./sim_api.ts";

/** Batches that may be on their way, as in lib/limits.ts. */
const BUFFERS = 8;
const PAGE_EVENTS = 3;
const BATCH_EVENTS = 5;
/** As in lib/limits.ts. */
const WITNESS_MS = 5_000;

/** See the head of this file. */
export class SimWatch {
  readonly #io: LifeIo;
  readonly #api: SimApi;
  readonly #random: Random;
  readonly #recorder: Recorder;
  readonly #onDealt: (lines: Line[]) => void;
  readonly #position: WatchPosition;
  /** Where the WATCH reads on; null = there is none. */
  #cursor: number | null = null;
  #isConnected = false;
  #epoch: number;
  #from = 0;
  #isFirst = false;
  #isChecked = false;
  /** Lines of the LIST under way that are still to come; null = none is under way. */
  #page: Line[] | null = null;
  #isListDue = false;
  #isPaying = false;
  #requests: number[] = [];
  #serving: number[] = [];
  #listVersion = "";
  /** LISTs that are complete and wait for the WATCH to be past them. */
  #listed: { requests: number[]; version: string; historiesLeft: number }[] = [];
  #away = 0;

  constructor(
    io: LifeIo,
    api: SimApi,
    random: Random,
    recorder: Recorder,
    onDealt: (lines: Line[]) => void,
  ) {
    this.#io = io;
    this.#api = api;
    this.#random = random;
    this.#recorder = recorder;
    this.#onDealt = onDealt;
    this.#position = new WatchPosition(recorder.positions[0] ?? null);
    this.#epoch = api.epoch;
    // Any start may be made to LIST: it must repeat nothing.
    if (random.chance(0.5)) this.#owe();
    this.#connect();
    this.#tick();
    // What comes during a sync is what an order of commit gets wrong.
    io.onSync = (ms) => {
      if (random.chance(0.5)) io.after(random.between(0, ms), () => this.#deliver());
    };
  }

  /** Whether all that the server shows was handed on. */
  get isCaughtUp(): boolean {
    return this.#isConnected && this.#page === null && !this.#isListDue && this.#away === 0 &&
      this.#requests.length === 0 && this.#cursor !== null &&
      // Of a history that is gone, and nothing is written that gets as far: it waits for ever.
      this.#listed.every(({ version }) => Number(version) > this.#api.rv) &&
      !(this.#isFirst && this.#isChecked) &&
      this.#api.after(this.#cursor) === undefined;
  }

  /** Main asks for one complete LIST. */
  askForList(request: number): void {
    this.#requests.push(request);
    this.#isListDue = true;
  }

  /**
   * The connection breaks; it comes again.
   *
   * @param leavesVersion the next WATCH begins at the version of a LIST. Only where the one before
   * had shown all that LISTs showed: an event between is shown once more by a start from P, and
   * written again where its generation was dropped meanwhile, which is an open fault.
   */
  disconnect(leavesVersion = false): void {
    if (!this.#isConnected) return;
    this.#isConnected = false;
    this.#cursor = null;
    this.#page = null; // A LIST begins anew.
    this.#isListDue ||= this.#serving.length > 0 || this.#isPaying;
    this.#requests.unshift(...this.#serving);
    this.#serving = [];
    this.#io.after(this.#random.between(10, 3000), () => this.#connect(leavesVersion));
  }

  #owe(): void {
    this.#isListDue = true;
    if (this.#position.rv !== null) this.#position.listOwed = true;
  }

  #connect(leavesVersion = false): void {
    this.#isConnected = true;
    this.#epoch = this.#api.epoch;
    const { rv, previous, listOwed } = this.#position;
    if (rv === null) this.#isListDue = true;
    else if (leavesVersion && this.#api.rv >= Number(rv)) {
      this.#api.hasForgotten = true; // What was overwritten meanwhile may never be shown.
      this.#owe();
      this.#position.skip(String(this.#api.rv));
      this.#watch(this.#api.rv, false);
    } else if (Number(previous) >= this.#api.compacted) this.#watch(Number(previous), true);
    else {
      this.#owe();
      // Which of the two depends on the LIST: it may show that etcd went back.
      if (this.#api.rv >= Number(rv)) {
        this.#watch(Number(rv) >= this.#api.compacted ? Number(rv) : this.#api.rv, false);
      }
    }
    if (listOwed) this.#isListDue = true;
  }

  #watch(from: number, isChecked: boolean): void {
    this.#cursor = from;
    this.#from = from;
    this.#isFirst = true;
    this.#isChecked = isChecked;
    if (!isChecked) return;
    this.#io.after(WITNESS_MS, () => {
      if (!this.#isFirst || !this.#isChecked || this.#cursor !== from) return;
      this.#isChecked = false;
      this.#owe();
    });
  }

  /** Something is handed on or not, then time passes. */
  #tick(): void {
    if (this.#random.chance(0.7)) this.#deliver();
    this.#tellListed();
    this.#io.after(this.#random.between(20, 450), () => this.#tick());
  }

  #deliver(): void {
    if (this.#epoch !== this.#api.epoch) this.disconnect(); // A restored etcd ends all watches.
    if (this.#isConnected && this.#away < BUFFERS) {
      if (this.#cursor !== null && this.#cursor < this.#api.compacted && this.#lags) {
        this.disconnect();
      } else if (this.#isListDue && this.#page === null) this.#beginList();
      else if (this.#page !== null && this.#random.chance(0.6)) this.#nextPage();
      else this.#nextEvents();
    }
  }

  /** What the WATCH is to show next is compacted: a server drops such a watcher. */
  get #lags(): boolean {
    const next = this.#api.after(this.#cursor!);
    return next !== undefined && next.rv <= this.#api.compacted;
  }

  #beginList(): void {
    const version = this.#api.rv;
    const { rv, highest } = this.#position;
    this.#isListDue = false;
    this.#isPaying = true;
    this.#serving = this.#requests;
    this.#requests = [];
    this.#page = this.#api.list();
    this.#listVersion = String(version);
    if (rv === null || version < Number(highest)) {
      this.#position.begin(String(version));
      this.#watch(version, false);
    }
    this.#nextPage();
  }

  #nextPage(): void {
    const lines = this.#page!.splice(0, PAGE_EVENTS);
    const isLast = this.#page!.length === 0;
    if (isLast) {
      this.#page = null;
      this.#isPaying = false;
      if (!this.#isListDue) this.#position.listOwed = false;
    }
    for (const { rv } of lines) this.#position.meetListed(rv);
    this.#post(lines);
    if (!isLast) return;
    const { historiesLeft } = this.#position;
    this.#listed.push({ requests: this.#serving, version: this.#listVersion, historiesLeft });
    this.#serving = [];
  }

  /** As lib/reflector.ts does: a silent WATCH is asked about, what is in the batch goes first. */
  #tellListed(): void {
    const isSilent = this.#isConnected && this.#cursor !== null &&
      !(this.#isFirst && this.#isChecked) && this.#api.after(this.#cursor) === undefined;
    if (isSilent && this.#listed.length > 0) {
      if (this.#api.rv < Number(this.#position.highest)) this.#owe(); // It went back.
      else this.#position.pass(String(this.#api.rv));
    }
    this.#listed = this.#listed.filter(({ requests, version, historiesLeft }) => {
      if (historiesLeft !== this.#position.historiesLeft) {
        for (const request of requests) this.askForList(request); // Of a history that is gone.
      } else if (this.#position.isPast(version)) {
        for (const request of requests) this.#recorder.listed(request);
      } else return true;
      return false;
    });
  }

  #nextEvents(): void {
    if (this.#cursor === null) return;
    const lines: Line[] = [];
    let hasMoved = false;
    while (lines.length < BATCH_EVENTS) {
      const revision = this.#api.after(this.#cursor);
      if (revision === undefined) break;
      this.#cursor = revision.rv;
      hasMoved = true;
      // A deletion bears the object too; only its version and identity count.
      this.#move(
        String(revision.rv),
        revision.line?.keys.subarray(0, 4) ?? deletedKey(revision),
      );
      if (revision.line !== null) lines.push(revision.line);
      if (this.#random.chance(0.3)) break;
    }
    if (hasMoved) this.#post(lines);
  }

  #move(rv: string, key: Uint32Array): void {
    if (!this.#isFirst) {
      if (!this.#position.meetNext(rv, key)) this.#owe();
      return;
    }
    this.#isFirst = false;
    if (this.#isChecked && !this.#position.isWitness(rv, key)) this.#owe();
    this.#position.meetFirst(rv, key, String(this.#from));
  }

  #post(lines: Line[]): void {
    const positions: (Position | null)[] = [this.#position.snapshot()];
    const events = lines.length === 0 ? null : batchOf(lines);
    if (events !== null) this.#away++;
    this.#recorder.take({ events, positions }, () => {
      if (events !== null) this.#away--;
      this.#onDealt(lines);
    });
  }
}

function deletedKey({ rv, name }: Revision): Uint32Array {
  return Uint32Array.of(rv, crc32(name), 2, 3);
}

function batchOf(lines: Line[]): EventBatch {
  const ends: number[] = [];
  const bytes = new Uint8Array(lines.reduce((sum, line) => sum + line.bytes.length, 0));
  const keys = new Uint32Array(8 * lines.length);
  for (const [index, line] of lines.entries()) {
    const start = ends.at(-1) ?? 0;
    bytes.set(line.bytes, start);
    keys.set(line.keys, 8 * index);
    ends.push(start + line.bytes.length);
  }
  return {
    count: lines.length,
    keys,
    bytes,
    start: (index) => index === 0 ? 0 : ends[index - 1]!,
    end: (index) => ends[index]!,
  };
}
