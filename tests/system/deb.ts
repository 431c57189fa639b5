/** The .deb of this tree, and a Debian to put it in; both take a while, so only with KEP_LONG=1. */

import { findTool } from "./tools.ts";

const TOOLS = ["nfpm", "lintian", "mmdebstrap", "dpkg-deb", "unshare", "nsenter"];

/** What to do where {@linkcode canMakeDebian} says no. */
export const DEBIAN_HOW = "set KEP_LONG=1 on Debian as root, with dist/ built, lintian and " +
  "mmdebstrap from apt, and `go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0`";

const root = new URL("../../", import.meta.url);

/** Whether all is there for it. */
export function canMakeDebian(): boolean {
  return Deno.env.get("KEP_LONG") === "1" && Deno.build.os === "linux" && Deno.uid() === 0 &&
    TOOLS.every((name) => findTool(name) !== null);
}

/** Runs a command; returns what it printed. @throws Error where it fails */
export async function run(command: string[], env: Record<string, string> = {}): Promise<string> {
  const [name = "", ...args] = command;
  const { code, stdout, stderr } = await new Deno.Command(findTool(name) ?? name, {
    args,
    env,
    cwd: root,
  }).output();
  const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
  if (code !== 0) throw new Error(`${command.join(" ")}: ${code}\n${text}`);
  return text;
}

/** Packs dist/; returns the path of the .deb for this machine. */
export async function makeDeb(): Promise<string> {
  const path = `${Deno.env.get("PATH")}:${findTool("nfpm")?.replace(/\/[^/]*$/, "")}`;
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  const pack = ["run", "--no-lock", "-A", "deploy/package/main.ts"];
  const flags = ["--format=deb", `--arch=${arch}`];
  const said = await run([Deno.execPath(), ...pack, ...flags], { PATH: path });
  const [, deb] = /created package: (\S+\.deb)/.exec(said) ?? [];
  if (deb === undefined) throw new Error(`No package: ${said}`);
  return new URL(deb, root).pathname;
}

/** Makes a Debian of the essential packages and those named. */
export async function makeDebian(
  path: string,
  packages: string[],
  release = "bookworm",
): Promise<void> {
  const include = `--include=${packages.join(",")}`;
  await run(["mmdebstrap", "--mode=root", "--variant=essential", include, release, path]);
}
