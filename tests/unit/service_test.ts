/** When a service manager is told what, and how datagrams are sent, without the rest of the program. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Io } from "../../lib/io.ts";
import { SERVICE_LOOK_MS } from "../../lib/limits.ts";
import { realIo } from "../../lib/real_io.ts";
import { Notifier, takeManagerEnv } from "../../lib/sd_notify.ts";
import { Service } from "../../lib/service.ts";
import { NotifySocket, stepsOf } from "../support/notify_socket.ts";
import { until, withTempFolder } from "../support/temp.ts";

/** An Io whose clock stands still until it is moved, which also runs what is due then. */
class Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ atMs: number; action: () => void }>();

  readonly io: Io = {
    ...realIo,
    monotonicMs: () => this.#nowMs,
    after: (ms, action) => {
      const timer = { atMs: this.#nowMs + ms, action };
      this.#timers.add(timer);
      return () => this.#timers.delete(timer);
    },
  };

  get timers(): number {
    return this.#timers.size;
  }

  /** To the next timer. */
  next(): void {
    const [first] = [...this.#timers].sort((one, other) => one.atMs - other.atMs);
    this.#timers.delete(first!);
    this.#nowMs = first!.atMs;
    first!.action();
  }
}

/** A service that is READY, what it sent since, and the report that it asks for. */
function startedService(watchdogMs: number | null, before = (_: Service) => {}) {
  const sent: string[] = [];
  const notifier = {
    send: (text: string) => void sent.push(text),
    offer: (text: string) => sent.push(text) > 0,
    retry: () => true,
    monotonicUsec: () => 1e6,
  };
  const clock = new Clock();
  const service = new Service(clock.io, notifier, watchdogMs);
  const report = { ill: null as string | null, text: "Well." };
  before(service);
  service.ready({ describe: () => report.text, health: () => report.ill });
  /** All that was sent until so many looks later. */
  const looks = (count: number) => {
    for (let n = 0; n < count; n++) clock.next();
    return sent.splice(0);
  };
  return { clock, service, report, sent, looks };
}

Deno.test("WATCHDOG=1 comes at half of its time, and not while the program is ill", () => {
  const { report, looks } = startedService(6 * SERVICE_LOOK_MS);
  assertEquals(looks(0), ["READY=1\nSTATUS=Well.", "WATCHDOG=1"]);
  assertEquals(looks(2), []);
  assertEquals(looks(1), ["WATCHDOG=1"]);
  assertEquals(looks(3), ["WATCHDOG=1"]);
  report.ill = "Nobody reads.";
  assertEquals(looks(9), ["STATUS=Not healthy: Nobody reads."]);
  report.ill = null;
  assertEquals(looks(1), ["WATCHDOG=1\nSTATUS=Well."], "at the next look, not at the next half");
});

Deno.test("A watchdog of less than a look is served in time too", () => {
  const { clock, looks } = startedService(SERVICE_LOOK_MS / 5);
  looks(0);
  assertEquals(looks(1), ["WATCHDOG=1"]);
  assertEquals(clock.io.monotonicMs(), SERVICE_LOOK_MS / 10);
});

Deno.test("A STATUS is said when it changes, on one line", () => {
  const { report, looks } = startedService(null);
  assertEquals(looks(4), ["READY=1\nSTATUS=Well."]);
  report.text = "One\nREADY=1";
  assertEquals(looks(2), ["STATUS=One\\nREADY=1"]);
  report.text = "x".repeat(5000);
  assert(looks(1)[0]!.length < 4096, "systemd takes no more");
});

Deno.test("What was not taken is said at the next look", () => {
  const taken: string[] = [];
  let isFull = true;
  let retries = 0;
  const offer = (text: string) => !isFull && taken.push(text) > 0;
  const clock = new Clock();
  const service = new Service(
    clock.io,
    { send: () => {}, offer, retry: () => ++retries > 0, monotonicUsec: () => 0 },
    1000 * SERVICE_LOOK_MS,
  );
  let text = "Well.";
  service.ready({ describe: () => text, health: () => null });
  text = "Better.";
  clock.next();
  isFull = false;
  clock.next();
  assertEquals(taken, ["WATCHDOG=1\nSTATUS=Better."]);
  assertEquals(retries, 3, "also where there is nothing new to say");
});

Deno.test("Reloads that overlap end with one READY; after STOPPING nothing is said", async () => {
  const { clock, service, sent } = startedService(null);
  const [first, second, third] = [1, 2, 3].map(() => Promise.withResolvers<void>());
  const reloads = [first!, second!].map(({ promise }) => service.reload(() => promise));
  first!.resolve();
  await reloads[0];
  second!.resolve();
  await reloads[1];
  const last = service.reload(() => third!.promise);
  service.stopping(new Error("The disk\nis gone"));
  service.stopping(null);
  third!.resolve();
  await last;
  const steps = ["READY", "RELOADING", "RELOADING", "READY", "RELOADING", "STOPPING"];
  assertEquals(stepsOf(sent), steps);
  assertEquals(sent.at(-1), "STOPPING=1\nSTATUS=Stopping: The disk is gone");
  assertEquals(clock.timers, 0);
});

Deno.test("An illness is told in a reload too; what ends while it starts never becomes READY", async () => {
  const { service, report, sent, looks } = startedService(null);
  const work = Promise.withResolvers<void>();
  const reload = service.reload(() => work.promise);
  assertMatch(sent.splice(0).at(-1)!, /^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=Reopening the d/);
  report.ill = "The disk hangs.";
  assertEquals(looks(1), ["STATUS=Not healthy: The disk hangs."]);
  report.ill = null;
  assertEquals(looks(1), ["STATUS=Reopening the destination."]);
  work.resolve();
  await reload;
  assertEquals(sent.splice(0), ["READY=1\nSTATUS=Well."]);

  const early = startedService(null, (service) => service.stopping(new Error("Not yet")));
  assertEquals(early.looks(0), ["STOPPING=1\nSTATUS=Stopping: Not yet"]);
  assertEquals(early.clock.timers, 0);
});

Deno.test("Without a manager nothing is done, and no clock runs", async () => {
  const clock = new Clock();
  const service = new Service(clock.io, null, null);
  service.starting();
  const asked = () => {
    throw new Error("Asked for nothing");
  };
  service.ready({ describe: asked, health: asked });
  await service.reload(() => Promise.resolve());
  service.stopping(null);
  assertEquals(clock.timers, 0);
});

Deno.test("What a manager says is taken out of the environment, so that no plugin speaks for us", () => {
  const names = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
  const taken = (...values: (string | null)[]) => {
    for (const [index, name] of names.entries()) {
      const value = values[index] ?? null;
      if (value === null) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    const env = takeManagerEnv(42);
    assertEquals(names.filter((name) => Deno.env.has(name)), []);
    return env;
  };
  const socket = "/run/manager";
  assertEquals(taken(), null);
  assertEquals(taken(null, "1000000", "42"), null);
  assertEquals(taken(""), null);
  assertEquals(taken(socket), { socket, watchdogMs: null });
  assertEquals(taken(socket, "1500000"), { socket, watchdogMs: 1500 });
  assertEquals(taken(socket, "1500000", "42"), { socket, watchdogMs: 1500 });
  assertEquals(taken(socket, "1500000", "43"), { socket, watchdogMs: null });
  for (const wrong of ["", "0", "-1", "soon"]) {
    assertEquals(taken(socket, wrong, "42"), { socket, watchdogMs: null });
  }
});

/** Runs `body` with a manager at a path and at an abstract name, which does not read at first. */
function notifierTest(
  name: string,
  body: (notifier: Notifier, manager: NotifySocket) => Promise<void>,
): void {
  Deno.test({
    name,
    sanitizeResources: false, // The program has its socket until its end.
    fn: async () => {
      await withTempFolder(async (folder) => {
        for (const name of [`${folder}/manager.socket`, `@${folder}`]) {
          await using manager = new NotifySocket(name, { isReading: false });
          await body(Notifier.open(name)!, manager);
        }
      });
    },
  });
}

notifierTest(
  "A manager at a path or an abstract name is told in order",
  async (notifier, manager) => {
    const texts = ["READY=1", "STATUS=One\nWATCHDOG=1", `STATUS=${"x".repeat(4000)}`];
    for (const text of texts) notifier.send(text);
    manager.read();
    await until("they came", () => manager.datagrams.length === texts.length);
    assertEquals(manager.datagrams, texts);
  },
);

notifierTest("A manager that does not read is told when it does", async (notifier, manager) => {
  let taken = 0;
  while (notifier.offer(`STATUS=${taken}`)) taken++;
  for (let n = 0; n < 20; n++) notifier.send(`READY=${n}`);
  assertEquals(notifier.retry(), false);
  assertEquals(notifier.offer("STATUS=late"), false);
  manager.read();
  await until("all is sent", () => notifier.retry());
  await until("all came", () => manager.datagrams.length === taken + 16);
  const ready = Array.from({ length: 16 }, (_, n) => `READY=${n + 4}`);
  assertEquals(manager.datagrams.slice(taken), ready, "the last ones say how it is");
});
