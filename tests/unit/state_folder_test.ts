import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { StateError, UsageError } from "../../lib/errors.ts";
import { realIo } from "../../lib/real_io.ts";
import { awaitStateFolder, lockStateFolder, refuseStateFile } from "../../lib/state_folder.ts";
import { until, withTempFolder } from "../support/temp.ts";

Deno.test("The lock of a state folder is held once, and names the process that holds it", async () => {
  await withTempFolder(async (folder) => {
    const lock = await lockStateFolder(realIo, folder, 4711);
    await assertRejects(
      () => lockStateFolder(realIo, folder, 4712),
      StateError,
      `The persistence path "${folder}" is in use by process 4711.`,
    );
    lock.close();
    const again = await lockStateFolder(realIo, folder, 4712);
    assertEquals(Deno.readTextFileSync(`${folder}/lock`), "4712\n");
    again.close();
  });
});

Deno.test("A standby waits for the lock that the folder has now, also where it was made anew", async () => {
  await withTempFolder(async (folder) => {
    let waits = 0;
    const io = {
      ...realIo,
      open(...[path, options]: Parameters<typeof realIo.open>) {
        const file = realIo.open(path, options);
        const wait = file.waitForLock.bind(file);
        file.waitForLock = () => {
          waits++;
          return wait();
        };
        return file;
      },
    };
    const first = await lockStateFolder(io, folder, 4711);
    const waiting = awaitStateFolder(io, folder, 4712, () => {});
    await until("it waits", () => waits === 1);
    Deno.removeSync(`${folder}/lock`);
    const second = await lockStateFolder(io, folder, 4713);
    first.close();
    await until("it waits for the other one", () => waits === 2);
    assertEquals(Deno.readTextFileSync(`${folder}/lock`), "4713\n");
    second.close();
    const { lock, hasWaited } = await waiting;
    assertEquals([Deno.readTextFileSync(`${folder}/lock`), hasWaited], ["4712\n", true]);
    lock.close();
    const again = await awaitStateFolder(io, folder, 4714, () => {});
    assertEquals([again.hasWaited, waits], [false, 2]);
    again.lock.close();
  });
});

Deno.test("A missing state folder, or a file in its place, is refused by name", async () => {
  await withTempFolder(async (folder) => {
    await assertRejects(
      () => lockStateFolder(realIo, `${folder}/none`, 1),
      UsageError,
      `The persistence path "${folder}/none" does not exist. Make the folder, or change ` +
        "--persistence-path (KUBE_EVENT_PIPE_PERSISTENCE_PATH).",
    );
    Deno.writeTextFileSync(`${folder}/file`, "");
    await assertRejects(
      () => lockStateFolder(realIo, `${folder}/file`, 1),
      UsageError,
      "is no directory",
    );
  });
});

Deno.test("A state folder that cannot be written is refused with what to do", async () => {
  await withTempFolder(async (folder) => {
    const io = {
      ...realIo,
      open: () => {
        throw Object.assign(new Error("Permission denied (os error 13)"), { code: "EACCES" });
      },
    };
    await assertRejects(
      () => lockStateFolder(io, folder, 1),
      StateError,
      `The persistence path "${folder}" cannot be used: Permission denied (os error 13). Give the ` +
        "user of this process read and write permission on it, or change --persistence-path.",
    );
  });
});

Deno.test("A destination among the state's own files is refused, however its folder is written", async () => {
  await withTempFolder((folder) => {
    Deno.mkdirSync(`${folder}/state`);
    Deno.symlinkSync(`${folder}/state`, `${folder}/link`);
    const refuse = (path: string) => refuseStateFile(realIo, `${folder}/state`, path);
    const names = ["lock", "checkpoint", "checkpoint.new", "redo", "redo.new", "redo.damaged"]
      .concat("1700000000.bloom", "1.bloom.new", "1.bloom.damaged", "removed-1700000000.lines");
    for (const name of names) {
      for (const  of of["state", "link", "state/../state"]) {
        const path = `${folder}/${of}/${name}`;
        assertThrows(() => refuse(path), UsageError, `The destination "${path}" bears a name`);
      }
      refuse(`${folder}/${name}`);
      refuse(`${folder}/none/${name}`);
    }
    for (const name of ["events.jsonl", "checkpoint.jsonl", "lock.1", "my-redo", "a.bloom.jsonl"]) {
      refuse(`${folder}/state/${name}`);
    }
    refuse("-");
    return Promise.resolve();
  });
});
