import { assert, assertEquals } from "@std/assert";
import { BATCH_LINES_AT, BatchReader, BatchWriter } from "../../lib/batch.ts";
import { BatchPool } from "../../lib/batch_pool.ts";
import { EventScan } from "../../lib/event_scan.ts";
import { BATCH_BYTES, BATCH_DELAY_MS, BATCH_EVENTS_MAX } from "../../lib/limits.ts";
import type { FromWatch, IdentityMode, Position } from "../../lib/protocol.ts";
import { until } from "../fake/testing.ts";

type Batch = Extract<FromWatch, { type: "batch" }>;

/** An event whose line has this many bytes. */
function eventOf(lineBytes: number, n = 0): string {
  const event = (message: string) =>
    JSON.stringify({ kind: "Event", apiVersion: "v1", metadata: meta(n), message });
  return event("x".repeat(lineBytes - event("").length - 1));
}

function meta(n: number) {
  return { name: `e${n}`, namespace: "a", resourceVersion: `${n}` };
}

function scanned(text: string, mode: IdentityMode = "content"): EventScan {
  const scan = new EventScan();
  const bytes = new TextEncoder().encode(text);
  assertEquals(scan.scan(bytes, 0, bytes.length, mode), null);
  return scan;
}

/** A writer with its pool, what it posted, and main's end. */
function rig(buffers = 2, mode: IdentityMode = "content") {
  const pool = BatchPool.make(buffers);
  const posted: Batch[] = [];
  const positions: { now: (Position | null)[] } = { now: [null] };
  const outlet = {
    post: (message: FromWatch) => {
      if (message.type !== "batch") throw new Error(message.type);
      // As by postMessage: the writer must not touch a long line any more.
      const transfer = message.place?.long ? [message.place.long] : [];
      posted.push(structuredClone(message, { transfer }));
    },
    positions: () => positions.now,
  };
  const writer = new BatchWriter(outlet, new BatchPool(pool.memory), mode);
  let told = 0;
  return {
    ...{ posted, positions, writer },
    read: ({ place }: Batch) => read(new BatchReader(pool, place!)),
    /** Main has dealt with a batch. */
    free: ({ place }: Batch) => {
      if (!pool.free(place!.buffer)) return;
      told++;
      writer.freed();
    },
    /** How often the writer was told of it. */
    told: () => told,
  };
}

/** Puts an event where there is room; says whether there was. */
function put(writer: BatchWriter, text: string): boolean {
  const scan = scanned(text);
  if (!writer.isReady(scan.lineLength)) return false;
  writer.put(scan, null);
  return true;
}

function read(batch: BatchReader) {
  const indices = Array.from({ length: batch.count }, (_, index) => index);
  const decoder = new TextDecoder();
  return {
    batch,
    lines: indices.map((i) => decoder.decode(batch.bytes.subarray(batch.start(i), batch.end(i)))),
  };
}

Deno.test("what is put is read: lines in order without gaps, keys of both modes", () => {
  for (const mode of ["content", "name-count"] as const) {
    const { writer, posted, read } = rig(2, mode);
    const other = mode === "content" ? "name-count" : "content";
    const texts = [0, 1, 2].map((n) => eventOf(200 + n, n));
    for (const text of texts) {
      const scan = scanned(text, mode);
      assert(writer.isReady(scan.lineLength));
      writer.put(scan, scanned(text, other));
    }
    writer.flush();
    const { batch, lines } = read(posted[0]!);
    assertEquals(lines, texts.map((text) => `${text}\n`));
    assertEquals([batch.start(0), batch.start(1)], [BATCH_LINES_AT, batch.end(0)]);
    for (const [index, text] of texts.entries()) {
      const key = batch.keys.subarray(8 * index, 8 * index + 8);
      assertEquals([...key], [...scanned(text).key, ...scanned(text, "name-count").key]);
    }
  }
});

Deno.test("lanes of a mode that is not wanted are 0, also in a buffer used before", () => {
  const { writer, posted, read, free } = rig(1);
  const text = eventOf(300);
  writer.isReady(300);
  writer.put(scanned(text), scanned(text, "name-count"));
  writer.flush();
  free(posted[0]!);
  assert(put(writer, text));
  writer.flush();
  const { batch } = read(posted[1]!);
  assertEquals([...batch.keys], [...scanned(text).key, 0, 0, 0, 0]);
});

Deno.test("a batch takes lines to its last byte, and events to their most", () => {
  const { writer, posted, read } = rig(3);
  const room = BATCH_BYTES - BATCH_LINES_AT;
  assert(put(writer, eventOf(1000)) && put(writer, eventOf(room - 1000)));
  assertEquals(posted.length, 0);
  for (let n = 0; n <= BATCH_EVENTS_MAX; n++) assert(put(writer, eventOf(160, n)));
  assertEquals(posted.map((batch) => read(batch).batch.count), [2, BATCH_EVENTS_MAX]);
  assertEquals(read(posted[0]!).batch.bytes.length, BATCH_BYTES);
});

