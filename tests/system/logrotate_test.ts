/** The real logrotate with deploy/logrotate/kube-event-pipe, on the real program under load. */

import { assert, assertEquals } from "@std/assert";
import { gunzipSync } from "node:zlib";
import { troubleTest } from "../real/trouble_scene.ts";
import { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";
import { findTool } from "./tools.ts";

const CONFIG = new URL("../../deploy/logrotate/kube-event-pipe", import.meta.url);
const ROTATIONS = 5;

/**
 * The configuration as it is shipped, but for what is not on this machine: its folder, its user,
 * and the systemd that passes SIGHUP on.
 */
function configFor(folder: string, pid: number): string {
  const shipped = Deno.readTextFileSync(CONFIG);
  const text = shipped
    .replaceAll("/var/log/kube-event-pipe", folder)
    .replace(/^ *su .*\n/m, "")
    .replace(/^( *)systemctl .*$/m, `$1kill -HUP ${pid}`);
  assertEquals(text.split("\n").length, shipped.split("\n").length - 1);
  return text;
}

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
  findTool("logrotate"),
  "install logrotate",
  async (scene, logrotate) => {
    const logs = `${scene.folder}/logs`;
    await Deno.mkdir(logs, { mode: 0o750 });
    const output = `${logs}/events.jsonl`;
    const program = await scene.start(output);
    const config = `${scene.folder}/logrotate.conf`;
    await Deno.writeTextFile(config, configFor(logs, program.pid), { mode: 0o644 });
    const grown = (bytes: number) =>
      until(`${output} has ${bytes} bytes`, async () => {
        return (await Deno.stat(output).catch(() => ({ size: 0 }))).size >= bytes;
      });
    scene.load();
    for (let n = 0; n < ROTATIONS; n++) {
      await grown(50_000);
      const { success, stderr } = await new Deno.Command(logrotate, {
        args: ["--force", `--state=${scene.folder}/logrotate.state`, config],
      }).output();
      assert(success, new TextDecoder().decode(stderr));
      assertEquals(new TextDecoder().decode(stderr), "");
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
