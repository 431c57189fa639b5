/**
 * From bytes of a WATCH or LIST to identity and line: MB/s of one core.
 *
 * deno bench gives the time of one pass over STREAM_BYTES; MB/s is STREAM_BYTES divided by it.
 */

import { EventModule } from "../lib/event_module.ts";
import { EventScan } from "../lib/event_scan.ts";
import { ListItems } from "../lib/list_items.ts";
import { Murmur3 } from "../lib/murmur3.ts";
import { PLAIN_LINE } from "../lib/protocol.ts";
import { readWatchLine, WatchLines } from "../lib/watch_lines.ts";

const encoder = new TextEncoder();

/** An event of about 1.3 KB, as the kubelet writes them. */
function event(index: number, message: string): string {
  const fields = Object.fromEntries(
    ["count", "firstTimestamp", "involvedObject", "lastTimestamp", "message", "reason"]
      .concat(["reportingComponent", "reportingInstance", "type"])
      .map((name) => [`f:${name}`, {}]),
  );
  const time = "2026-07-25T08:00:00Z";
  return JSON.stringify({
    metadata: {
      name: `web-7d4b9c6f5-x2x${index}.17a3c0de12ab34cd`,
      namespace: "shop",
      uid: "687c400c-eafd-46f8-bcba-67e4a5ad1485",
      resourceVersion: String(918273645 + index),
      creationTimestamp: time,
      managedFields: [{
        manager: "kubelet",
        operation: "Update",
        apiVersion: "v1",
        time,
        fieldsType: "FieldsV1",
        fieldsV1: { ...fields, "f:source": { ".": {}, "f:component": {}, "f:host": {} } },
      }],
    },
    involvedObject: {
      kind: "Pod",
      namespace: "shop",
      name: "web-7d4b9c6f5-x2x",
      uid: "0b1c2d3e-0000-4000-8000-000000000001",
      apiVersion: "v1",
      resourceVersion: "918270000",
      fieldPath: "spec.containers{web}",
    },
    reason: "Pulled",
    message,
    source: { component: "kubelet", host: "node-17" },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 2,
    type: "Normal",
    eventTime: null,
    reportingComponent: "kubelet",
    reportingInstance: "node-17",
  });
}

const MESSAGE = `Successfully pulled image "registry.example/shop/web@sha256:${
  "0123456789abcdef".repeat(4)
}" in 1.204s (1.204s including waiting). Image size: 84217563 bytes.`;

const COUNT = 2000;
const watchOf = (message: string): Uint8Array =>
  encoder.encode(
    Array.from({ length: COUNT }, (_, i) => {
      const object = `{"kind":"Event","apiVersion":"v1",${event(i, message).slice(1)}`;
      return `{"type":"ADDED","object":${object}}\n`;
    }).join(""),
  );
const watch = watchOf(MESSAGE);
const watchOfUmlauts = watchOf(MESSAGE + " Übrigens.");
const list = encoder.encode(
  '{"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[' +
    Array.from({ length: COUNT }, (_, i) => event(i, MESSAGE)).join() + "]}\n",
);

/** The reader's side: copies the stream into the window as reads of 64 KiB would. */
function fill(
  window: { room(): Uint8Array<ArrayBuffer>; fill(view: Uint8Array<ArrayBuffer>): void },
  bytes: Uint8Array,
  at: number,
): number {
  const room = window.room();
  const piece = bytes.subarray(at, at + room.length);
  room.set(piece);
  window.fill(room.subarray(0, piece.length));
  return at + piece.length;
}

const module = EventModule.make()!;
const batch = module.draft;
const scan = new EventScan(PLAIN_LINE, module);

function writeLine(offset: number): number {
  return scan.writeLine(batch, offset + scan.lineLength > batch.length ? 0 : offset);
}

function readWatch(bytes: Uint8Array): void {
  const lines = new WatchLines(
    undefined,
    (bytes, start) => scan.scanFirst(bytes, start, "content"),
  );
  let offset = 0;
  let events = 0;
  for (let at = 0; at < bytes.length;) {
    at = fill(lines, bytes, at);
    while (lines.next()) {
      const line = lines.scanned ??
        readWatchLine(scan, lines.bytes, lines.start, lines.end, "content");
      if (line.type !== "ADDED") throw new Error(line.type);
      offset = writeLine(offset);
      events++;
    }
  }
  if (events !== COUNT) throw new Error(`${events} events`);
}

function readList(bytes: Uint8Array): void {
  const items = new ListItems(
    undefined,
    (bytes, start) => scan.scanFirst(bytes, start, "content"),
  );
  let offset = 0;
  for (let at = 0; at < bytes.length;) {
    at = fill(items, bytes, at);
    while (items.next()) {
      const { bytes, start, end } = items;
      if (!items.isScanned && scan.scan(bytes, start, end, "content") !== null) {
        throw new Error("bad");
      }
      offset = writeLine(offset);
    }
  }
  items.finish();
}

const megabytes = (bytes: Uint8Array): string => `${(bytes.length / 1e6).toFixed(2)} MB`;

Deno.bench(`WATCH: split, scan, write lines, ${megabytes(watch)}`, () => readWatch(watch));

Deno.bench(`WATCH: split only, ${megabytes(watch)}`, () => {
  const lines = new WatchLines();
  for (let at = 0; at < watch.length;) {
    at = fill(lines, watch, at);
    while (lines.next());
  }
});

Deno.bench(`WATCH: events beyond ASCII, ${megabytes(watchOfUmlauts)}`, () => {
  readWatch(watchOfUmlauts);
});

Deno.bench(`LIST: split, scan, write lines, ${megabytes(list)}`, () => readList(list));

Deno.bench(`LIST: split only, ${megabytes(list)}`, () => {
  const items = new ListItems();
  for (let at = 0; at < list.length;) {
    at = fill(items, list, at);
    while (items.next());
  }
});

const hash = new Murmur3();
const lanes = new Uint32Array(4);
Deno.bench(`Murmur3 in pieces of 64 bytes, ${megabytes(watch)}`, () => {
  for (let at = 0; at + 64 <= watch.length; at += 64) {
    hash.reset();
    hash.update(watch, at, at + 64);
    hash.finish(lanes);
  }
});

Deno.bench(`for comparison: JSON.parse of each line, ${megabytes(watch)}`, () => {
  for (const line of new TextDecoder().decode(watch).trimEnd().split("\n")) JSON.parse(line);
});
