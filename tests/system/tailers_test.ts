/**
 * rsyslog and syslog-ng as docs/RECIPES.md sets them up, behind the real program under load: every
 * line arrives once, through rotations by logrotate and a restart of theirs. And the container that
 * rotates without a signal.
 */

import { loadYaml } from "@kubernetes/client-node";
import { assertEquals } from "@std/assert";
import { Guard, LoggedProcess } from "../real/process.ts";
import { type Scene, troubleTest } from "../real/trouble_scene.ts";
import { recipe } from "../support/recipes.ts";
import { until } from "../support/temp.ts";
import { type DebianTool, debianTool, tryRun } from "./debian.ts";
import { findLogrotate, LOGROTATE_HOW, Rotator } from "./rotator.ts";

/** A daemon that reads the lines and writes them to a file. */
interface Tailer {
  /** Title of its block in the docs. */
  recipe: string;
  /** What it is started with, in the foreground. */
  args: (files: TailerFiles, root: string) => string[];
  /** What stands around the block in its own configuration. */
  config: (block: string, files: TailerFiles) => string;
  /** The unit that the docs let logrotate ask for before it rotates. */
  unit: string;
}

interface TailerFiles {
  config: string;
  /** A folder for what it remembers. */
  state: string;
}

const LINES_MS = 30_000;
const STOP_MS = 10_000;
/** After a rotation a shipper has found the new file, ms. */
const ROTATED_MS = 2_000;

const RSYSLOG: Tailer = {
  recipe: "/etc/rsyslog.d/kube-event-pipe.conf",
  args: ({ config, state }, root) => [
    ...["-n", "-f", config, "-i", `${state}/pid`],
    ...(root === "" ? [] : ["-M", folderOf(root, "imfile.so")]),
  ],
  config: (block, { state }) => `global(workDirectory="${state}")\n${block}`,
  unit: "rsyslog.service",
};

const SYSLOG_NG: Tailer = {
  recipe: "/etc/syslog-ng/conf.d/kube-event-pipe.conf",
  args: ({ config, state }, root) => [
    ...["--foreground", "--no-caps", "-f", config, "-p", `${state}/pid`],
    ...["-R", `${state}/persist`, "-c", `${state}/control`],
    ...(root === "" ? [] : [`--module-path=${folderOf(root, "libaffile.so")}`]),
  ],
  config: (block) => `@version: current\n${block}`,
  unit: "syslog-ng.service",
};

/** The folder below `root` that a file is in. */
function folderOf(root: string, name: string): string {
  const path = tryRun("find", root, "-name", name)?.split("\n")[0] ?? "";
  return path.slice(0, path.lastIndexOf("/"));
}

/** Folders below `root` with libraries, for LD_LIBRARY_PATH. */
function librariesOf(root: string): string {
  const found = tryRun("find", root, "-name", "*.so.*", "-printf", "%h\n") ?? "";
  return [...new Set(found.trim().split("\n"))].join(":");
}

/** One of them, running on the lines of a scene. */
class RunningTailer {
  readonly output: string;
  readonly #process: LoggedProcess;
  readonly #guard = new Guard();

  constructor(tailer: Tailer, { path, root }: DebianTool, scene: Scene, logs: string) {
    const state = `${scene.folder}/tailer`;
    Deno.mkdirSync(state);
    this.output = `${scene.folder}/arrived.jsonl`;
    const files = { config: `${scene.folder}/tailer.conf`, state };
    const block = recipe(tailer.recipe)
      .replaceAll("/var/log/kube-event-pipe", logs)
      .replaceAll("/var/log/central/events.jsonl", this.output);
    Deno.writeTextFileSync(files.config, tailer.config(block, files));
    const libraries = root === "" ? [] : [`LD_LIBRARY_PATH=${librariesOf(root)}`];
    const args = [...libraries, path, ...tailer.args(files, root)];
    this.#process = new LoggedProcess("/usr/bin/env", args, `${scene.folder}/tailer.log`);
  }

  async start(): Promise<void> {
    this.#process.start();
    await this.#guard.watch([this.#process.pid]);
  }

  async stop(): Promise<void> {
    await this.#process.stop("SIGTERM", STOP_MS);
    await this.#guard.close();
  }

  /** What has arrived. */
  read = (): string[] => {
    try {
      return [Deno.readTextFileSync(this.output)];
    } catch {
      return [""]; // Nothing yet.
    }
  };

