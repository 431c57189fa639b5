/** A state folder without room, or on a file system that is read-only. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { FifoReader } from "../support/fifo_reader.ts";
import { fill, type Mount, MOUNT_HOW, mounts } from "../support/mount.ts";
import type { Program } from "../support/program.ts";
import { until } from "../support/temp.ts";
import { backsOff, type Scene, troubleTest } from "./trouble_scene.ts";

const mount = mounts();

/** A generation holds so few that each test needs new ones. */
const ARGS = ["--filter-capacity", "100"];
/** Room for the generations of all events that the shared API server may hold. */
const STATE_KB = 8 * 1024;

const NEXT_GENERATION = "Cannot make the next generation of the ring: ";
const GOES_ON = "It works again: make the next generation of the ring";

const cannotBeUsed = ({ state }: Scene) => `The persistence path "${state}" cannot be used: `;

/** The program with its first generation made. */
async function withGeneration(scene: Scene, path: string): Promise<Program> {
  const program = await scene.start(path, { args: ARGS });
  await scene.create(1);
  await until(
    "there is a generation",
    () => Array.from(Deno.readDirSync(scene.state)).some(({ name }) => name.endsWith(".bloom")),
  );
  return program;
}

troubleTest(
  "A full state folder is waited for; with room again the program goes on by itself",
  mount,
  MOUNT_HOW,
  async (scene, mount) => {
    scene.using(mount.tmpfs(scene.state, STATE_KB));
    const path = `${scene.folder}/events.jsonl`;
    const read = () => [Deno.readTextFileSync(path)];
    const program = await withGeneration(scene, path);
    const ballast = fill(scene.state);
    scene.load();
    await backsOff(program, `${NEXT_GENERATION}No space left on device`);
    await program.says(". No line is committed meanwhile; trying again");
    Deno.removeSync(ballast);
    await program.says(GOES_ON);
    await scene.goesOn(read);
    await scene.stop(program);
    await scene.start(path, { args: ARGS });
    await scene.goesOn(read);
  },
);

troubleTest(
  "Stopped or killed while the state folder is full, and not started while it is: all is exact",
  mount,
  MOUNT_HOW,
  async (scene, mount) => {
    scene.using(mount.tmpfs(scene.state, STATE_KB));
    const path = `${scene.folder}/events.jsonl`;
    for (const end of ["stop", "kill"] as const) {
      const program = await withGeneration(scene, path);
      const ballast = fill(scene.state);
      await scene.create(150);
      await program.says(`${NEXT_GENERATION}No space left on device`);
      if (end === "stop") await scene.stop(program);
      else await program.kill();
      const refused = scene.launch(path, { args: ARGS });
      await refused.end();
      assertEquals(refused.code, 65, refused.stderr);
      assertStringIncludes(refused.stderr, `${cannotBeUsed(scene)}No space left on device`);
      assertStringIncludes(refused.stderr, ". Make room on its disk.");
      await scene.create(10);
      Deno.removeSync(ballast);
      const again = await scene.start(path, { args: ARGS });
      await scene.goesOn(() => [Deno.readTextFileSync(path)]);
      await again.kill();
    }
  },
);

troubleTest(
  "Stopped or killed while the state folder is full, it repeats no line in a FIFO",
  mount,
  MOUNT_HOW,
  async (scene, mount) => {
    scene.using(mount.tmpfs(scene.state, STATE_KB));
    using reader = new FifoReader(`${scene.folder}/fifo`);
    reader.come();
    for (const end of ["stop", "kill"] as const) {
      const program = await withGeneration(scene, reader.path);
      const ballast = fill(scene.state);
      await scene.create(150);
      await until("it needs a generation", () => {
        reader.read();
        return program.stderr.includes(`${NEXT_GENERATION}No space left on device`);
      });
      if (end === "stop") await scene.stop(program);
      else await program.kill();
      Deno.removeSync(ballast);
      const again = await scene.start(reader.path, { args: ARGS });
      await scene.goesOn(() => reader.read());
      await again.kill();
    }
  },
);

troubleTest(
  "A start on a new state folder without room is refused with 65, and the next one is exact",
  mount,
  MOUNT_HOW,
  async (scene, mount) => {
    scene.using(mount.tmpfs(scene.state, STATE_KB));
    const path = `${scene.folder}/events.jsonl`;
    await scene.create(150);
    const ballast = fill(scene.state);
    const { size } = Deno.statSync(ballast);
    // Without any room, with room for the lock, and for the checkpoint too but no generation.
    for (const pages of [0, 1, 8]) {
      Deno.truncateSync(ballast, size - 4096 * pages);
      const refused = scene.launch(path, { args: ARGS });
      await refused.end();
      assertEquals(refused.code, 65, refused.stderr);
      assertStringIncludes(refused.stderr, `${cannotBeUsed(scene)}No space left on device`);
    }
    Deno.removeSync(ballast);
    await scene.start(path, { args: ARGS });
    await scene.goesOn(() => [Deno.readTextFileSync(path)]);
  },
);

troubleTest(
  "A state folder that becomes read-only is waited for; a start on it is refused with 65",
  mount,
  MOUNT_HOW,
  async (scene, mount) => {
    const path = `${scene.folder}/events.jsonl`;
    const program = await withGeneration(scene, path);
    const readOnly: Mount = mount.readOnlyOver(scene.state);
    try {
      scene.load();
      await backsOff(program, `${NEXT_GENERATION}Read-only file system`);
    } finally {
      readOnly.end();
    }
    await program.says(GOES_ON);
    await scene.goesOn(() => [Deno.readTextFileSync(path)]);
    await program.kill();
    await scene.create(150);
    {
      using _readOnly = mount.readOnlyOver(scene.state);
      const refused = scene.launch(path, { args: ARGS });
      await refused.end();
      assertEquals(refused.code, 65, refused.stderr);
      assertStringIncludes(refused.stderr, `${cannotBeUsed(scene)}Read-only file system (os error`);
      assertStringIncludes(refused.stderr, ". Mount its disk for writing, or change --persistence");
    }
    await scene.start(path, { args: ARGS });
    await scene.goesOn(() => [Deno.readTextFileSync(path)]);
  },
);
