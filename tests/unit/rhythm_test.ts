/** Since when something waits for a sync or a checkpoint, and how long one took. */

import { assertEquals } from "@std/assert";
import { realIo } from "../../lib/real_io.ts";
import { Rhythm } from "../../lib/rhythm.ts";

/** A rhythm with a clock that stands still, and what it observed. */
function scene() {
  const clock = { nowMs: 1000 };
  const durations: number[] = [];
  const rhythm = new Rhythm({ ...realIo, monotonicMs: () => clock.nowMs });
  rhythm.onDone = (ms) => durations.push(ms);
  return { clock, durations, rhythm };
}

Deno.test("Rhythm tells for how long the oldest thing waits, and that nothing does any more", () => {
  const { clock, durations, rhythm } = scene();
  assertEquals(rhythm.waitedMs, 0);
  rhythm.due();
  clock.nowMs += 50;
  rhythm.due();
  clock.nowMs += 50;
  assertEquals(rhythm.waitedMs, 100);
  rhythm.begin();
  clock.nowMs += 7;
  assertEquals(rhythm.waitedMs, 107);
  rhythm.done();
  assertEquals([rhythm.waitedMs, rhythm.ageMs, durations], [0, 0, [7]]);
  clock.nowMs += 3;
  assertEquals(rhythm.ageMs, 3);
});

Deno.test("Rhythm keeps what came while one was under way for the next one", () => {
  const { clock, rhythm } = scene();
  rhythm.due();
  rhythm.begin();
  clock.nowMs += 10;
  rhythm.due();
  clock.nowMs += 10;
  rhythm.done();
  assertEquals(rhythm.waitedMs, 10);
});

Deno.test("Rhythm still counts what one took that did not come to its end", () => {
  const { clock, durations, rhythm } = scene();
  rhythm.due();
  rhythm.begin();
  clock.nowMs += 10;
  rhythm.due();
  clock.nowMs += 10;
  rhythm.begin(); // The one before it failed.
  clock.nowMs += 1;
  assertEquals(rhythm.waitedMs, 21);
  rhythm.done();
  assertEquals([rhythm.waitedMs, durations], [0, [1]]);
});

Deno.test("Rhythm does not count one for which nothing waited, unless it is made in any case", async () => {
  const { clock, durations, rhythm } = scene();
  clock.nowMs += 10;
  rhythm.begin();
  rhythm.done();
  assertEquals([rhythm.ageMs, durations], [10, []]);
  await rhythm.during(() => {
    clock.nowMs += 5;
    return Promise.resolve();
  });
  assertEquals([rhythm.ageMs, rhythm.waitedMs, durations], [0, 0, [5]]);
});
