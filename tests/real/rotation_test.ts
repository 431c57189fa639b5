/**
 * What becomes of the lines when somebody renames, deletes, replaces, packs or cuts the file of the
 * real program, and kill -9 comes at the worst moment.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { gunzipSync, gzipSync } from "node:zlib";
import { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";
import { type Scene, troubleTest } from "./trouble_scene.ts";

/** The texts of those of the files that are there. */
const texts = (...paths: string[]) => () =>
  paths.map((path) => {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      return "";
    }
  });

/** A test whose destination is `output`. */
function rotationTest(name: string, body: (scene: Scene, output: string) => Promise<void>): void {
  troubleTest(name, {}, "", (scene) => body(scene, `${scene.folder}/events.jsonl`));
}

/** Makes events and waits for their lines. */
async function written(scene: Scene, count: number, ...paths: string[]): Promise<void> {
  await scene.create(count);
  await until("they are written", () => scene.tallyOf(texts(...paths)()).lost.length === 0);
}

/** SIGHUP with the file in its place is a checkpoint. */
async function checkpoint(program: Program): Promise<void> {
  const from = program.stderr.length;
  program.signal("SIGHUP");
  await program.says("is still the same file", from);
}

/** After one more event, behind all others: a line too many would stand before its line. */
async function exact(scene: Scene, ...paths: string[]): Promise<void> {
  await scene.goesOn(texts(...paths));
  await checked(scene, ...paths);
}

/** The program's own `check` finds nothing either, beside the running program. */
async function checked(scene: Scene, ...paths: string[]): Promise<void> {
  const { code, stdout, stderr } = await Program.run({
    args: ["check", "--persistence-path", scene.state, ...paths],
  });
  assertEquals(code, 0, stdout + stderr);
}

rotationTest(
  "kill -9 between the rename and SIGHUP: the renamed file keeps its lines, the rest goes on (fault 48)",
  async (scene, output) => {
    const first = await scene.start(output);
    await written(scene, 10, output);
    await Deno.rename(output, `${output}.1`);
    await scene.create(5);
    await first.kill();
    await scene.create(5);
    const second = await scene.start(output);
    assertStringIncludes(second.stderr, `that ${output}.1 held behind the last checkpoint`);
    await exact(scene, `${output}.1`, output);
  },
);

rotationTest(
  "A deleted file is made again after 5 seconds with all that was appended since (fault 48)",
  async (scene, output) => {
    const program = await scene.start(output);
    await written(scene, 10, output);
    await checkpoint(program);
    await Deno.remove(output);
    scene.expected.clear(); // They went with the file.
    await scene.create(5);
    const said = await program.says(
      `${output} was renamed or deleted. It is made again in 5 s, or at SIGHUP.`,
    );
    const saidMs = performance.now();
    await scene.create(5);
    await program.says("bytes again that stood only in the deleted", said);
    await program.says(`Reopened ${output}.`, said);
    assert(performance.now() - saidMs > 4_500);
    await exact(scene, output);
    await program.kill();
    await scene.start(output);
    await exact(scene, output);
  },
);

rotationTest(
  "A deleted file and kill -9: what came since is written, and of what was deleted at most what " +
    "stood behind the checkpoint",
  async (scene, output) => {
    const first = await scene.start(output);
    await written(scene, 10, output);
    await checkpoint(first);
    scene.expected.clear();
    await written(scene, 3, output);
    const tail = new Set(scene.expected);
    await Deno.remove(output);
    await scene.create(5);
    await first.kill();
    const second = await scene.start(output);
    assertStringIncludes(second.stderr, "was not found with the content it had");
    await written(scene, 1, output).catch(() => {}); // Of the tail nothing need be there.
    const { lost, repeated, unexpected, torn } = scene.tallyOf(texts(output)());
    assertEquals(lost.filter((content) => !tail.has(content)), []);
    assertEquals({ repeated, unexpected, torn }, { repeated: [], unexpected: [], torn: 0 });
  },
);

rotationTest(
  "A file that another one is moved over: the other keeps its content, and ours comes behind it",
  async (scene, output) => {
    const program = await scene.start(output);
    await written(scene, 10, output);
    await checkpoint(program);
    await Deno.writeTextFile(`${output}.other`, '{"other":true}');
    await Deno.rename(`${output}.other`, output);
    scene.expected.clear(); // They went with the file.
    await scene.create(5);
    await program.says(`Reopened ${output}.`);
    await exact(scene, output);
    await program.kill();
    await scene.start(output);
    await exact(scene, output);
    assert(Deno.readTextFileSync(output).startsWith('{"other":true}\n{"kind":"Event"'));
  },
);

