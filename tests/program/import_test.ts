/**
 * `import` of the real program, and the start after it, on a fake API server that holds what a real
 * one held when other programs wrote the lines: tests/migration/README.md.
 */

import { assertEquals } from "@std/assert";
import { contentOf } from "../fake/content.ts";
import { sampleEvent } from "../fake/sample.ts";
import { type FakeScene, linesIn, withFakeScene } from "../support/fake_scene.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";

const samples = new URL("../migration/", import.meta.url);

function sample(name: string): string {
  return Deno.readTextFileSync(new URL(name, samples));
}

/** The events that the real API server held at the end, put into the fake one. */
function fill({ server }: FakeScene): Set<string> {
  const { items } = JSON.parse(sample("server.jsonl")) as { items: { metadata: object }[] };
  for (const { metadata, ...fields } of items) {
    const { name, namespace } = metadata as { name: string; namespace: string };
    server.store.create({ metadata: { name, namespace }, ...fields });
  }
  const served = new Set(server.oracle().keys());
  assertEquals(
    served,
    new Set(items.map(contentOf)),
    "the fake server shows what the real one did",
  );
  return served;
}

/** Runs import; its last line. */
async function imported({ where }: FakeScene, code: number, ...args: string[]): Promise<string> {
  const program = await Program.run({ args: ["import", ...where, ...args] });
  assertEquals(program.code, code, program.stderr);
  return program.stdout.trimEnd().split("\n").at(-1)!;
}

/** Starts the program without a checkpoint, so that it LISTs all; the contents that it writes. */
async function writtenBy(scene: FakeScene, ...flags: string[]): Promise<string[]> {
  const { server, state, destination } = scene;
  const before = linesIn(destination);
  await Deno.remove(`${state}/checkpoint`);
  const program = scene.start("--log-level=DEBUG", ...flags);
  const met = () => program.stderr.match(/ DEBUG (Known|Written): /g)?.length ?? 0;
  await until("each event of the LIST is dealt with", () => met() >= server.oracle().size);
  assertEquals((await program.stop()).code, 0);
  const lines = Deno.readTextFileSync(destination).split("\n").slice(before, -1);
  return lines.map((line) => contentOf(JSON.parse(line)));
}

/** The contents of lines, by what of each line is the event. */
function contentsIn(text: string, eventOf: (line: Record<string, unknown>) => object): Set<string> {
  const lines = text.trimEnd().split("\n").map((line) => JSON.parse(line));
  return new Set(lines.map((line) => contentOf(eventOf(line))));
}

/**
 * Imports what another program wrote, starts, and counts: what it had written is not written again,
 * everything else that the server holds is.
 */
async function migrates(
  name: string,
  eventOf: (line: Record<string, unknown>) => object = (line) => line,
): Promise<void> {
  await withFakeScene(async (scene) => {
    const served = fill(scene);
    const path = `${scene.state}/../${name}`;
    await Deno.writeTextFile(path, sample(name));
    const lines = linesIn(path);
    assertEquals(
      await imported(scene, 0, path),
      `All is imported: ${lines} event(s) will not be written again`,
    );
    const had = contentsIn(sample(name), eventOf);
    const written = await writtenBy(scene);
    const repeated = written.filter((content) => had.has(content));
    const lost = [...served].filter((one) => !had.has(one) && !written.includes(one));
    console.log(
      `${name}: ${lines} line(s) before, ${lines} imported; the server holds ${served.size} ` +
        `occurrence(s): ${written.length} written after, ${repeated.length} repeated, ` +
        `${lost.length} lost`,
    );
    assertEquals([repeated, lost], [[], []]);
    const news = [...served].filter((content) => !had.has(content));
    assertEquals(new Set(written), new Set(news));
    assertEquals(written.length, news.length);
    assertEquals(await writtenBy(scene), [], "a restart writes nothing");
  });
}

Deno.test("Lines that the Python tool wrote of a real API server are not written again; what it left out is", async () => {
  await migrates("python.jsonl");
});

Deno.test("Lines that eventrouter wrote of a real API server are not written again", async () => {
  await migrates("eventrouter.jsonl", ({ event }) => event as object);
});

Deno.test("Lines that kubernetes-event-exporter wrote of a real API server are not written again; updates are", async () => {
  await migrates("event-exporter.jsonl", (line) => {
    const { clusterName: _, involvedObject, ...event } = line;
    const { labels: _labels, deleted: _deleted, ...reference } = involvedObject as Record<
      string,
      unknown
    >;
    return { ...event, involvedObject: reference };
  });
});

Deno.test("With name-count, the Python tool's lines leave nothing to write", async () => {
  await withFakeScene(async (scene) => {
    fill(scene);
    const path = `${scene.state}/../python.jsonl`;
    await Deno.writeTextFile(path, sample("python.jsonl"));
    await imported(scene, 0, path, "--identity=name-count");
    assertEquals(await writtenBy(scene, "--identity=name-count"), []);
  });
});

Deno.test("Five generations of imported events are dropped only behind a LIST, and repeat nothing", async () => {
  await withFakeScene(async (scene) => {
    const { server, state, destination } = scene;
    for (let n = 0; n < 500; n++) server.store.create(sampleEvent("shop", `pod-${n}.1`));
    const path = `${state}/../old.jsonl`;
    const lines = server.revisions.map(({ object }) => JSON.stringify(object));
    await Deno.writeTextFile(path, lines.join("\n") + "\n");
    const flags = ["--filter-capacity=100", "--batch-count=1", "--batch-duration-sec=1"];
    await imported(scene, 0, path, ...flags);
    const blooms = () =>
      [...Deno.readDirSync(state)].map(({ name }) => name).filter((name) =>
        name.endsWith(".bloom")
      );
    const old = blooms();
    assertEquals(old.length, 5);
    const program = scene.start(...flags);
    await until("a LIST lets all but the newest go", () => {
      return blooms().filter((name) => old.includes(name)).length === 1;
    });
    server.store.create(sampleEvent("shop", "the-last.1"));
    await until("the last line", () => linesIn(destination) > 0);
    assertEquals((await program.stop()).code, 0);
    assertEquals(linesIn(destination), 1);
    assertEquals(await writtenBy(scene, ...flags), []);
  });
});

Deno.test("import says what it does not understand, and exits with 1", async () => {
  await withFakeScene(async (scene) => {
    const path = `${scene.state}/../odd.jsonl`;
    await Deno.writeTextFile(path, '{"verb":"ADDED"}\n');
    assertEquals(
      await imported(scene, 1, path),
      "NOT ALL: what 1 line(s) tell was not understood and may be written again",
    );
  });
});
