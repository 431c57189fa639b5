/**
 * Whether the simulator notices a broken order of commit: the shipped source is copied, one step
 * of it is swapped or left out, and the simulator must find a run that breaks the promise.
 *
 * `deno task canary [PART OF A NAME]` prints the list; tests/sim/canary_test.ts is the same as a test.
 */

import type { Exploration, ExploreOptions } from "./explore.ts";

/** Runs within which a broken order must be caught. */
export const CANARY_RUNS = 1000;
/** Of the calls so many fail: some steps only matter after a failure. */
const FAILING = 0.4;
/** Runs a scenario: many scenarios find more than many runs of one. */
const RUNS_EACH = 8;

/** A step of the order that is swapped or left out. */
export interface Breakage {
  name: string;
  /** The file in lib/ that owns the step. */
  file: string;
  /** A text that stands there once. */
  from: string;
  to: string;
}

const SYNC_LINES = "await surely(`the destination ${JSON.stringify(file.path)}`, file.sync());";
const COLLECT = "const collected = this.#pending.collect();";
const RING = `    await this.#flushRing();
    await surely("the ring", this.#ring.sync());
    await untilItWorks`;

/** Every step of lib/commit.ts, lib/recovery.ts and their neighbours whose place matters. */
export const BREAKAGES: readonly Breakage[] = [
  {
    name: "lines are not synced before their keys are remembered",
    file: "commit.ts",
    from: SYNC_LINES,
    to: "",
  },
  {
    name: "the ring's files are written before the lines are synced",
    file: "commit.ts",
    from: COLLECT,
    to: `${COLLECT}
      await this.#remember(collected.lanes, collected.size);
      await this.#flushRing();
      await this.#ring.sync();`,
  },
  {
    name: "keys of lines appended during the sync count as synced",
    file: "commit.ts",
    from: "await this.#remember(collected.lanes, collected.size);",
    to: `await this.#remember(collected.lanes, collected.size);
      await this.#remember(this.appended.lanes, this.appended.size);`,
  },
  {
    name: "the offset is taken after the sync, not at its call",
    file: "commit.ts",
    from: "    this.#durable = mark;\n  }",
    to: "    this.#durable = { ...mark, offset: offsetOf(this.#destination) };\n  }",
  },
  {
    name: "the positions are taken after the sync, not at its call",
    file: "commit.ts",
    from: "    this.#durable = mark;\n  }",
    to: "    this.#durable = { ...mark, positions: this.#dealt };\n  }",
  },
  {
    name: "positions move before their events are dealt with",
    file: "recorder.ts",
    from: "      if (events !== null) await this.#pipeline.deal(events);\n      done();\n" +
      "      this.commit.dealt(positions);\n",
    to: "      this.commit.dealt(positions);\n" +
      "      if (events !== null) await this.#pipeline.deal(events);\n      done();\n",
  },
  {
    name: "the checkpoint is written before the ring",
    file: "commit.ts",
    from: RING,
    to: `    this.#io.after(1, () => this.#soon(() => this.#flushRing()));
    await untilItWorks`,
  },
  {
    name: "the ring is not synced before the checkpoint",
    file: "commit.ts",
    from: '    await surely("the ring", this.#ring.sync());\n',
    to: "",
  },
  {
    name: "the checkpoint is not synced",
    file: "checkpoint.ts",
    from: "    await this.#file.sync();\n",
    to: "    await Promise.resolve();\n",
  },
  {
    name: "a switch does not checkpoint the old file",
    file: "commit.ts",
    from: "    await this.#checkpoint(false);\n    if (oldFile !== null",
    to: "    if (oldFile !== null",
  },
  {
    name: "a switch appends to the new file before a checkpoint names it",
    file: "commit.ts",
    from: "      await this.#writeCheckpoint(false);\n      if (isOrphan)",
    to: "      if (isOrphan)",
  },
  {
    name: "the start appends before a checkpoint names the file",
    file: "commit.ts",
    from: "    await commit.#writeCheckpoint(false);\n    return commit;",
    to: "    return commit;",
  },
  {
    name: "lines of a deleted file count as durable",
    file: "commit.ts",
    from: "      if (file.unlinked()) return this.#lookAtPath(file);\n",
    to: "",
  },
  {
    name: "lines of a deleted file are not carried over",
    file: "commit.ts",
    from: "if (isOrphan) await carryOver(this.#io, oldFile, from, next, this.abandon);",
    to: "if (isOrphan) await Promise.resolve(carryOver && from);",
  },
  {
    name: "generations are deleted before the checkpoint",
    file: "commit.ts",
    from: "    const positions = this.#dealt;\n    await this.#checkpoint(false);\n",
    to: "    const positions = this.#dealt;\n    this.#ring.drop(leaving);\n" +
      "    await this.#checkpoint(false);\n    leaving = new Set();\n",
  },
  {
    name: "what is still alive is forgotten with its generation",
    file: "refresh.ts",
    from: "    if (this.#ring.knows(keys, at, this.#leaving)) return;",
    to: "    if (this.#ring.knows(keys, at)) return;",
  },
  {
    name: "generations are dropped while a watch lags",
    file: "position.ts",
    from: "    return !this.#hasSkipped && compareRv(this.#passed, version)",
    to: "    return true || compareRv(this.#passed, version)",
  },
  {
    name: "a failed sync is tried again",
    file: "trouble.ts",
    from: "    await sync;\n  } catch (error) {",
    to: "    await sync;\n  } catch (error) {\n    if (error) return;",
  },
  {
    name: "a generation's name is not made durable",
    file: "generation.ts",
    from: "      io.rename(draft, path);\n      io.syncFolder(folder);",
    to: "      io.rename(draft, path);",
  },
  {
    name: "the state folder is not synced at the start",
    file: "checkpoint.ts",
    from: "      io.syncFolder(folder);\n      const",
    to: "      const",
  },
  {
    name: "the destination's name is not made durable",
    file: "file_destination.ts",
    from: "      io.syncFolder(folderOf(path));\n      if (!await",
    to: "      if (!await",
  },
  {
    name: "half a line stays when the disk is full",
    file: "file_destination.ts",
    from: "        this.#torn = { start: size - (written - kept), end: size };\n",
    to: "        void size;\n",
  },
  {
    name: "recovery does not make the tail durable",
    file: "recovery.ts",
    from: "  rewriteInPlace(io, options.folder, found);\n  const tail",
    to: "  const tail",
  },
  {
    name: "recovery remembers the tail before it is made whole",
    file: "recovery.ts",
    from: "  rewriteInPlace(io, options.folder, found);\n  const tail",
    to: `  addKeys(file, mark.offset, ring, options, report);
  ring.writeDirty();
  await ring.sync();
  rewriteInPlace(io, options.folder, found);
  const tail`,
  },
  {
    name: "recovery does not read the tail",
    file: "recovery.ts",
    from: "  const highest = addKeys(file, mark.offset, ring, options, report);",
    to: "  const highest = null;",
  },
  {
    name: "recovery leaves broken lines between whole ones",
    file: "recovery.ts",
    from:
      "    inStateFolder(options.folder, () => writeRedo(io, options.folder, file, mark, tail));\n" +
      "    applyRedo(io, options.folder, file, mark);\n",
    to: "    void writeRedo;\n",
  },
  {
    name: "recovery leaves half a line",
    file: "recovery.ts",
    from: "    file.truncate(tail.end);\n",
    to: "",
  },
  {
    name: "a stop that left lines unsynced counts as clean",
    file: "recovery.ts",
    from: "  if (last.clean && size === mark.offset) return;",
    to: "  if (size >= mark.offset) return;",
  },
];

