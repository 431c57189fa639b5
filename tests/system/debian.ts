/** Packages of Debian that tests use without installing them: unpacked below .cache, once. */

import { findTool } from "./tools.ts";

/** A program, and the folder that its packages are unpacked in: "" where it is installed. */
export interface DebianTool {
  path: string;
  root: string;
}

/** How packages get into the folder $0. */
const DOWNLOADS = {
  alone: `cd "$0" && apt-get download "$@"`,
  // Packages that conflict, as two syslog daemons do, need not be installed side by side.
  withMissing: `mkdir "$0/partial" && apt-get install --yes --download-only \
    --no-install-recommends --option Debug::NoLocking=1 --option Dir::Cache::archives="$0" "$@"`,
};

/** Runs a command; null where it is not there or fails. */
export function tryRun(cmd: string, ...args: string[]): string | null {
  try {
    const { success, stdout } = new Deno.Command(cmd, { args, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout) : null;
  } catch {
    return null;
  }
}

/**
 * The folder with the packages unpacked; null where they cannot be had.
 *
 * @param name of a folder in .cache
 * @param download `alone`, or `withMissing`: with what they depend on and is not installed
 */
export function unpackedPackages(
  name: string,
  download: keyof typeof DOWNLOADS,
  ...packages: string[]
): string | null {
  const cache = new URL(`../../.cache/${name}/`, import.meta.url).pathname;
  const root = `${cache}root`;
  if (tryRun("test", "-e", root) !== null) return root;
  const [debs, part] = [`${cache}debs`, `${cache}part`];
  tryRun("rm", "-rf", debs, part);
  for (const folder of [debs, part]) Deno.mkdirSync(folder, { recursive: true });
  if (tryRun("sh", "-c", DOWNLOADS[download], debs, ...packages) === null) return null;
  const unpack = `for deb in "$0"/*.deb; do dpkg -x "$deb" "$1" || exit; done`;
  if (tryRun("sh", "-c", unpack, debs, part) === null) return null;
  Deno.renameSync(part, root);
  return root;
}

/** A program that is installed, or in a package of that name; null where there is neither. */
export function debianTool(
  name: string,
  download: keyof typeof DOWNLOADS,
  packageName: string,
): DebianTool | null {
  const installed = findTool(name);
  if (installed !== null) return { path: installed, root: "" };
  const root = unpackedPackages(packageName, download, packageName);
  if (root === null) return null;
  const found = tryRun("find", root, "-path", `*bin/${name}`, "-type", "f")?.split("\n")[0];
  return found ? { path: found, root } : null;
}
