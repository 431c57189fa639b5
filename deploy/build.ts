/**
 * `deno task build [--target T]`: compiles the program to dist/kube-event-pipe.
 *
 * The runtime that goes into the binary (denort) is, in this order: what DENORT_BIN names, that of
 * this Deno's own version from its cache or from dl.deno.land, or one packed in ../shared/denort.
 * Exit status 69 where there is none, 1 where compiling fails.
 */

import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { depsFlags } from "../closed/deps.ts";
import { isUnpacked, unpackProgram } from "./unpack.ts";

/** Exit status where no runtime can be had: sysexits' EX_UNAVAILABLE. */
export const NO_RUNTIME = 69;

/** The binary for this machine. */
export const BINARY = new URL("../dist/kube-event-pipe", import.meta.url);

/** What each compilation target is called in a container registry. */
const PLATFORMS: Readonly<Record<string, string>> = {
  "x86_64-unknown-linux-gnu": "linux-amd64",
  "aarch64-unknown-linux-gnu": "linux-arm64",
};

/** How long the download server gets to answer, ms. */
const ANSWER_MS = 5_000;

const root = new URL("../", import.meta.url);

/**
 * The permissions and V8 bounds of the program, for `deno run` and `deno compile` alike. They
 * stand in one place, the task `start` of deno.json.
 */
export function programFlags(): string[] {
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  const words: string[] = tasks.start.command.split(" ");
  return words.filter((word) => /^--(allow-|no-prompt|v8-flags)/.test(word));
}

/** True where {@linkcode BINARY} was built from the tree as it is now. */
export function isBuilt(): boolean {
  try {
    Deno.statSync(BINARY);
    return Deno.readTextFileSync(new URL("dist/.inputs", root)) === inputsHash();
  } catch {
    return false; // Not built yet, or a build broke off.
  }
}

/** A hash of all that goes into the binary but the runtime. */
function inputsHash(): string {
  const hash = createHash("sha256");
  const fixed = ["main.ts", "deno.json", "deno.lock", "deploy/build.ts"];
  for (const path of [...fixed, ...sourcesIn("closed"), ...sourcesIn("lib")]) {
    hash.update(`${path}\0`).update(Deno.readFileSync(new URL(path, root)));
  }
  return hash.digest("hex");
}

function sourcesIn(folder: string): string[] {
  const names = Array.from(Deno.readDirSync(new URL(folder, root)), ({ name }) => name);
  return names.filter((name) => /\.(ts|json)$/.test(name)).sort().map((name) =>
    `${folder}/${name}`
  );
}

/** A runtime to build on. */
export interface Runtime {
  /** For people. */
  label: string;
  /** Set for `deno compile`; null = it fetches or has its own. */
  denortBin: string | null;
}

/** The runtime to build on for a target, by the order above; null where there is none. */
export async function findRuntime(target: string): Promise<Runtime | null> {
  const named = Deno.env.get("DENORT_BIN");
  if (named) return { label: `the denort that DENORT_BIN names`, denortBin: named };
  const { deno: version } = Deno.version;
  if (isCached(version, target) || await isDownloadable(version, target)) {
    return { label: `denort ${version}`, denortBin: null };
  }
  return await unpackedRuntime(target);
}

function isCached(version: string, target: string): boolean {
  const info = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  const { denoDir } = JSON.parse(new TextDecoder().decode(info.stdout));
  try {
    return Deno.statSync(`${denoDir}/dl/release/v${version}/denort-${target}.zip`).isFile;
  } catch {
    return false;
  }
}

async function isDownloadable(version: string, target: string): Promise<boolean> {
  const url = `https://dl.deno.land/release/v${version}/denort-${target}.zip`;
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    return (await fetch(url, { method: "HEAD", signal })).ok;
  } catch {
    return false;
  }
}

