import { assert, assertEquals } from "@std/assert";
import { Backoff, sleep } from "../../lib/backoff.ts";

/** A clock that stands where it is put. */
function clock(random: number) {
  return {
    ms: 0,
    chance: random,
    nowMs() {
      return this.ms;
    },
    random() {
      return this.chance;
    },
  };
}

const TIMES = { firstMs: 800, maxMs: 30_000, resetMs: 120_000 };

Deno.test("delays double from the first to the longest (check 4.2.12)", () => {
  const backoff = new Backoff(clock(0), TIMES);
  const delays = Array.from({ length: 8 }, () => backoff.fail());
  assertEquals(delays, [800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
});

Deno.test("as much again is added by chance (check 4.2.12)", () => {
  const almostOne = 1 - 2 ** -53;
  const backoff = new Backoff(clock(almostOne), TIMES);
  for (const delay of [800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]) {
    const drawn = backoff.fail();
    assert(drawn > 1.99 * delay && drawn <= 2 * delay, `${drawn}`);
  }
});

Deno.test("after long enough without a failure the delay starts anew, not before (check 4.2.12)", () => {
  const time = clock(0);
  const backoff = new Backoff(time, TIMES);
  backoff.fail();
  assertEquals(backoff.fail(), 1600);
  time.ms += 120_000;
  assertEquals(backoff.fail(), 3200);
  time.ms += 120_001;
  assertEquals(backoff.fail(), 800);
});

Deno.test("a server that asks for more gets more, and the doubling goes on (check 4.2.12)", () => {
  const time = clock(0);
  const backoff = new Backoff(time, TIMES);
  assertEquals(backoff.fail(5000), 5000);
  time.chance = 0.5;
  assertEquals(backoff.fail(5000), 5800);
  assertEquals(backoff.fail(10), 3200 * 1.5);
});

Deno.test("sleep() ends with its time or its signal, and leaves nothing behind", async () => {
  const began = performance.now();
  await sleep(20, new AbortController().signal);
  assert(performance.now() - began >= 19);

  const controller = new AbortController();
  const asleep = sleep(60_000, controller.signal);
  controller.abort();
  await asleep;
  await sleep(60_000, controller.signal);
});
