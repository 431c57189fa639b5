/**
 * What Dockerfile.distroless promises, without Docker: the compiled program runs as uid 65532 in a
 * read-only root with nothing but Debian's libc6 and libgcc-s1, /proc and a writable /data.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { kubeconfigText } from "../fake/kubeconfig.ts";
import { startFakeApiServer } from "../fake/server.ts";
import { sharedApiServer } from "../real/api_server.ts";
import { EventWriter, type WriterTarget } from "../real/event_writer.ts";
import { BINARY_HOW, compiledBinary } from "../support/binary.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";

const PACKAGES = ["libc6", "libgcc-s1"];
const NONROOT = 65532;

/** A mount namespace of its own: the mounts go with the process. */
const IN_THE_ROOT = `set -e
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount --bind "$DATA" "$ROOT/data"
mount -t proc proc "$ROOT/proc"
if touch "$ROOT/written" 2>/dev/null; then echo "The root is not read-only" >&2; exit 99; fi
chroot=$(command -v chroot)
exec env -i KUBE_EVENT_PIPE_PERSISTENCE_PATH=/data "$chroot" --userspec=${NONROOT}:${NONROOT} \
  "$ROOT" /usr/bin/kube-event-pipe "$@"
`;

/** Runs a command; null where it is not there or fails. */
function tryRun(cmd: string, ...args: string[]): string | null {
  try {
    const { success, stdout } = new Deno.Command(cmd, { args, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout) : null;
  } catch {
    return null;
  }
}

/** The folder with the packages unpacked, downloaded once; or what is missing for it. */
function debianRoot(): { root: string } | { how: string } {
  if (
    Deno.build.os !== "linux" || Deno.uid() !== 0 || tryRun("unshare", "--mount", "true") === null
  ) {
    return { how: "run the tests as root on Linux, where mounting is allowed" };
  }
  const cache = new URL("../../.cache/distroless/", import.meta.url).pathname;
  const root = `${cache}root`;
  if (tryRun("test", "-e", `${root}/data`) !== null) return { root };
  const debs = `${cache}debs`;
  Deno.mkdirSync(debs, { recursive: true });
  const download =
    `cd "$0" && apt-get download "$@" && for deb in *.deb; do dpkg -x "$deb" ../root; done`;
  if (tryRun("sh", "-c", download, debs, ...PACKAGES) === null) {
    return { how: "run the tests on Debian with `apt-get download` working" };
  }
  // From Debian 13 on these are links of another package, base-files.
  for (const name of ["lib", "lib64"]) {
    if (tryRun("test", "-e", `${root}/${name}`) === null) {
      Deno.symlinkSync(`usr/${name}`, `${root}/${name}`);
    }
  }
  for (const name of ["proc", "etc/kube-event-pipe", "usr/bin", "data"]) {
    Deno.mkdirSync(`${root}/${name}`, { recursive: true });
  }
  return { root };
}

/** The real API server where there is one, else the fake one without TLS. */
async function startServer(): Promise<WriterTarget & { stop: () => Promise<void> }> {
  const shared = sharedApiServer();
  if (shared !== null) return { ...shared, stop: () => Promise.resolve() };
  const fake = await startFakeApiServer();
  return { url: fake.url, stop: () => fake.close() };
}

/** Runs the program in the root until `isDone`, then stops it. */
async function runInRoot(
  folders: { ROOT: string; DATA: string },
  flags: string[],
  isDone: () => boolean,
): Promise<{ code: number; log: string }> {
  const program = new Deno.Command("unshare", {
    args: ["--mount", "--propagation=private", "sh", "-c", IN_THE_ROOT, "sh", ...flags],
    env: folders,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let isOver = false;
  const ended = program.output().finally(() => isOver = true);
  // In time or not: what it said tells more than that it was late.
  await until("the event's line is there", () => isOver || isDone(), 30_000).catch(() => {});
  if (!isOver) program.kill("SIGTERM");
  const { code, stderr } = await ended;
  return { code, log: new TextDecoder().decode(stderr) };
}

const binary = compiledBinary();
const found = binary === null ? { how: BINARY_HOW } : debianRoot();

Deno.test(needing(
  binary !== null && "root" in found ? { binary, debian: found.root } : null,
  "how" in found ? found.how : "",
  "the image's conditions suffice: uid 65532, a read-only root, libc6 and libgcc-s1 alone",
  async ({ binary, debian }) => {
    await withTempFolder(async (folder) => {
      const [root, data] = [`${folder}/root`, `${folder}/data`];
      tryRun("cp", "-a", debian, root);
      await Deno.copyFile(binary, `${root}/usr/bin/kube-event-pipe`);
      await Deno.mkdir(data);
      await Deno.chown(data, NONROOT, NONROOT);
      const server = await startServer();
      using writer = new EventWriter(server);
      const config = "/etc/kube-event-pipe/kubeconfig";
      const { url, ca, adminToken: token } = server;
      const text = kubeconfigText({ server: url, ...(ca && { ca }), ...(token && { token }) });
      await Deno.writeTextFile(root + config, text);
      await Deno.chown(root + config, NONROOT, NONROOT);
      await writer.createNamespace("chroot-test");
      const { metadata: { uid } } = await writer.createEvent("chroot-test");

      const output = `${data}/events.jsonl`;
      const flags = [`--kubeconfig=${config}`, "--destination=/data/events.jsonl"];
      const hasLine = () => tryRun("grep", uid, output) !== null;
      const { code, log } = await runInRoot({ ROOT: root, DATA: data }, flags, hasLine);
      await server.stop();

      assertEquals(code, 0, log);
      assertEquals(tryRun("grep", "-c", uid, output)?.trim(), "1", log);
      const { uid: owner, mode } = await Deno.stat(output);
      assertEquals([owner, (mode ?? 0) & 0o777], [NONROOT, 0o640]);
      const names = Array.from(Deno.readDirSync(data), ({ name }) => name);
      assertMatch(names.join(" "), /\.bloom\b/, "the state is in /data too");
    });
  },
));
