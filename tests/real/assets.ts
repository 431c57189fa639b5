/**
 * Where the binaries of a real API server are: etcd and kube-apiserver.
 *
 * In this order: the folder that KUBEBUILDER_ASSETS names (the convention of controller-runtime's
 * envtest), packed ones beside the tree, what Go built here earlier, and, where
 * KEP_BUILD_APISERVER=1 asks for it, a build with Go from the module files of tests/envtest.
 * The build is asked for because it takes some ten minutes and a gigabyte of modules.
 */

import { isUnpacked, unpackProgram } from "../../deploy/unpack.ts";

/** The two programs, and where they are from, for people. */
export interface Assets {
  etcd: string;
  apiServer: string;
  from: string;
}

/** What to do where there is no API server. */
export const API_SERVER_HOW = "set KUBEBUILDER_ASSETS to a folder with etcd and kube-apiserver " +
  "(`setup-envtest use -p path`), or build both once with Go, which takes some ten minutes: " +
  "KEP_BUILD_APISERVER=1";

const root = new URL("../../", import.meta.url);
const PROGRAMS = ["etcd", "kube-apiserver"] as const;

/**
 * The binaries, or null where there are none.
 *
 * @throws Error where KUBEBUILDER_ASSETS is set and does not hold them, or a build fails
 */
export async function findAssets(): Promise<Assets | null> {
  const named = Deno.env.get("KUBEBUILDER_ASSETS");
  if (named) {
    const found = assetsIn(named, "KUBEBUILDER_ASSETS");
    if (found) return found;
    throw new Error(`KUBEBUILDER_ASSETS is ${named}, which does not hold etcd and kube-apiserver`);
  }
  return await unpacked() ?? assetsIn(builtFolder(), "an earlier build with Go") ?? await built();
}

function assetsIn(folder: string, from: string): Assets | null {
  const [etcd, apiServer] = PROGRAMS.map((name) => `${folder}/${name}`);
  if (!etcd || !apiServer || !exists(etcd) || !exists(apiServer)) return null;
  return { etcd, apiServer, from };
}

function exists(path: string | URL): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Those packed with gzip in ../shared/envtest, unpacked once. */
async function unpacked(): Promise<Assets | null> {
  const source = new URL("../shared/envtest/", root);
  if (!PROGRAMS.every((name) => exists(new URL(`${name}.gz`, source)))) return null;
  const folder = new URL(".cache/envtest/", root);
  for (const name of PROGRAMS) {
    const packed = new URL(`${name}.gz`, source);
    const target = new URL(name, folder);
    if (!isUnpacked(packed, target)) await unpackProgram(packed, target);
  }
  return assetsIn(folder.pathname.slice(0, -1), "../shared/envtest");
}

/** A build outlives a clone: it stands in the user's cache. */
function builtFolder(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "."}/.cache`;
  return `${cache}/kube-event-pipe/envtest`;
}

async function built(): Promise<Assets | null> {
  if (Deno.env.get("KEP_BUILD_APISERVER") !== "1") return null;
  const folder = builtFolder();
  await Deno.mkdir(folder, { recursive: true });
  for (const name of PROGRAMS) {
    const target = `${folder}/${name}`;
    if (exists(target)) continue;
    console.error(`Building ${name} with Go, once; this takes some minutes.`);
    const flags = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w"];
    const build = new Deno.Command("go", {
      args: ["build", ...flags, "-o", `${target}.${Deno.pid}`, "."],
      cwd: new URL(`tests/envtest/${name}/`, root),
      env: { CGO_ENABLED: "0", GOFLAGS: "-mod=readonly" },
      stdout: "inherit",
      stderr: "inherit",
    });
    const { success } = await build.output();
    if (!success) throw new Error(`go build of tests/envtest/${name} failed; see above`);
    await Deno.rename(`${target}.${Deno.pid}`, target);
  }
  return assetsIn(folder, "a build with Go");
}
