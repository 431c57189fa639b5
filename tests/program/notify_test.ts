/** What the real program tells a service manager, by the datagrams that come out of it. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { Notifier } from "../../lib/sd_notify.ts";
import { sampleEvent } from "../fake/sample.ts";
import { type FakeScene, linesIn, withFakeScene } from "../support/fake_scene.ts";
import { FifoReader } from "../support/fifo_reader.ts";
import { NotifySocket, stepsOf } from "../support/notify_socket.ts";
import { until } from "../support/temp.ts";

/** Used for its clock alone. */
const clock = Notifier.open("@nobody")!;

/** Runs `body` with a scene and a manager that listens at a path. */
async function withManager(
  body: (scene: FakeScene, manager: NotifySocket, env: Record<string, string>) => Promise<void>,
): Promise<void> {
  await withFakeScene(async (scene) => {
    await using manager = new NotifySocket(`${scene.folder}/manager.socket`);
    await body(scene, manager, { NOTIFY_SOCKET: manager.name });
  });
}

Deno.test("READY, RELOADING and READY around a SIGHUP, STOPPING: in this order", async () => {
  await withManager(async (scene, manager, env) => {
    const { server, destination, startWith } = scene;
    server.store.create(sampleEvent("shop", "a.1"));
    const program = startWith({ env });
    await manager.got("READY=1");
    await until("the first line", () => linesIn(destination) === 1);
    await Deno.rename(destination, `${destination}.1`);
    const beforeUsec = clock.monotonicUsec();
    program.signal("SIGHUP");
    const reloading = await manager.got("RELOADING=1");
    const uptime = Number(Deno.readTextFileSync("/proc/uptime").split(" ", 1)) + 0.01;
    const afterUsec = clock.monotonicUsec();
    await manager.got("READY=1", 2);
    assertEquals(linesIn(destination), 0);
    assert(await Deno.stat(destination), "the new file is there when it is READY again");

    // systemd takes it for the answer to its own signal only where it is not before that.
    const usec = Number(/^MONOTONIC_USEC=(\d+)$/m.exec(reloading)?.[1]);
    assert(usec >= beforeUsec && usec <= afterUsec, `${beforeUsec} ${usec} ${afterUsec}`);
    assert(usec <= 1e6 * uptime, `${usec}, and the machine is up for ${uptime} s`);

    assertEquals((await program.stop()).code, 0);
    await manager.got("STOPPING=1");
    assertEquals(stepsOf(manager.datagrams), [
      ...["EXTEND_TIMEOUT_USEC", "READY", "RELOADING", "READY", "STOPPING"],
    ]);
    assert(!program.stderr.includes("WARNING"), program.stderr);
  });
});

Deno.test("A manager is asked for time before the recovery, not in it or after it", async () => {
  await withManager(async ({ state, startWith }, manager, env) => {
    await Deno.mkdir(`${state}/checkpoint`); // A recovery that ends at once, and the program with it.
    const { code } = await startWith({ env }).end();
    assertEquals(code, 65);
    await manager.got("EXTEND_TIMEOUT_USEC=900000000");
    assertEquals(stepsOf(manager.datagrams), ["EXTEND_TIMEOUT_USEC"]);
  });
});

Deno.test("It is READY while the API server is down, and its STATUS says so, then what it wrote", async () => {
  await withManager(async ({ server, startWith }, manager, env) => {
    await server.down();
    const program = startWith({ env: { ...env, WATCHDOG_USEC: "500000" } });
    assertMatch(
      await manager.got("READY=1"),
      /^STATUS=Waiting for http:.*, which did not let us in yet\.$/m,
    );
    server.store.create(sampleEvent("shop", "a.1"));
    await server.up();
    const last = () => manager.with("STATUS=").at(-1)!;
    await until("the line is in the STATUS", () => / 1 line\(s\) written/.test(last()));
    await manager.got("WATCHDOG=1", manager.with("WATCHDOG=1").length + 3);
    assertEquals((await program.stop()).code, 0);
    await manager.got("STOPPING=1");
    assertEquals(stepsOf(manager.datagrams), ["EXTEND_TIMEOUT_USEC", "READY", "STOPPING"]);
    const said = manager.datagrams.flatMap((text) => /^STATUS=.*$/m.exec(text) ?? []);
    assertEquals(new Set(said).size, said.length, "a STATUS is said when it changes");
  });
});

