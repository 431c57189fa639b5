/** The time of an event in its line, and how often it is looked for. */

import { assertEquals } from "@std/assert";
import { DelaySampler, eventTimeMs } from "../../lib/event_delay.ts";
import { realIo } from "../../lib/real_io.ts";

const bytes = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value)}\n`);
const at = (seconds: number) => new Date(1000 * seconds).toISOString();

Deno.test("eventTimeMs() is the latest time that an event tells of itself, also in a wrapper", () => {
  const metadata = { name: "a", creationTimestamp: at(1) };
  const cases: [unknown, number | null][] = [
    [{ metadata, firstTimestamp: at(2), lastTimestamp: at(3), eventTime: null }, 3000],
    [{ metadata, lastTimestamp: null, eventTime: "1970-01-01T00:00:04.250000Z" }, 4250],
    [{ metadata, eventTime: at(5), series: { lastObservedTime: at(9) } }, 9000],
    [{ metadata, eventTime: at(5), series: null, lastTimestamp: at(2) }, 5000],
    [{ metadata }, 1000],
    [{ metadata: {}, lastTimestamp: "yesterday" }, null],
    [{ cluster: "c", event: { metadata, lastTimestamp: at(6) } }, 6000],
    [[], null],
    [7, null],
  ];
  for (const [line, ms] of cases) assertEquals(eventTimeMs(bytes(line)), ms, JSON.stringify(line));
});

Deno.test("DelaySampler looks at ten lines a second at most, and knows no negative delay", () => {
  const clock = { nowMs: 0, wallMs: 60_000 };
  const delays: number[] = [];
  const io = { ...realIo, monotonicMs: () => clock.nowMs, nowMs: () => clock.wallMs };
  const sampler = new DelaySampler(io, (ms) => delays.push(ms));
  const line = (seconds: number) => bytes({ metadata: {}, lastTimestamp: at(seconds) });
  sampler.written(line(58));
  sampler.written(line(50)); // In the same tenth of a second.
  clock.nowMs = 99;
  sampler.written(line(50));
  clock.nowMs = 100;
  sampler.written(line(59));
  clock.nowMs = 200;
  sampler.written(line(61)); // Of a node whose clock is ahead.
  clock.nowMs = 300;
  sampler.written(bytes({ metadata: {} }));
  clock.nowMs = 400;
  sampler.written(bytes({ metadata: {}, lastTimestamp: at(59), message: "x".repeat(66_000) }));
  assertEquals(delays, [2000, 1000, 0]);
});
