/** The real program, a state folder, a destination and a fake API server, for one test. */

import { type FakeApiServer, startFakeApiServer } from "../fake/server.ts";
import { Program, type ProgramOptions } from "./program.ts";
import { withTempFolder } from "./temp.ts";

/** Folders and flags of an instance that watches a fake API server. */
export interface FakeScene {
  server: FakeApiServer;
  /** Holds all of it; gone afterwards. */
  folder: string;
  state: string;
  destination: string;
  /** What a run, `check` and `status` share. */
  where: string[];
  /** Starts the program; `args` come behind its own. */
  start: (...args: string[]) => Program;
  /** The same, with options; their `args` come behind its own too. */
  startWith: (options: ProgramOptions) => Program;
}

/** Runs `body` with a scene, which is taken away after it. */
export async function withFakeScene(body: (scene: FakeScene) => Promise<void>): Promise<void> {
  await withTempFolder(async (folder) => {
    const server = await startFakeApiServer();
    const programs: Program[] = [];
    try {
      await server.writeKubeconfig(`${folder}/kubeconfig`);
      const state = `${folder}/state`;
      await Deno.mkdir(state);
      const where = ["--persistence-path", state];
      const destination = `${folder}/events.jsonl`;
      const own = [...where, "--destination", destination, "--kubeconfig", `${folder}/kubeconfig`];
      const startWith = ({ args = [], ...options }: ProgramOptions) => {
        const program = Program.start({ ...options, args: [...own, ...args] });
        programs.push(program);
        return program;
      };
      const start = (...args: string[]) => startWith({ args });
      await body({ server, folder, state, destination, where, start, startWith });
    } catch (error) {
      for (const { stderr } of programs) console.error(`The program said:\n${stderr}`);
      throw error;
    } finally {
      for (const program of programs) await program.kill();
      await server.close();
    }
  });
}

/** Whole lines in a file; 0 where it is not there. */
export function linesIn(path: string): number {
  try {
    return Deno.readTextFileSync(path).split("\n").length - 1;
  } catch {
    return 0;
  }
}

/** Content and time of each file in a folder. */
export function snapshot(folder: string): Record<string, unknown> {
  const names = Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
  return Object.fromEntries(names.map((name) => {
    const { mtime, ino } = Deno.statSync(`${folder}/${name}`);
    return [name, { mtime, ino, bytes: Deno.readFileSync(`${folder}/${name}`).toHex() }];
  }));
}
