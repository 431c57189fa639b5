/** What main makes of what the watch isolate tells: on a real recorder, with a clock of the test. */

import { assert, assertEquals } from "@std/assert";
import { Observer } from "../../lib/observer.ts";
import type { Position } from "../../lib/protocol.ts";
import { emptyReport, type WatchSigns } from "../../lib/pulse.ts";
import { realIo } from "../../lib/real_io.ts";
import { Recorder } from "../../lib/recorder.ts";
import { DEFAULTS } from "../../lib/settings.ts";
import { until, withTempFolder } from "../support/temp.ts";

/** A clock that is ahead of the real one. */
interface Ahead {
  ms: number;
}

/** Runs a test with an observer of two watches that owe nothing, as their checkpoint says. */
async function withObserver(
  test: (observer: Observer, recorder: Recorder, ahead: Ahead) => void | Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const ahead = { ms: 0 };
    const io = { ...realIo, monotonicMs: () => realIo.monotonicMs() + ahead.ms };
    const settings = { ...DEFAULTS, destination: `${folder}/events`, persistencePath: folder };
    const watches = ["a", "b"].map((namespace) => ({
      server: "https://a",
      namespace,
      fieldSelector: null,
    }));
    const recorder = await Recorder.open(io, {
      settings,
      watches,
      pid: 1,
      askForList: () => {},
      onFatal: (error) => {
        throw error;
      },
    });
    try {
      await test(new Observer(io, recorder, settings, watches), recorder, ahead);
    } finally {
      assertEquals(await recorder.stop(), null);
    }
  });
}

const report = (...watches: Partial<WatchSigns>[]) => ({
  ...emptyReport(0),
  watches: watches.map((watch) => ({
    ...{ isOpen: true, isComplete: true, isHeld: false, silentMs: 0 },
    ...watch,
  })),
});

function position(listOwed: boolean): Position {
  return { rv: "7", witness: null, previous: "7", highest: "7", listOwed };
}

Deno.test("Observer counts on where the watch isolate says nothing any more, from its start on", async () => {
  await withObserver((observer, _, ahead) => {
    assertEquals(observer.unhealthy(), null);
    ahead.ms += 121_000;
    const says = observer.unhealthy();
    assert(
      says?.startsWith("No WATCH of /api/v1/namespaces/a/events has got going for 12"),
      `${says}`,
    );
    observer.take(report({}, { silentMs: 1000 }));
    assertEquals(observer.unhealthy(), null);
    ahead.ms += 178_000;
    assertEquals(observer.unhealthy(), null);
    ahead.ms += 1500;
    assertEquals(
      observer.unhealthy(),
      "The WATCH of /api/v1/namespaces/b/events has shown no sign of life for 180 s.",
    );
    const { silenceMs, byteAgeMs } = observer.snapshot();
    assert(silenceMs > 180_500 && silenceMs < 190_000, `${silenceMs}`);
    assert(byteAgeMs > 179_500 && byteAgeMs < 190_000, `${byteAgeMs}`);
  });
});

Deno.test("Observer does not take a watch for silent that main holds back", async () => {
  await withObserver((observer, _, ahead) => {
    observer.take(report({ isHeld: true, silentMs: 500_000 }, { isHeld: true }));
    ahead.ms += 500_000;
    assertEquals(observer.unhealthy(), null);
    assertEquals(observer.snapshot().silenceMs, 0);
  });
});

Deno.test("Observer is ready once main has dealt with what each watch met, and stays it", async () => {
  await withObserver(async (observer, recorder) => {
    const dealt = async (...owed: boolean[]) => {
      let isDone = false;
      recorder.take({ events: null, positions: owed.map(position) }, () => isDone = true);
      await until("it is dealt with", () => isDone);
    };
    const first = (name: string) =>
      `Not ready: the first LIST of /api/v1/namespaces/${name}/events is not complete.`;
    observer.take(report({}, {}));
    assertEquals(observer.unready(), first("a")); // Main knows no position yet.
    await dealt(false, true);
    assertEquals(observer.unready(), first("b"));
    assertEquals(observer.snapshot().listsOwed, 1);
    await dealt(false, false);
    assertEquals(observer.unready(), null);
    assertEquals(observer.snapshot().listsOwed, 0);
    await dealt(true, true);
    observer.take(report({ isComplete: false }, { isComplete: false }));
    assertEquals(observer.unready(), null);
  });
});
