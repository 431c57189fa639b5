/** The real logrotate with deploy/logrotate/kube-event-pipe, on the real program under load. */

import { assertEquals } from "@std/assert";
import { gunzipSync } from "node:zlib";
import { troubleTest } from "../real/trouble_scene.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";
import { findLogrotate, LOGROTATE_HOW, Rotator } from "./rotator.ts";

const ROTATIONS = 5;

/** All lines in a folder, those that logrotate has packed too; the oldest file first. */
function textsIn(folder: string): string[] {
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name);
  const number = (name: string) => Number(/\.jsonl\.(\d+)/.exec(name)?.[1] ?? 0);
  return names.sort((one, other) => number(other) - number(one)).map((name) => {
    const bytes = Deno.readFileSync(`${folder}/${name}`);
    return (name.endsWith(".gz") ? gunzipSync(bytes) : new TextDecoder().decode(bytes)).toString();
  });
}

troubleTest(
  `logrotate rotates ${ROTATIONS} times under load, and packs: nothing lost, nothing repeated`,
  findLogrotate(),
  LOGROTATE_HOW,
  async (scene, logrotate) => {
    const logs = `${scene.folder}/logs`;
    await Deno.mkdir(logs, { mode: 0o750 });
    const output = `${logs}/events.jsonl`;
    const program = await scene.start(output);
    const rotator = new Rotator(logrotate, logs, scene.folder, { pid: program.pid });
    const grown = (bytes: number) =>
      until(`${output} has ${bytes} bytes`, async () => {
        return (await Deno.stat(output).catch(() => ({ size: 0 }))).size >= bytes;
      });
    scene.load();
    for (let n = 0; n < ROTATIONS; n++) {
      await grown(50_000);
      assertEquals(await rotator.rotate(), { success: true, error: "" });
    }
    await grown(1);
    await scene.goesOn(() => textsIn(logs));
    const names = Array.from(Deno.readDirSync(logs), ({ name }) => name).sort();
    const packed = [2, 3, 4, 5].map((n) => `events.jsonl.${n}.gz`);
    assertEquals(names, ["events.jsonl", "events.jsonl.1", ...packed]);
    assertEquals(program.stderr.split("Reopened").length - 1, ROTATIONS, program.stderr);
    const { code, stdout, stderr } = await Program.run({
      args: ["check", "--persistence-path", scene.state, ...names.map((name) => `${logs}/${name}`)],
    });
    assertEquals(code, 0, stdout + stderr);
  },
);