Deno.test("WATCHDOG=1 comes again and again, to the manager that watches over this very process", async () => {
  await withManager(async ({ startWith }, manager, env) => {
    const watched = { ...env, WATCHDOG_USEC: "50000" };
    const program = startWith({ env: watched });
    await manager.got("WATCHDOG=1", 20);
    await program.stop();
    await manager.got("STOPPING=1"); // All of it has come.
    const count = manager.with("WATCHDOG=1").length;
    const other = startWith({ env: { ...watched, WATCHDOG_PID: "1" } });
    for (let ready = 2; ready < 6; ready++) {
      await manager.got("READY=1", ready);
      other.signal("SIGHUP");
    }
    assertEquals(manager.with("WATCHDOG=1").length, count);
    await other.stop();
  });
});

Deno.test("WATCHDOG=1 stops while the program is not healthy, and STATUS says why", async () => {
  await withManager(async ({ folder, server, startWith }, manager, env) => {
    using reader = new FifoReader(`${folder}/fifo`); // It has not come yet.
    const program = startWith({
      args: ["--destination", reader.path, "--unhealthy-after", "1"],
      env: { ...env, WATCHDOG_USEC: "200000" },
    });
    await program.says("WATCH /api/v1/events from");
    await manager.got("WATCHDOG=1");
    server.store.create(sampleEvent("shop", "a.1"));
    const ill = () => manager.datagrams.filter((text) => /: The destination is block/.test(text));
    // The next sentence, with another number of seconds, takes longer than the watchdog waits.
    await until("it is ill, and still is", () => ill().length > 1);
    const from = manager.datagrams.indexOf(ill()[0]!);
    assertEquals(manager.datagrams.slice(from).join().match(/WATCHDOG/), null);
    reader.come();
    await until("it is well", () => manager.datagrams.at(-1)!.includes("WATCHDOG=1"));
    assertEquals((await program.stop()).code, 0);
  });
});

Deno.test("A manager that is gone costs one WARNING, and nothing else", async () => {
  await withFakeScene(async ({ folder, server, destination, startWith }) => {
    const env = { NOTIFY_SOCKET: `${folder}/manager.socket`, WATCHDOG_USEC: "100000" };
    const manager = new NotifySocket(env.NOTIFY_SOCKET);
    const program = startWith({ env });
    await manager.got("WATCHDOG=1");
    await manager[Symbol.asyncDispose]();
    await program.says("Cannot tell the service manager");
    await Deno.remove(env.NOTIFY_SOCKET);
    program.signal("SIGHUP");
    await program.says("still the same file");
    server.store.create(sampleEvent("shop", "a.1"));
    await until("the line", () => linesIn(destination) === 1);
    // One that comes back is told again.
    await using next = new NotifySocket(env.NOTIFY_SOCKET);
    await next.got("WATCHDOG=1");
    assertEquals((await program.stop()).code, 0);
    await next.got("STOPPING=1");
    assertEquals(program.stderr.split("WARNING").length - 1, 1, program.stderr);
  });
});

Deno.test("A NOTIFY_SOCKET that names no socket costs one WARNING, and nothing else", async () => {
  await withFakeScene(async ({ startWith }) => {
    for (const name of ["vsock:2:1234", "/", `/${"x".repeat(200)}`]) {
      const program = startWith({ env: { NOTIFY_SOCKET: name, WATCHDOG_USEC: "100000" } });
      await program.says("Connected to");
      program.signal("SIGHUP");
      await program.says("still the same file");
      assertEquals((await program.stop()).code, 0);
      const warnings = program.stderr.split("\n").filter((line) => line.includes("WARNING"));
      assertEquals(warnings.length, 1, program.stderr);
      assertMatch(warnings[0]!, /Cannot tell the service manager /);
    }
  });
});
