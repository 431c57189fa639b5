/** The real program with --wrap, --cluster and --managed-fields, and what a change of them does. */

import { assert, assertEquals } from "@std/assert";
import { sampleEvent } from "../fake/sample.ts";
import { linesIn, withFakeScene } from "../support/fake_scene.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";

const EVENTS = 25;

/** The flags of each life, and where its lines have the event. */
const LIVES: { flags: string[]; wrap: string | null; cluster: string | null; drop: boolean }[] = [
  { flags: [], wrap: null, cluster: null, drop: false },
  { flags: ["--wrap=k8s", "--cluster=prod"], wrap: "k8s", cluster: "prod", drop: false },
  { flags: ["--wrap", 'a "b"', "--managed-fields=drop"], wrap: 'a "b"', cluster: null, drop: true },
  { flags: ["--managed-fields=drop"], wrap: null, cluster: null, drop: true },
];

Deno.test("Killed and started with other flags for the lines, it repeats and loses no event", async () => {
  await withFakeScene(async ({ server, destination, where, start }) => {
    for (const [life, { flags }] of LIVES.entries()) {
      const program = start(...flags);
      for (let n = 0; n < EVENTS; n++) {
        // Some events go the slow way through the program.
        const fields = n % 5 === 0 ? { message: "größer" } : {};
        server.store.create(sampleEvent("shop", `${life}-${n}.1`, fields));
      }
      await until("the lines", () => linesIn(destination) >= EVENTS * (life + 1));
      await program.kill();
    }
    const last = start("--wrap=other", "--log-level=DEBUG");
    server.store.create(sampleEvent("shop", "last.1"));
    await until("the last line", () => Deno.readTextFileSync(destination).includes('"last.1"'));
    await last.says("DEBUG Written: shop/last.1 at ");
    assertEquals((await last.stop()).code, 0);

    const lines = Deno.readTextFileSync(destination).trimEnd().split("\n");
    for (const [life, { wrap, cluster, drop }] of LIVES.entries()) {
      const own = lines.slice(life * EVENTS, (life + 1) * EVENTS).map((line) => JSON.parse(line));
      const events = own.map((line) => wrap === null ? line : line[wrap]);
      assertEquals(
        events.map(({ metadata }) => metadata.name).sort(),
        Array.from({ length: EVENTS }, (_, n) => `${life}-${n}.1`).sort(),
      );
      for (const { kind, metadata } of events) {
        assertEquals([kind, metadata.managedFields === undefined], ["Event", drop]);
      }
      const beside = cluster === null ? [wrap] : [wrap, "cluster"];
      if (wrap !== null) assertEquals(own.map(Object.keys), own.map(() => beside));
      if (cluster !== null) assert(own.every((line) => line.cluster === cluster));
    }
    assertEquals(lines.length, LIVES.length * EVENTS + 1);

    const check = await Program.run({ args: ["check", ...where] });
    assertEquals(
      check.stdout.trimEnd().split("\n").at(-1),
      "All is well: 101 line(s), 101 occurrence(s), none repeated, none torn; 1 generation(s), " +
        "no damage.",
    );
  });
});

Deno.test("A cluster without a wrapper is refused with 64, before anything is touched", async () => {
  const program = await Program.run({ env: { KUBE_EVENT_PIPE_CLUSTER: "prod" } });
  assertEquals(program.code, 64);
  assert(program.stderr.includes("KUBE_EVENT_PIPE_CLUSTER needs --wrap"), program.stderr);
});
