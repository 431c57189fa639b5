import { assertEquals, assertRejects } from "@std/assert";
import { StateError, UsageError } from "../../lib/errors.ts";
import { realIo } from "../../lib/real_io.ts";
import { lockStateFolder } from "../../lib/state_folder.ts";
import { withTempFolder } from "../support/temp.ts";

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
