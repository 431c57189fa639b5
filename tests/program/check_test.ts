/** `check` and `status` of the real program, on what it wrote itself: texts and exit statuses. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { gzipSync } from "node:zlib";
import { sampleEvent } from "../fake/sample.ts";
import { BINARY_HOW, compiledBinary } from "../support/binary.ts";
import { type FakeScene, linesIn, snapshot, withFakeScene } from "../support/fake_scene.ts";
import { flipBit } from "../support/looking_io.ts";
import { Program, type ProgramOptions } from "../support/program.ts";
import { needing } from "../support/skip.ts";
import { until } from "../support/temp.ts";

async function writeEvents(
  { server, destination, start }: FakeScene,
  count: number,
): Promise<Program> {
  for (let n = 0; n < count; n++) server.store.create(sampleEvent("shop", `pod-${n}.1`));
  const program = start();
  await until("the events' lines", () => linesIn(destination) === count);
  return program;
}

/** Runs a subcommand; resolves to its lines on stdout. Its stderr must be empty. */
async function ask(args: string[], code: number): Promise<string[]> {
  const program = await Program.run({ args });
  assertEquals([program.stderr, program.code], ["", code], program.stdout);
  return program.stdout.trimEnd().split("\n");
}

async function refused(options: ProgramOptions, code: number, message: string): Promise<void> {
  const program = await Program.run(options);
  assertEquals([program.code, program.stdout], [code, ""], program.stderr);
  assertStringIncludes(program.stderr, ` CRITICAL ${message}`);
  assert(!program.stderr.includes("    at "), `a stack trace: ${program.stderr}`);
}

Deno.test("check and status work beside a running instance and do not get in its way", async () => {
  await withFakeScene(async (scene) => {
    const { where, destination, server } = scene;
    const program = await writeEvents(scene, 20);
    const checked = await ask(["check", ...where], 0);
    assertEquals(checked[0], `State in ${where[1]}, last run: process ${program.pid}`);
    assertStringIncludes(checked[1]!, "not a clean stop (it runs, or was killed)");
    assertStringIncludes(checked.at(-1)!, "All is well: 20 line(s), 20 occurrence(s), none ");
    const [json] = await ask(["status", ...where, "--json"], 0);
    const { isWell, lastProcess, checkpoint } = JSON.parse(json!);
    assertEquals([isWell, lastProcess, checkpoint.clean], [true, program.pid, false]);
    assertEquals(checkpoint.watches[0].server, server.url);
    server.store.create(sampleEvent("shop", "late.1"));
    await until("the late event's line", () => linesIn(destination) === 21);
    assertEquals((await program.stop()).code, 0);
  });
});

Deno.test("check is 0 after a clean stop and changes nothing; 1 once lines or the state are damaged", async () => {
  await withFakeScene(async (scene) => {
    const { state, destination, where } = scene;
    await (await writeEvents(scene, 3)).stop();
    const before = snapshot(state);
    assertEquals(
      (await ask(["check", ...where, "--destination", destination], 0)).at(-1),
      "All is well: 3 line(s), 3 occurrence(s), none repeated, none torn; 1 generation(s), " +
        "no damage.",
    );
    assertEquals((await ask(["status", ...where], 0)).at(-1), "No damage.");
    assertEquals(snapshot(state), before);

    const older = `${destination}.1.gz`;
    const [first, second] = Deno.readTextFileSync(destination).split("\n");
    Deno.writeFileSync(older, gzipSync(`${second}\n{"kind":"Ev\n`));
    Deno.writeTextFileSync(destination, `${first}\n{"torn`, { append: true });
    const text = await ask(["check", ...where, older], 1);
    assert(text.includes(`  ${destination}:4 repeats ${destination}:1: shop/pod-0.1`));
    assert(text.includes(`  ${destination}:2 repeats ${older}:1: shop/pod-1.1`));
    assert(text.includes(`  ${older}:2: 11 byte(s): {"kind":"Ev`));
    assert(text.includes(`  ${destination}:5: unfinished last line of 6 byte(s): {"torn`));
    assertEquals(text.at(-1), "NOT WELL: 2 repeated occurrence(s), 2 torn line(s)");
    const [json] = await ask(["check", "--json", ...where, older], 1);
    const { isWell, problems, lines } = JSON.parse(json!);
    assertEquals([isWell, problems.length, lines.repeated.count], [false, 2, 2]);

    flipBit(`${state}/checkpoint`, 100);
    flipBit(`${state}/checkpoint`, 70_000);
    assertEquals(
      (await ask(["status", ...where], 1)).at(-1),
      "NOT WELL: 2 damaged checkpoint slot(s)",
    );
  });
});

Deno.test("What check and status cannot read is named, with the statuses of a run", async () => {
  await withFakeScene(async (scene) => {
    const { state, destination, where } = scene;
    await (await writeEvents(scene, 1)).stop();
    const none = `${state}/none`;
    await refused({ args: ["chek"] }, 64, 'Unexpected argument "chek". Did you mean check?');
    await refused(
      { args: ["status", "--batch-count=3"] },
      64,
      "--batch-count is no flag of status",
    );
    for (const name of ["check", "status"]) {
      const message = `The persistence path "${none}" does not exist. Name the folder of the state`;
      await refused({ args: [name, `--persistence-path=${none}`] }, 64, message);
    }
    await refused(
      { args: ["status"], env: { KUBE_EVENT_PIPE_PERSISTENCE_PATH: `${state}/..` } },
      65,
      `The persistence path "${state}/.." holds no state.`,
    );
    const missing = `Cannot check "${none}": there is no such file.`;
    await refused({ args: ["check", ...where, none] }, 64, missing);
    Deno.writeFileSync(`${destination}.gz`, gzipSync("{}\n").subarray(0, 15));
    await refused(
      { args: ["check", ...where, `${destination}.gz`] },
      74,
      `Cannot unpack the file "${destination}.gz": `,
    );
  });
});

Deno.test(needing(
  compiledBinary(),
  BINARY_HOW,
  "A user who may not read the state is told so, and one who may only read it needs no more",
  () =>
    withFakeScene(async (scene) => {
      const { state, where, destination } = scene;
      await (await writeEvents(scene, 2)).stop();
      // Root may read anything; 65534 is nobody.
      const asWho = Deno.uid() === 0 ? { uid: 65534 } : {};
      await Deno.chmod(state, 0o555);
      await Deno.chmod(`${state}/..`, 0o755);
      const paths = Object.keys(snapshot(state)).map((name) => `${state}/${name}`);
      for (const path of paths) await Deno.chmod(path, 0o000);
      await refused(
        { args: ["status", ...where], ...asWho },
        74,
        `Cannot read the state file "${state}/lock": Permission denied (os error 13): open ` +
          `'${state}/lock'. Run this as the user of the program that writes it, or as root.`,
      );
      for (const path of [...paths, destination]) await Deno.chmod(path, 0o444);
      const program = await Program.run({ args: ["check", ...where], ...asWho });
      assertEquals([program.stderr, program.code], ["", 0]);
      await Deno.chmod(state, 0o755);
    }),
));
