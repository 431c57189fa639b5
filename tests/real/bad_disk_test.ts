/** Disks that fail: I/O errors, a file system that the kernel makes read-only, a quota. */

import { assert, assertEquals } from "@std/assert";
import { BadDisk, badDisks } from "../support/bad_disk.ts";
import { command } from "../support/mount.ts";
import type { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";
import { backsOff, type Scene, troubleTest } from "./trouble_scene.ts";

/** Read-only after an error; without a journal, since the disk would be so as soon as that fails. */
const EXT4 = ["mkfs.ext4", "-e", "remount-ro", "-O", "^has_journal"];
const EXT4_HOW = "run the tests as root with zram (`modprobe zram`), mkfs.ext4 and perl";
const ext4 = badDisks(EXT4);

const BTRFS = ["mkfs.btrfs"];
const BTRFS_HOW = "run the tests as root with zram (`modprobe zram`) and btrfs-progs";
const btrfs = badDisks(BTRFS);

/** The program writing to a new disk, with some durable lines on it. */
async function onDisk(scene: Scene, make: string[]) {
  const disk = scene.using(new BadDisk(`${scene.folder}/disk`, make));
  const path = `${disk.path}/events.jsonl`;
  const program = await scene.start(path);
  await scene.create(30);
  const lines = () => Deno.readTextFileSync(path).split("\n").length - 1;
  await until("all lines are there", () => lines() >= scene.expected.size);
  await new Promise((resolve) => setTimeout(resolve, 300)); // Three times the interval of syncs.
  return { disk, path, program, read: () => [Deno.readTextFileSync(path)] };
}

/** Starts the program as a supervisor does: again, where an error of before ends it once more. */
async function startAgain(scene: Scene, path: string): Promise<Program> {
  const program = scene.launch(path);
  await until(
    "it watches, or ends",
    () => program.code !== null || program.stderr.includes("Connected to"),
  );
  return program.code === null ? program : await scene.start(path);
}

for (const times of ["once", "again at the next start"]) {
  troubleTest(
    `A sync that fails ${times} ends it with 74; what only the kernel held comes to the disk later`,
    ext4,
    EXT4_HOW,
    async (scene) => {
      const { disk, path, program, read } = await onDisk(scene, EXT4);
      disk.refuseWrites();
      await scene.create(100);
      await scene.endsWith74(
        program,
        /Cannot sync the destination ".*": Input\/output error .*The next start reads back what/,
      );
      if (times !== "once") {
        const before = Deno.readTextFileSync(path);
        const refused = scene.launch(path);
        await scene.endsWith74(refused, /Cannot recover the destination .*: Input\/output error/);
        // A kill may come at any moment: nothing is cut before the redo file has it.
        assertEquals(Deno.readTextFileSync(path), before);
        const redo = Deno.readTextFileSync(`${scene.state}/redo`);
        const tail = redo.slice(redo.indexOf('{"'));
        assert(tail.startsWith('{"') && before.endsWith(tail));
      }
      disk.takeWrites();
      const again = await startAgain(scene, path);
      await scene.goesOn(read);
      await again.stop();
      disk.mountAnew();
      scene.exact(read);
    },
  );
}

troubleTest(
  "A disk that is pulled ends it with 74, and the next start is exact",
  ext4,
  EXT4_HOW,
  async (scene) => {
    const { disk, path, program, read } = await onDisk(scene, EXT4);
    // EXT4_IOC_SHUTDOWN without a flush: from here on each call is EIO.
    const shutDown = 'open(F, "<", $ARGV[0]) && ioctl(F, 0x8004587d, my $f = pack("L", 2)) || die';
    command("perl", "-e", shutDown, disk.path);
    await scene.create(30);
    await scene.endsWith74(program, /Cannot append to .*: Input\/output error \(os error 5\)/);
    disk.mountAnew();
    await scene.start(path);
    await scene.goesOn(read);
  },
);

troubleTest(
  "A disk that the kernel makes read-only is waited for; stopped and started on it, all is exact",
  ext4,
  EXT4_HOW,
  async (scene) => {
    const { disk, path, program, read } = await onDisk(scene, EXT4);
    Deno.writeTextFileSync(`/sys/fs/ext4/${disk.name}/trigger_fs_error`, "1");
    await scene.create(30);
    await backsOff(program, `Cannot append to ${path}: Read-only file system (os error 30)`);
    await scene.stop(program);
    const refused = scene.launch(path);
    await scene.endsWith74(
      refused,
      /Cannot (open|recover) the destination .*: Read-only file system/,
    );
    disk.mountAnew();
    await scene.start(path);
    await scene.goesOn(read);
  },
);

troubleTest(
  "A quota that is used up is waited for; raised again, the program goes on by itself",
  btrfs,
  BTRFS_HOW,
  async (scene) => {
    const { disk, path, program, read } = await onDisk(scene, BTRFS);
    command("btrfs", "quota", "enable", disk.path);
    command("btrfs", "qgroup", "limit", "1M", disk.path);
    await scene.create(30, 40_000);
    await backsOff(program, `Cannot append to ${path}: Disk quota exceeded (os error 122)`);
    command("btrfs", "qgroup", "limit", "none", disk.path);
    await program.says(`It works again: append to ${path}`);
    await scene.goesOn(read);
  },
);
