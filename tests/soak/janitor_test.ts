import { assert } from "@std/assert";
import { Mount, MOUNT_HOW, mounts } from "../support/mount.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";
import { Janitor } from "./janitor.ts";

/** A soak of its own process: a program, two things mounted over each other, and a sudden end. */
const SOAK = `
  const [folder, janitor, mount] = Deno.args;
  const { Janitor } = await import(janitor);
  const { Mount } = await import(mount);
  const minded = new Janitor(folder, ["state"]);
  Mount.tmpfs(folder + "/state", 64);
  Mount.readOnlyOver(folder + "/state");
  const program = new Deno.Command("sh", { args: ["-c", "while :; do sleep 1; done", folder] }).spawn();
  await minded.mind(program.pid);
  await Deno.writeTextFile(folder + "/pid", String(program.pid));
  Deno.kill(Deno.pid, "SIGKILL");
`;

Deno.test(needing(
  mounts(),
  MOUNT_HOW,
  "a soak that is killed leaves neither its program nor anything mounted behind",
  () =>
    withTempFolder(async (folder) => {
      const code = `${folder}/soak.ts`;
      Deno.writeTextFileSync(code, SOAK);
      const modules = ["janitor.ts", "../support/mount.ts"].map((path) =>
        new URL(path, import.meta.url).href
      );
      await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-lock", "--no-config", code, folder, ...modules],
        stdout: "null",
        stderr: "null",
      }).output();
      const pid = Deno.readTextFileSync(`${folder}/pid`);
      await until("the program has ended", () => !exists(`/proc/${pid}/cmdline`));
      await until("nothing is mounted", () => !mountedBelow(folder));
    }),
));

Deno.test(needing(
  mounts(),
  MOUNT_HOW,
  "a janitor that was dismissed leaves everything alone",
  () =>
    withTempFolder(async (folder) => {
      using _mount = Mount.tmpfs(`${folder}/state`, 64);
      const janitor = new Janitor(folder, ["state"]);
      await janitor.mind(Deno.pid);
      await janitor.dismiss();
      assert(mountedBelow(folder));
    }),
));

function exists(path: string): boolean {
  try {
    // What is left of a process until its parent asks for it has no arguments.
    return Deno.readTextFileSync(path) !== "";
  } catch {
    return false;
  }
}

function mountedBelow(folder: string): boolean {
  return Deno.readTextFileSync("/proc/self/mounts").includes(` ${folder}/`);
}
