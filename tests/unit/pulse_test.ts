/** What the watch isolate counts, and how often it tells. */

import { assert, assertEquals } from "@std/assert";
import { ApiFailure } from "../../lib/api_failure.ts";
import { WatchPosition } from "../../lib/position.ts";
import { Pulse, type PulseReport, type WatchPulse } from "../../lib/pulse.ts";
import { until } from "../support/temp.ts";

/** One watch whose LIST is complete, on a clock that the test moves. */
interface Scene {
  clock: { ms: number };
  pulse: Pulse;
  watch: WatchPulse;
  position: WatchPosition;
  reports: PulseReport[];
}

async function withPulse(test: (scene: Scene) => void | Promise<void>): Promise<void> {
  const clock = { ms: 5000 };
  const reports: PulseReport[] = [];
  const pulse = new Pulse(
    { nowMs: () => clock.ms, random: () => 0 },
    (report) => reports.push(structuredClone(report)),
  );
  const position = new WatchPosition(null);
  try {
    await test({ clock, pulse, position, watch: pulse.watch(position), reports });
  } finally {
    pulse.stop();
  }
}

Deno.test("Pulse tells once of what changed within a second, and nothing where nothing did", async () => {
  await withPulse(async ({ clock, watch, reports }) => {
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assertEquals(reports, []);
    for (let i = 0; i < 100; i++) watch.watchRead(10);
    watch.listStarted("start");
    watch.failed("watch", new ApiFailure("no", { status: 503 }));
    watch.failed("list", new ApiFailure("no"));
    clock.ms += 700;
    await until("it tells", () => reports.length > 0);
    const [report] = reports;
    assertEquals(report!.receivedBytes, { list: 0, watch: 1000 });
    assertEquals(report!.listsStarted, { start: 1, doubt: 0, drop: 0, age: 0 });
    assertEquals(report!.failures.watch.server, 1);
    assertEquals(report!.failures.list.connection, 1);
    assertEquals(report!.byteAgeMs, 700);
    assertEquals(report!.watches, [{
      isOpen: false,
      isComplete: false,
      isHeld: false,
      silentMs: 700,
    }]);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assertEquals(reports.length, 1);
  });
});

Deno.test("WatchPulse tells each kind of failure by its status", async () => {
  await withPulse(({ pulse, watch }) => {
    for (const status of [0, 401, 403, 410, 429, 500, 503, 504, 404]) {
      watch.failed("watch", new ApiFailure("no", { status }));
    }
    assertEquals(pulse.counts.failures.watch, {
      connection: 1,
      unauthorized: 1,
      forbidden: 1,
      expired: 1,
      throttled: 1,
      server: 3,
      other: 1,
    });
  });
});

Deno.test("A watch is complete once nothing is owed after a LIST or a WATCH of its own, for good", async () => {
  await withPulse(({ watch, position }) => {
    const isComplete = () => watch.state().isComplete;
    assert(!isComplete());
    position.begin("7"); // The first page of the first LIST.
    watch.watchOpened();
    watch.watchAccepted();
    assert(!isComplete());
    position.listOwed = false;
    watch.listCompleted();
    assert(isComplete());
    position.listOwed = true;
    assert(isComplete());
  });
  // It resumes where the checkpoint says that nothing is owed.
  await withPulse(({ watch, position }) => {
    position.begin("7");
    position.listOwed = false;
    assert(!watch.state().isComplete);
    watch.watchOpened();
    assert(!watch.state().isComplete);
    watch.watchAccepted();
    assert(watch.state().isComplete);
  });
});

Deno.test("A watch is silent since its last sign of life, or since it ended, but not since it ended again", async () => {
  await withPulse(({ clock, watch, pulse }) => {
    const after = (ms: number) => {
      clock.ms += ms;
      const { isOpen, silentMs } = watch.state();
      return [isOpen, silentMs];
    };
    assertEquals(after(10), [false, 10]);
    watch.watchOpened();
    assertEquals(after(10), [true, 20]);
    watch.watchAccepted();
    watch.watchRead(5);
    assertEquals(after(10), [true, 10]);
    watch.alive();
    assertEquals(after(60), [true, 60]);
    // A quiet watch that breaks off has been alive until now.
    watch.watchEnded("cut");
    assertEquals(after(7), [false, 7]);
    // One that is accepted and ends at once is no sign of life, however often it does.
    for (let again = 1; again <= 3; again++) {
      watch.watchOpened();
      watch.watchEnded("broken");
      assertEquals(after(7), [false, 7 + 7 * again]);
    }
    watch.watchOpened();
    watch.alive();
    assertEquals(after(1), [true, 1]);
    watch.watchEnded("closed");
    watch.watchEnded("discarded"); // That one had not begun.
    const { closed, discarded, cut, broken } = pulse.counts.watchesEnded;
    assertEquals({ closed, discarded, cut, broken }, {
      closed: 1,
      discarded: 0,
      cut: 1,
      broken: 3,
    });
    assertEquals(pulse.counts.watchesStarted, 5);
  });
});

Deno.test("A watch is held back as long as any of its streams is, and alive when it goes on", async () => {
  await withPulse(({ clock, watch }) => {
    watch.held();
    watch.held();
    clock.ms += 100;
    watch.released();
    assert(watch.state().isHeld);
    clock.ms += 100;
    watch.released();
    const { isHeld, silentMs } = watch.state();
    assertEquals({ isHeld, silentMs }, { isHeld: false, silentMs: 0 });
  });
});

Deno.test("Bytes of a LIST are signs of life until the first LIST is complete", async () => {
  await withPulse(({ clock, watch, position }) => {
    clock.ms += 100;
    watch.listRead(1);
    assertEquals(watch.state().silentMs, 0);
    position.begin("7");
    position.listOwed = false;
    watch.listCompleted();
    watch.state();
    clock.ms += 100;
    watch.listRead(1);
    assertEquals(watch.state().silentMs, 100);
  });
});