rotationTest(
  "Rotated and packed while the program was down after kill -9: said, and no more than the lines " +
    "behind the checkpoint come again",
  async (scene, output) => {
    const first = await scene.start(output);
    await written(scene, 10, output);
    await checkpoint(first);
    const before = scene.expected.size;
    await written(scene, 5, output);
    const tail = new Set([...scene.expected].slice(before));
    await first.kill();
    const packed = gzipSync(await Deno.readFile(output));
    await Deno.remove(output);
    const second = await scene.start(output);
    assertStringIncludes(
      second.stderr,
      ` WARNING The destination of the last run, ${output} (inode`,
    );
    assertStringIncludes(second.stderr, "may be written again");
    await scene.create(1);
    const all = () => [gunzipSync(packed).toString(), ...texts(output)()];
    await until("the last line", () => scene.tallyOf(all()).lost.length === 0);
    const { repeated, unexpected, torn } = scene.tallyOf(all());
    assertEquals(repeated.filter((content) => !tail.has(content)), []);
    assertEquals(new Set(repeated).size, repeated.length);
    assertEquals({ unexpected, torn }, { unexpected: [], torn: 0 });
  },
);

rotationTest(
  "Rotated and packed while the program was stopped: nothing comes again (fault 48)",
  async (scene, output) => {
    const first = await scene.start(output);
    await written(scene, 10, output);
    await scene.stop(first);
    const packed = gzipSync(await Deno.readFile(output));
    await Deno.remove(output);
    const second = await scene.start(output);
    assertStringIncludes(
      second.stderr,
      ` INFO ${output}, to which the last run wrote until its end, is gone or another.`,
    );
    assert(!second.stderr.includes("WARNING"), second.stderr);
    await scene.goesOn(() => [gunzipSync(packed).toString(), ...texts(output)()]);
    await Deno.writeFile(`${output}.1.gz`, packed);
    await checked(scene, `${output}.1.gz`, output);
  },
);

rotationTest(
  "copytruncate is noticed and said; on a quiet file it costs no line, also not at kill -9 later (fault 48)",
  async (scene, output) => {
    const first = await scene.start(output);
    await written(scene, 10, output);
    await Deno.copyFile(output, `${output}.1`);
    const { size } = await Deno.stat(output);
    await Deno.truncate(output);
    await scene.create(5);
    await first.says(` WARNING Somebody cut ${output} by ${size} bytes (copytruncate?).`);
    await checkpoint(first); // Within 10 s it comes by itself.
    await exact(scene, `${output}.1`, output);
    await written(scene, 3, `${output}.1`, output);
    await first.kill();
    await scene.start(output);
    await exact(scene, `${output}.1`, output);
  },
);

rotationTest(
  "Another --destination after kill -9, and back: the old file is recovered first, nothing repeats (fault 48)",
  async (scene, output) => {
    const other = `${output}.other`;
    const first = await scene.start(output);
    await written(scene, 10, output);
    await checkpoint(first);
    await written(scene, 5, output);
    await first.kill();
    const second = await scene.start(other);
    // How many depends on what else the server tells meanwhile; that none repeats does not.
    assertStringIncludes(second.stderr, `line(s) that ${output} held behind`);
    await written(scene, 5, output, other);
    await second.kill();
    const third = await scene.start(output);
    assertStringIncludes(third.stderr, `line(s) that ${other} held behind`);
    await exact(scene, output, other);
  },
);

rotationTest(
  "Half a line at the end of the file after kill -9 is cut, said, and its event written whole (faults 47, 48)",
  async (scene, output) => {
    const first = await scene.start(output);
    await written(scene, 10, output);
    await first.kill();
    const { namespace, expected } = scene;
    await scene.create(1);
    const [, name] = /"(event-[^"]+)"/.exec([...expected].at(-1)!)!;
    const half = `{"kind":"Event","apiVersion":"v1","metadata":{"name":"${name}","namespace":"`;
    await Deno.writeTextFile(output, `${half}${namespace}`, { append: true });
    const second = await scene.start(output);
    const bytes = half.length + namespace.length;
    await second.says(`Cut ${bytes} byte(s) of an unfinished line from the end of ${output}.`);
    await exact(scene, output);
  },
);
