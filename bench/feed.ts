/**
 * The bytes of a cluster's events, as many as are wanted, at almost no cost.
 *
 * Ten kinds of events are printed once, as a kube-apiserver prints them. Number and count of an
 * event have a fixed width, so a block of events is a buffer in which only digits change: some
 * 100 ns an event. Every event is distinct: name, uid, resourceVersion and message.
 */

import {
  itemText,
  type JsonObject,
  normalBody,
  objectText,
  type StoredEvent,
} from "../tests/fake/event.ts";
import { managedFields } from "../tests/fake/managed_fields.ts";

const encoder = new TextEncoder();

/** Stands for the number of an event: DIGITS digits, zeros in front. */
const NUMBER = "########";
const DIGITS = NUMBER.length;
/** Stands for its count: three digits. */
const COUNT = 987;

/** What precedes the number in a resourceVersion, so that all have the same length. */
const VERSION_HEAD = "10";

/** The resourceVersion of an event. */
export function versionOf(number: number): string {
  return VERSION_HEAD + `${number}`.padStart(DIGITS, "0");
}

/** A resourceVersion before that of any event. */
export const FIRST_VERSION = "1";

/** The number of the first event behind a resourceVersion. */
export function numberBehind(version: string): number {
  return version.startsWith(VERSION_HEAD) ? Number(version.slice(VERSION_HEAD.length)) + 1 : 0;
}

const POD = {
  kind: "Pod",
  namespace: "shop",
  name: "web-7d4b9c6f5-x2x4z",
  uid: "0b1c2d3e-5f60-4a7b-8c9d-0e1f2a3b4c5d",
  apiVersion: "v1",
  resourceVersion: "918270000",
  fieldPath: "spec.containers{web}",
};
const REPLICA_SET = {
  kind: "ReplicaSet",
  namespace: "shop",
  name: "web-7d4b9c6f5",
  uid: "6f1c4c2e-1b2c-4d3e-8f40-5d2a4b3c1e0f",
  apiVersion: "apps/v1",
  resourceVersion: "918269990",
};
const HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const IMAGE = `registry.example/shop/web@sha256:${HASH}`;
const TIME = "2026-07-25T08:00:00Z";

/** An event of the kubelet or a controller (client-go tools/record). */
function recorded(component: string, host: string, involvedObject: JsonObject, rest: JsonObject) {
  return {
    involvedObject,
    source: host === "" ? { component } : { component, host },
    firstTimestamp: TIME,
    lastTimestamp: TIME,
    count: COUNT,
    type: "Normal",
    reportingComponent: component,
    ...(host === "" ? {} : { reportingInstance: host }),
    ...rest,
  };
}

const kubelet = (rest: JsonObject) => recorded("kubelet", "node-17.eu.example", POD, rest);
const probe = `http://10.244.3.17:8080/healthz (request ${NUMBER})`;
const nodes = "3 Insufficient cpu, 4 Insufficient memory, 5 node(s) had untolerated taint " +
  "{dedicated: batch}, 8 node(s) didn't match Pod's node affinity/selector";

/** In the order in which they come, again and again. */
const KINDS: readonly JsonObject[] = [
  kubelet({ reason: "Pulling", message: `Pulling image "${IMAGE}" (${NUMBER})` }),
  kubelet({
    reason: "Pulled",
    message: `Successfully pulled image "${IMAGE}" in 1.204s (1.204s including waiting). ` +
      `Image size: ${NUMBER} bytes.`,
  }),
  kubelet({ reason: "Created", message: `Created container: web-${NUMBER}` }),
  kubelet({ reason: "Started", message: `Started container web-${NUMBER}` }),
  {
    involvedObject: POD,
    reason: "FailedScheduling",
    message: `0/20 nodes are available: ${nodes}. preemption: 0/20 nodes are available: ` +
      `20 Preemption is not helpful for scheduling (attempt ${NUMBER}).`,
    type: "Warning",
    eventTime: "2026-07-25T08:00:00.123456Z",
    action: "Scheduling",
    reportingComponent: "default-scheduler",
    reportingInstance: "default-scheduler-control-plane-0",
    source: {},
  },
  kubelet({
    reason: "Unhealthy",
    type: "Warning",
    message: `Readiness probe failed: Get "${probe}": dial tcp 10.244.3.17:8080: connect: ` +
      "connection refused",
  }),
  kubelet({
    reason: "BackOff",
    type: "Warning",
    message: `Back-off restarting failed container web-${NUMBER} in pod ` +
      "web-7d4b9c6f5-x2x4z_shop(0b1c2d3e-5f60-4a7b-8c9d-0e1f2a3b4c5d)",
  }),
  recorded("replicaset-controller", "", REPLICA_SET, {
    reason: "SuccessfulCreate",
    message: `Created pod: web-7d4b9c6f5-${NUMBER}`,
  }),
  kubelet({ reason: "Killing", message: `Stopping container web-${NUMBER}` }),
  kubelet({
    reason: "FailedMount",
    type: "Warning",
    message: `MountVolume.SetUp failed for volume "config-${NUMBER}": object ` +
      '"shop"/"web-config" not registered',
  }),
];

