/** Disks without room, one below the destination and one below the state. */

import { assert, assertEquals } from "@std/assert";
import { fill, MOUNT_HOW, mounts } from "../support/mount.ts";
import type { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";
import { backsOff, type Scene, troubleTest } from "./trouble_scene.ts";

const mount = mounts();

/** Room for the events of all tests that share the API server; the ballast takes most of it. */
const DISK_KB = 16 * 1024;

const read = (path: string) => () => [Deno.readTextFileSync(path)];

/** The program writing to a disk that has just got full. */
async function onFullDisk(scene: Scene): Promise<{ program: Program; ballast: string }> {
  const path = `${scene.folder}/disk/events.jsonl`;
  const program = await scene.start(path);
  scene.load();
  await until("lines come", () => Deno.readTextFileSync(path).split("\n").length > 50);
  const ballast = fill(`${scene.folder}/disk`);
  await program.says(`Cannot append to ${path}: No space left on device`);
  return { program, ballast };
}

troubleTest(
  "A full disk holds the watch back and keeps whole lines; with room again it goes on by itself (fault 46)",
  mount,
  MOUNT_HOW,
  async (scene, mount) => {
    scene.using(mount.tmpfs(`${scene.folder}/disk`, DISK_KB));
    const path = `${scene.folder}/disk/events.jsonl`;
    const { program, ballast } = await onFullDisk(scene);
    await backsOff(program, `Cannot append to ${path}: No space left on device`);
    await scene.unload();
    await scene.flood(program);
    const full = Deno.readTextFileSync(path);
    assert(full.endsWith("\n"));
    assertEquals(scene.tallyOf([full]).torn, 0);
    const said = program.stderr.length;
    Deno.removeSync(ballast);
    await program.says(`It works again: append to ${path}`, said);
    scene.load();
    await scene.goesOn(read(path));
    await scene.stop(program);
    scene.exact(read(path));
  },
);

troubleTest(
  "A stop while the disk is full ends in time, a start on the full disk waits, and all lines come (fault 46)",
  mount,
  MOUNT_HOW,
  async (scene, mount) => {
    scene.using(mount.tmpfs(`${scene.folder}/disk`, DISK_KB));
    const path = `${scene.folder}/disk/events.jsonl`;
    const { program, ballast } = await onFullDisk(scene);
    await scene.stop(program);
    const again = await scene.start(path);
    await again.says(`Cannot append to ${path}: No space left on device`);
    Deno.removeSync(ballast);
    await again.says(`It works again: append to ${path}`);
    await scene.goesOn(read(path));
  },
);

troubleTest(
  "kill -9 while the disk is full, and again after it: no line is lost, repeated or torn (faults 46, 47)",
  mount,
  MOUNT_HOW,
  async (scene, mount) => {
    scene.using(mount.tmpfs(`${scene.folder}/disk`, DISK_KB));
    const path = `${scene.folder}/disk/events.jsonl`;
    const { program, ballast } = await onFullDisk(scene);
    await program.kill();
    const again = await scene.start(path);
    await again.says(`Cannot append to ${path}: No space left on device`);
    Deno.removeSync(ballast);
    await again.says(`It works again: append to ${path}`);
    await again.kill();
    await scene.start(path);
    await scene.goesOn(read(path));
  },
);