Deno.test("without a buffer nothing is taken, until one comes back", async () => {
  const { writer, posted, free, told } = rig(1);
  assert(put(writer, eventOf(200)));
  writer.flush();
  assert(!put(writer, eventOf(200)));
  let isWoken = false;
  const woken = writer.changed(200).then(() => isWoken = true);
  await Promise.resolve();
  assert(!isWoken);
  free(posted[0]!);
  await woken;
  assert(put(writer, eventOf(200)));
  writer.flush();
  free(posted[1]!);
  assertEquals(told(), 1, "who did not ask is not told");
});

Deno.test("a buffer that comes back while it is asked for is not waited for", async () => {
  const { writer, posted, free, told } = rig(1);
  assert(put(writer, eventOf(200)));
  writer.flush();
  assert(!writer.isReady(200));
  free(posted[0]!);
  await writer.changed(200);
  assert(put(writer, eventOf(200)));
  assertEquals(told(), 0);
});

Deno.test("close() wakes those who wait", async () => {
  const { writer } = rig(0);
  const woken = writer.changed(200);
  writer.close();
  await woken;
});

Deno.test("a longer line travels alone in its place; one at a time, a buffer held back for it", () => {
  const { writer, posted, read, free } = rig(3);
  const long = eventOf(BATCH_BYTES + 5, 2);
  assert(put(writer, eventOf(200, 1)) && put(writer, long) && put(writer, eventOf(200, 3)));
  writer.flush();
  assertEquals(posted.map((batch) => read(batch).lines.length), [1, 1, 1]);
  assertEquals(read(posted[1]!).lines, [`${long}\n`]);
  // All three are away, one of them as the token of the longer one.
  assert(!put(writer, eventOf(200)));
  free(posted[0]!);
  assert(!put(writer, long), "one longer line at a time");
  free(posted[1]!);
  assert(put(writer, long));
  writer.flush();
  free(posted[2]!);
  free(posted[3]!);
  // The pool is whole again, and no bigger.
  for (let n = 0; n < 3; n++) {
    assert(put(writer, eventOf(200)));
    writer.flush();
  }
  assert(!put(writer, eventOf(200)));
});

Deno.test("a batch that was opened and not used does not cost its buffer", () => {
  const { writer } = rig(1);
  assert(writer.isReady(200));
  assert(writer.isReady(BATCH_BYTES + 5));
  assert(writer.isReady(200));
  assert(writer.isReady(BATCH_BYTES - BATCH_LINES_AT));
});

Deno.test("positions travel with the lines they cover, or alone; nothing new posts nothing", () => {
  const { writer, posted, positions } = rig();
  const at = (rv: string) => [{ rv, witness: null, previous: rv, highest: rv, listOwed: false }];
  writer.flush();
  assertEquals(posted.length, 0);
  positions.now = at("1");
  writer.moved();
  writer.flush();
  assertEquals(posted[0], { type: "batch", place: null, positions: at("1") });
  put(writer, eventOf(200));
  positions.now = at("2");
  writer.moved();
  writer.flush();
  writer.flush();
  assertEquals(posted.length, 2);
  assertEquals(posted[1]!.positions, at("2"));
});

Deno.test("what is offered goes at once, and what comes soon after goes together", async () => {
  const { writer, posted, read } = rig(4);
  put(writer, eventOf(200, 1));
  const began = performance.now();
  writer.offer();
  assertEquals(posted.length, 1);
  for (const n of [2, 3]) {
    put(writer, eventOf(200, n));
    writer.offer();
  }
  assertEquals(posted.length, 1);
  await until(() => posted.length > 1);
  assert(performance.now() - began >= BATCH_DELAY_MS - 1);
  assertEquals(read(posted[1]!).lines.length, 2);
  // After a while without news the next event goes at once again.
  await new Promise((resolve) => setTimeout(resolve, 20 * BATCH_DELAY_MS));
  put(writer, eventOf(200, 4));
  writer.offer();
  assertEquals(posted.length, 3);
  writer.close();
});

Deno.test("while main is behind, the last buffer is filled instead of offered", async () => {
  const { writer, posted, read, free } = rig(2);
  put(writer, eventOf(200, 1));
  writer.flush();
  put(writer, eventOf(200, 2));
  writer.offer();
  // Long past the delay: what would have gone has gone.
  await new Promise((resolve) => setTimeout(resolve, 20 * BATCH_DELAY_MS));
  put(writer, eventOf(200, 3));
  assertEquals(posted.length, 1);
  free(posted[0]!);
  assertEquals(posted.length, 2);
  assertEquals(read(posted[1]!).lines.length, 2);
});

Deno.test("positions alone wait while main has a batch", async () => {
  const { writer, posted, free } = rig(3);
  put(writer, eventOf(200, 1));
  writer.flush();
  for (let n = 0; n < 3; n++) {
    writer.moved();
    writer.offer();
    await new Promise((resolve) => setTimeout(resolve, 5 * BATCH_DELAY_MS));
  }
  assertEquals(posted.length, 1);
  free(posted[0]!);
  assertEquals(posted.map(({ place }) => place === null), [false, true]);
});
