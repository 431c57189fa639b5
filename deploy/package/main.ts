/**
 * `deno task package [--arch amd64|arm64]... [--format deb|rpm]...`: dist/linux-ARCH/kube-event-pipe as .deb
 * and .rpm, with man page, units and logrotate configuration, in dist/package. Needs nfpm. All times
 * in them are SOURCE_DATE_EPOCH, else that of the commit: two runs give the same bytes.
 */

import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { VERSION } from "../../lib/version.ts";
import { manPage } from "../man.ts";

/** Who answers for the packages; a release names somebody else. */
const MAINTAINER = Deno.env.get("KEP_MAINTAINER") ||
  "The kube-event-pipe authors <kube-event-pipe@users.noreply.github.com>";
const ARCHITECTURES = ["amd64", "arm64"];
const FORMATS = ["deb", "rpm"];

const root = new URL("../../", import.meta.url);
const output = new URL("dist/package/", root);

/** The time that all files bear. */
async function sourceTime(): Promise<Date> {
  const given = Deno.env.get("SOURCE_DATE_EPOCH");
  if (given) return new Date(1000 * Number(given));
  const git = new Deno.Command("git", { args: ["log", "-1", "--format=%ct"], cwd: root });
  const { success, stdout } = await git.output();
  return new Date(success ? 1000 * Number(new TextDecoder().decode(stdout)) : 0);
}

/** The latest entry alone: what changed stands in the changelog beside it. */
function debianChangelog(time: Date): string {
  const date = time.toUTCString().replace("GMT", "+0000");
  return `kube-event-pipe (${VERSION}-1) unstable; urgency=medium\n\n` +
    `  * Release ${VERSION}: see changelog.gz.\n\n -- ${MAINTAINER}  ${date}\n`;
}

function isBuilt(arch: string): boolean {
  try {
    return Deno.statSync(new URL(`dist/linux-${arch}/kube-event-pipe`, root)).isFile;
  } catch {
    return false;
  }
}

function writePacked(name: string, text: string): void {
  Deno.writeFileSync(new URL(name, output), gzipSync(text, { level: 9 }));
}

/** Makes one package; returns the exit status of nfpm. */
async function pack(format: string, arch: string, time: Date): Promise<number> {
  const { code } = await new Deno.Command("nfpm", {
    args: [
      "package",
      "--config=deploy/package/nfpm.yaml",
      `--packager=${format}`,
      "--target=dist/package/",
    ],
    cwd: root,
    env: {
      GOARCH: arch,
      VERSION,
      MAINTAINER,
      SOURCE_DATE_EPOCH: `${time.getTime() / 1000}`,
    },
  }).spawn().status;
  return code;
}

/** Returns the exit status. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      arch: { type: "string", multiple: true, default: ARCHITECTURES.filter(isBuilt) },
      format: { type: "string", multiple: true, default: FORMATS },
    },
  });
  if (values.arch.length === 0) {
    console.error("Nothing to pack: `deno task build` makes the program first.");
    return 69;
  }
  const time = await sourceTime();
  await Deno.mkdir(output, { recursive: true });
  writePacked("kube-event-pipe.1.gz", manPage());
  writePacked("changelog.gz", await Deno.readTextFile(new URL("CHANGELOG.md", root)));
  writePacked("changelog.Debian.gz", debianChangelog(time));
  for (const arch of values.arch) {
    for (const format of values.format) {
      const code = await pack(format, arch, time);
      if (code !== 0) return code;
    }
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main());