/** Kinds of events; a multiple of it is a whole number of rounds. */
export const ROUND = KINDS.length;

function storedEvent(kind: JsonObject): StoredEvent {
  const body = normalBody(kind);
  const manager = String(kind.reportingComponent).replace("default-scheduler", "kube-scheduler");
  const metadata = {
    name: `web-7d4b9c6f5-x2x4z.17a3c0de${NUMBER}`,
    namespace: "shop",
    uid: `687c400c-eafd-46f8-bcba-67e4${NUMBER}`,
    resourceVersion: VERSION_HEAD + NUMBER,
    creationTimestamp: TIME,
  };
  const fields = managedFields(null, { metadata, ...body }, manager, TIME);
  return { metadata: { ...metadata, managedFields: fields }, ...body };
}

/** How events are spelled. */
export type Spelling = "watch" | "list";

/** What an event of a kind is printed as, before its digits. */
function printed(spelling: Spelling, messageBytes: number): string[] {
  return KINDS.map((kind) => {
    const message = String(kind.message).padEnd(messageBytes, " and more of it");
    const event = storedEvent({ ...kind, message });
    return spelling === "list" ? itemText(event) : objectText(event);
  });
}

/** Bytes of the lines that the first `count` events are to become, each with its newline. */
export function lineBytes(count: number, messageBytes = 0): number {
  const lengths = printed("watch", messageBytes).map((text) => text.length + 1);
  const round = lengths.reduce((sum, length) => sum + length);
  const rest = lengths.slice(0, count % ROUND).reduce((sum, length) => sum + length, 0);
  return Math.floor(count / ROUND) * round + rest;
}

/** A run of `size` events, spelled anew for each place where it starts. */
export class Block {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  /** For each event the end of what belongs to it. */
  readonly #ends: number[] = [];
  /** Where the digits of each event go. */
  readonly #numbers: number[][] = [];
  readonly #counts: number[][] = [];

  /**
   * @param size events; a multiple of ROUND
   * @param frame what stands around the text of an event
   */
  constructor(
    size: number,
    spelling: Spelling,
    frame: (text: string) => string,
    messageBytes = 0,
  ) {
    const texts = printed(spelling, messageBytes).map(frame);
    const whole = Array.from({ length: size }, (_, index) => texts[index % ROUND]).join("");
    this.#bytes = encoder.encode(whole);
    let start = 0;
    for (let index = 0; index < size; index++) {
      const text = texts[index % ROUND]!;
      this.#numbers.push(placesOf(text, NUMBER, start));
      this.#counts.push(placesOf(text, `"count":${COUNT}`, start + '"count":'.length));
      start += text.length;
      this.#ends.push(start);
    }
  }

  /** Events in it. */
  get size(): number {
    return this.#ends.length;
  }

  /**
   * The bytes of the events from `first` on, at most `count` of them; valid until the next call.
   *
   * @param first a multiple of ROUND
   */
  bytes(first: number, count: number): Uint8Array<ArrayBuffer> {
    const events = Math.min(count, this.size);
    for (let index = 0; index < events; index++) {
      const number = first + index;
      for (const place of this.#numbers[index]!) this.#digits(number, place, DIGITS);
      for (const place of this.#counts[index]!) this.#digits(100 + number % 900, place, 3);
    }
    return this.#bytes.subarray(0, this.#ends[events - 1] ?? 0);
  }

  /** Where an event begins in the bytes. */
  startOf(index: number): number {
    return index === 0 ? 0 : this.#ends[index - 1]!;
  }

  #digits(value: number, place: number, width: number): void {
    let rest = value;
    for (let at = place + width - 1; at >= place; at--) {
      const next = (rest / 10) | 0;
      this.#bytes[at] = 0x30 + rest - 10 * next;
      rest = next;
    }
  }
}

function placesOf(text: string, sign: string, offset: number): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(sign); at >= 0; at = text.indexOf(sign, at + 1)) {
    places.push(offset + at);
  }
  return places;
}