/** One packed as ../shared/denort/denort-TARGET-VERSION.gz, unpacked once. */
async function unpackedRuntime(target: string): Promise<Runtime | null> {
  const folder = new URL("../shared/denort/", root);
  const pattern = new RegExp(`^denort-${target}-([0-9.]+)\\.gz$`);
  let names: string[];
  try {
    names = Array.from(Deno.readDirSync(folder), ({ name }) => name);
  } catch {
    return null; // No such folder.
  }
  for (const name of names) {
    const [, version] = pattern.exec(name) ?? [];
    if (version === undefined) continue;
    const unpacked = new URL(`.cache/denort/${name.slice(0, -".gz".length)}`, root);
    const packed = new URL(name, folder);
    if (!isUnpacked(packed, unpacked)) await unpackProgram(packed, unpacked);
    return { label: `denort ${version} from ../shared/denort`, denortBin: unpacked.pathname };
  }
  return null;
}

/** Compiles to `output`; returns what deno said where it failed. */
async function compile(output: URL, target: string, runtime: Runtime): Promise<string | null> {
  const flags = [
    ...await depsFlags(),
    ...programFlags(),
    // client-node's 60 MB of modules become 1 MB, and start-up four times faster. The watch isolate
    // becomes a bundle of its own: with --include, its sources would be in the binary once more.
    "--bundle",
    "--minify",
    "--no-check", // The V8 bounds hold for deno's type checker too: it would run out of memory.
    "--no-code-cache", // It would be a file in /tmp that any local user can put there first.
    `--output=${output.pathname}`,
  ];
  // Deno ignores --target where DENORT_BIN is set: what DENORT_BIN names has its target already.
  if (runtime.denortBin === null) flags.push(`--target=${target}`);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["compile", "--quiet", ...flags, "main.ts"],
    cwd: root,
    env: runtime.denortBin === null ? {} : { DENORT_BIN: runtime.denortBin },
    stdin: "null",
    stderr: "piped",
  }).output();
  return success ? null : new TextDecoder().decode(stderr);
}

/** What the new binary says of itself; null where it does not start. */
function versionOf(binary: URL): string | null {
  const run = new Deno.Command(binary, { args: ["--version"], stderr: "inherit" }).outputSync();
  return run.success ? new TextDecoder().decode(run.stdout).trim() : null;
}

function fail(status: number, text: string): never {
  console.error(text);
  Deno.exit(status);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ args: Deno.args, options: { target: { type: "string" } } });
  const target = values.target ?? Deno.build.target;
  const platform = PLATFORMS[target];
  if (platform === undefined) {
    fail(64, `Cannot build for ${target}: only for ${Object.keys(PLATFORMS).join(" and ")}.`);
  }
  const runtime = await findRuntime(target);
  if (runtime === null) {
    fail(
      NO_RUNTIME,
      `Cannot build: no denort for ${target}. dl.deno.land, where Deno ${Deno.version.deno} gets ` +
        "it from, does not answer; set DENORT_BIN to an unpacked denort, or try again online.",
    );
  }
  const startMs = performance.now();
  const folder = new URL(`dist/${platform}/`, root);
  const output = new URL("kube-event-pipe", folder);
  const isForHere = target === Deno.build.target;
  await Deno.mkdir(folder, { recursive: true });
  if (isForHere) await Deno.remove(new URL("dist/.inputs", root)).catch(() => {});
  const inputs = inputsHash();
  const failure = await compile(output, target, runtime);
  if (failure !== null) fail(1, `Cannot build: deno compile failed.\n${failure}`);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const megabytes = (Deno.statSync(output).size / 1e6).toFixed(1);
  const facts = `${megabytes} MB, ${target}, on ${runtime.label}, in ${seconds} s`;
  if (!isForHere) {
    console.log(`dist/${platform}/kube-event-pipe: ${facts}`);
    return;
  }
  const version = versionOf(output);
  if (version === null) fail(1, "Cannot build: the binary does not start; see above.");
  // One file under two names: the short one for people, the other for Dockerfile.distroless.
  await Deno.remove(BINARY).catch(() => {});
  await Deno.link(output.pathname, BINARY.pathname);
  await Deno.writeTextFile(new URL("dist/.inputs", root), inputs);
  console.log(`dist/kube-event-pipe: ${facts}\n${version}`);
}

if (import.meta.main) await main();