/** How a breakage was caught. */
export interface Catch {
  breakage: Breakage;
  /** The run that broke the promise; null = none did. */
  run: number | null;
  /** What was wrong then. */
  wrong: string[];
  /** How to see it, in the broken copy. */
  seed: number;
}

/** Runs the simulator on a copy of the source with this breakage, from a seed on. */
export async function tryBreakage(breakage: Breakage, firstSeed: number): Promise<Catch> {
  const copy = await Deno.makeTempDir({ prefix: "kube-event-pipe-canary-" });
  try {
    await copySource(copy);
    await breakFile(`${copy}/lib/${breakage.file}`, breakage);
    const { explore } = await import(`file://${copy}/tests/sim/explore.ts`) as {
      explore: (seed: number, options: ExploreOptions) => Promise<Exploration>;
    };
    let runs = 0;
    for (let seed = firstSeed; runs < CANARY_RUNS; seed++) {
      const mostRuns = Math.min(RUNS_EACH, CANARY_RUNS - runs);
      const exploration = await explore(seed, { mostRuns, untilBroken: true, failing: FAILING });
      runs += exploration.runs;
      const [finding] = exploration.findings;
      if (finding !== undefined) return { breakage, run: runs, wrong: finding.wrong, seed };
    }
    return { breakage, run: null, wrong: [], seed: firstSeed };
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}

async function copySource(to: string): Promise<void> {
  const root = new URL("../../", import.meta.url);
  for (const folder of ["lib", "tests/sim"]) {
    await Deno.mkdir(`${to}/${folder}`, { recursive: true });
    for await (const { name } of Deno.readDir(new URL(folder, root))) {
      if (name.endsWith(".ts")) {
        await Deno.copyFile(new URL(`${folder}/${name}`, root), `${to}/${folder}/${name}`);
      }
    }
  }
}

/** @throws Error where the text is not there once: the breakage must be brought up to date */
async function breakFile(path: string, { name, file, from, to }: Breakage): Promise<void> {
  const source = await Deno.readTextFile(path);
  const parts = source.split(from);
  if (parts.length !== 2) {
    throw new Error(
      `The canary "${name}" wants to change a text of lib/${file} that stands there ` +
        `${parts.length - 1} times. Bring BREAKAGES in tests/sim/canary.ts up to date.`,
    );
  }
  await Deno.writeTextFile(path, parts.join(to));
}

if (import.meta.main) {
  let missed = 0;
  const chosen = BREAKAGES.filter(({ name }) => name.includes(Deno.args[0] ?? ""));
  for (const breakage of chosen) {
    const { run, wrong } = await tryBreakage(breakage, 1);
    if (run === null) missed++;
    const how = run === null ? "NOT CAUGHT" : `run ${String(run).padStart(4)}`;
    console.log(`${how}  ${breakage.name}${wrong[0] ? `  (${wrong[0].slice(0, 60)})` : ""}`);
  }
  console.log(`${chosen.length - missed} of ${chosen.length} broken orders were caught.`);
  Deno.exit(missed === 0 ? 0 : 1);
}
