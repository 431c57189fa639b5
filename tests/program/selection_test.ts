/** Which events are watched: NAMESPACES and FIELD_SELECTOR, and what a change of them does. */

import { assertEquals } from "@std/assert";
import { sampleEvent } from "../fake/sample.ts";
import { type FakeScene, linesIn, withFakeScene } from "../support/fake_scene.ts";
import { until } from "../support/temp.ts";

function names(path: string): string[] {
  const lines = Deno.readTextFileSync(path).split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line).metadata).map(({ namespace, name }) =>
    `${namespace}/${name}`
  );
}

/** Waits for so many lines; each name must be there once. */
async function expectLines({ destination }: FakeScene, expected: string[]): Promise<void> {
  await until("the lines", () => linesIn(destination) >= expected.length);
  assertEquals(names(destination).sort(), expected.toSorted());
}

Deno.test("Watched are the namespaces named, one that does not exist yet too; a change repeats none", async () => {
  await withFakeScene(async (scene) => {
    const { server, start } = scene;
    for (const namespace of ["shop", "bank", "zoo"]) {
      server.store.create(sampleEvent(namespace, "a.1"));
    }
    const first = start("--namespaces", "shop,later");
    await expectLines(scene, ["shop/a.1"]);
    await first.says("WATCH /api/v1/namespaces/later/events from");
    server.store.create(sampleEvent("later", "b.1"));
    server.store.create(sampleEvent("bank", "b.1"));
    await expectLines(scene, ["shop/a.1", "later/b.1"]);
    assertEquals((await first.stop()).code, 0);

    const second = start("--namespaces", "bank,shop");
    await expectLines(scene, ["shop/a.1", "later/b.1", "bank/a.1", "bank/b.1"]);
    assertEquals((await second.stop()).code, 0);

    const all = start();
    const every = ["shop/a.1", "later/b.1", "bank/a.1", "bank/b.1", "zoo/a.1"];
    await expectLines(scene, every);
    assertEquals((await all.stop()).code, 0);

    const again = start("--namespaces", "shop,later");
    await again.says("LIST /api/v1/namespaces/shop/events: 1 event(s)");
    server.store.create(sampleEvent("shop", "c.1"));
    await expectLines(scene, [...every, "shop/c.1"]);
  });
});

Deno.test("Killed between two namespaces' events and started again, each is there once", async () => {
  await withFakeScene(async (scene) => {
    const { server, start, destination } = scene;
    const expected: string[] = [];
    for (let life = 0; life < 3; life++) {
      const program = start("--namespaces", "shop,bank,zoo");
      for (let n = 0; n < 30; n++) {
        const namespace = ["shop", "bank", "zoo"][n % 3]!;
        server.store.create(sampleEvent(namespace, `${life}-${n}.1`));
        expected.push(`${namespace}/${life}-${n}.1`);
      }
      await until("some lines", () => linesIn(destination) > 30 * life);
      await program.kill();
    }
    start("--namespaces", "shop,bank,zoo");
    await expectLines(scene, expected);
  });
});

Deno.test("A field selector is the server's work; another one repeats nothing", async () => {
  await withFakeScene(async (scene) => {
    const { server, start } = scene;
    server.store.create(sampleEvent("shop", "normal.1"));
    server.store.create(sampleEvent("shop", "warning.1", { type: "Warning" }));
    const first = start("--field-selector", "type!=Normal");
    await expectLines(scene, ["shop/warning.1"]);
    server.store.create(sampleEvent("shop", "warning.2", { type: "Warning" }));
    await expectLines(scene, ["shop/warning.1", "shop/warning.2"]);
    assertEquals((await first.stop()).code, 0);
    start("--field-selector", "involvedObject.kind=Pod");
    await expectLines(scene, ["shop/warning.1", "shop/warning.2", "shop/normal.1"]);
  });
});

Deno.test("A field that the server does not know is said in the server's words, with the flag", async () => {
  await withFakeScene(async ({ start }) => {
    const program = start("--field-selector", "colour=red");
    await program.says("field label not supported: colour");
    await program.says("--field-selector");
  });
});