  /** Waits until so many more bytes have arrived. */
  async moves(bytes: number): Promise<void> {
    const size = () => this.read()[0]!.length;
    const goal = size() + bytes;
    await until(`${bytes} bytes more have arrived`, () => size() >= goal, LINES_MS);
  }
}

/** What the docs let logrotate ask before it rotates, of this process in the place of the unit. */
function guardOf({ unit }: Tailer, pidFile: string): string {
  const block = recipe(`in /etc/logrotate.d/kube-event-pipe, with ${unit}`);
  const [, command] = /^ +prerotate\n +(.*)\n +endscript\n$/.exec(block) ?? [];
  assertEquals(command, `systemctl is-active --quiet ${unit}`);
  return `kill -0 $(cat ${pidFile})`;
}

function tailerTest(name: string, packageName: string, tailer: Tailer): void {
  const tool = debianTool(name, "withMissing", packageName);
  const logrotate = findLogrotate();
  const parts = tool === null || logrotate === null ? null : { tool, logrotate };
  const how = logrotate === null ? LOGROTATE_HOW : `install ${packageName}, or let apt download it`;
  troubleTest(
    `${name} has every line once, through rotations and its own restart`,
    parts,
    how,
    async (scene, { tool, logrotate }) => {
      const logs = `${scene.folder}/logs`;
      await Deno.mkdir(logs, { mode: 0o750 });
      const program = await scene.start(`${logs}/events.jsonl`);
      const reader = new RunningTailer(tailer, tool, scene, logs);
      const prerotate = guardOf(tailer, `${scene.folder}/tailer/pid`);
      const rotator = new Rotator(logrotate, logs, scene.folder, { pid: program.pid, prerotate });
      const rotate = async () => {
        assertEquals(await rotator.rotate(), { success: true, error: "" });
        // As the docs say: who is stopped, or rotated again, within a second may lose lines.
        await new Promise((resolve) => setTimeout(resolve, ROTATED_MS));
      };
      try {
        await scene.create(3, 200_000); // Longer than they take by default.
        await reader.start();
        scene.load();
        for (let n = 0; n < 2; n++) {
          await reader.moves(50_000);
          await rotate();
        }
        await reader.moves(50_000);

        await reader.stop();
        await scene.create(20);
        assertEquals((await rotator.rotate()).success, false, "rotated, though it is down");
        await scene.create(20);
        await reader.start();

        await reader.moves(50_000);
        await rotate();
        await reader.moves(50_000);
        await scene.unload();
        await scene.create(1);
        const lost = () => scene.tallyOf(reader.read()).lost.length;
        await until("all has arrived", () => lost() === 0, LINES_MS).catch(() => {});
        scene.exact(reader.read);
      } finally {
        await reader.stop();
      }
    },
  );
}

tailerTest("rsyslogd", "rsyslog", RSYSLOG);
tailerTest("syslog-ng", "syslog-ng-core", SYSLOG_NG);

/** What the container that rotates runs, on these files and sooner. */
function rotateScript(output: string, bytes: number): string {
  interface Values {
    extraContainers: { name: string; command: string[] }[];
  }
  const { extraContainers } = loadYaml<Values>(recipe("values.yaml"));
  const [, , script = ""] = extraContainers.find(({ name }) => name === "rotate")!.command;
  return script
    .replaceAll("/data/events.jsonl", output)
    .replace("sleep 60", "sleep 0.1")
    .replace("104857600", `${bytes}`);
}

troubleTest(
  "the container that rotates renames a file that has grown: nothing lost, nothing repeated",
  {},
  "",
  async (scene) => {
    const output = `${scene.folder}/events.jsonl`;
    await scene.start(output);
    const rotate = new Deno.Command("sh", { args: ["-c", rotateScript(output, 50_000)] }).spawn();
    const isThere = (path: string) => Deno.stat(path).then(() => true, () => false);
    try {
      scene.load();
      await until("it was renamed", () => isThere(`${output}.1`), LINES_MS);
    } finally {
      rotate.kill("SIGKILL"); // Its next file would be moved over this one.
      await rotate.status;
    }
    await until("it was made again", () => isThere(output), LINES_MS);
    await scene.goesOn(() => [`${output}.1`, output].map((path) => Deno.readTextFileSync(path)));
  },
);
