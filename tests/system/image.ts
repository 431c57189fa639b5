/**
 * The image of Dockerfile.distroless, run without Docker: its entry point as PID 1 of a PID
 * namespace, as its user, in a read-only root with nothing but Debian's libc6 and libgcc-s1, /proc
 * and what is mounted.
 */

import { BINARY_HOW, compiledBinary } from "../support/binary.ts";
import { until } from "../support/temp.ts";
import { tryRun, unpackedPackages } from "./debian.ts";

/** What an image is made of. */
export interface ImageParts {
  /** The compiled program. */
  binary: string;
  /** A folder with the packages unpacked. */
  debian: string;
}

/** What the Dockerfile says of containers. */
export interface ImageConfig {
  uid: number;
  gid: number;
  env: Record<string, string>;
  entryPoint: string;
  volume: string;
}

/** How to run a container. */
export interface ContainerOptions {
  args?: string[];
  /** Added to that of the image. */
  env?: Record<string, string>;
  /** Folders of this machine by their path inside; no blanks in either. */
  mounts: Record<string, string>;
}

const PACKAGES = ["libc6", "libgcc-s1"];
const DOCKERFILE = new URL("../../Dockerfile.distroless", import.meta.url);

/** A mount namespace of its own: the mounts go with the process. The shell becomes the program. */
const IN_THE_ROOT = `set -e
mount --bind "$ROOT" "$ROOT"
mount -o remount,bind,ro "$ROOT"
for mount in $MOUNTS; do mount --bind "\${mount%%:*}" "$ROOT\${mount#*:}"; done
mount -t proc proc "$ROOT/proc"
if touch "$ROOT/written" 2>/dev/null; then echo "The root is not read-only" >&2; exit 99; fi
chroot=$(command -v chroot)
exec env -i $VARIABLES "$chroot" --userspec="$USERSPEC" "$ROOT" "$@"
`;

/** What an image can be made of here, or what is missing for it; the packages are loaded once. */
export function imageParts(): ImageParts | { how: string } {
  const binary = compiledBinary();
  if (binary === null) return { how: BINARY_HOW };
  const isAllowed = Deno.build.os === "linux" && Deno.uid() === 0 &&
    tryRun("unshare", "--mount", "--pid", "--fork", "true") !== null;
  if (!isAllowed) return { how: "run the tests as root on Linux, where mounting is allowed" };
  const debian = debianRoot();
  if (debian === null) return { how: "run the tests on Debian with `apt-get download` working" };
  return { binary, debian };
}

/** The folder with the packages unpacked, downloaded once; null where that cannot be done. */
function debianRoot(): string | null {
  const root = unpackedPackages("distroless", "alone", ...PACKAGES);
  if (root === null) return null;
  // From Debian 13 on these are links of another package, base-files.
  for (const name of ["lib", "lib64"]) {
    if (tryRun("test", "-e", `${root}/${name}`) === null) {
      Deno.symlinkSync(`usr/${name}`, `${root}/${name}`);
    }
  }
  Deno.mkdirSync(`${root}/proc`, { recursive: true });
  return root;
}

/** Reads the last stage of the Dockerfile. @throws Error where an instruction is missing */
export function imageConfig(): ImageConfig {
  const text = Deno.readTextFileSync(DOCKERFILE);
  const all = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, ...groups]) => groups);
  const one = (pattern: RegExp) => {
    const groups = all(pattern).at(-1);
    if (groups === undefined) throw new Error(`Dockerfile.distroless has no ${pattern}`);
    return groups;
  };
  const [uid, gid] = one(/^USER (\d+):(\d+)$/gm).map(Number);
  const [entryPoint = ""] = one(/^ENTRYPOINT \["([^"]+)"\]$/gm);
  const [volume = ""] = one(/^VOLUME (\S+)$/gm);
  const env = Object.fromEntries(all(/^ENV (\w+)=(\S+)$/gm));
  return { uid: uid!, gid: gid!, env, entryPoint, volume };
}

/** A running container. End it. */
export class Container {
  readonly #unshare: Deno.ChildProcess;
  readonly #ended: Promise<Deno.CommandStatus>;
  #log = "";
  #stdout = "";
  #isOver = false;

  private constructor(unshare: Deno.ChildProcess) {
    this.#unshare = unshare;
    const pumps = [
      pump(unshare.stderr, (text) => this.#log += text),
      pump(unshare.stdout, (text) => this.#stdout += text),
    ];
    this.#ended = Promise.all([unshare.status, ...pumps]).then(([status]) => status)
      .finally(() => this.#isOver = true);
  }

  /** Makes a root below `folder` and starts the container in it. */
  static start(folder: string, parts: ImageParts, options: ContainerOptions): Container {
    const { uid, gid, env, entryPoint } = imageConfig();
    const root = `${folder}/root`;
    if (tryRun("cp", "-a", parts.debian, root) === null) throw new Error(`Cannot make ${root}`);
    Deno.mkdirSync(`${root}/usr/bin`, { recursive: true });
    Deno.copyFileSync(parts.binary, root + entryPoint);
    for (const path of Object.keys(options.mounts)) {
      Deno.mkdirSync(root + path, { recursive: true });
    }
    const mounts = Object.entries(options.mounts).map(([inside, here]) => `${here}:${inside}`);
    const variables = Object.entries({ ...env, ...options.env });
    const namespaces = ["--mount", "--propagation=private", "--pid", "--fork"];
    const unshare = new Deno.Command("unshare", {
      args: [...namespaces, "sh", "-c", IN_THE_ROOT, "sh", entryPoint, ...options.args ?? []],
      env: {
        ROOT: root,
        MOUNTS: mounts.join(" "),
        VARIABLES: variables.map(([name, value]) => `${name}=${value}`).join(" "),
        USERSPEC: `${uid}:${gid}`,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return new Container(unshare);
  }

  /** Its log so far. */
  get log(): string {
    return this.#log;
  }

  /** What it wrote to stdout so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** Waits until `holds`; fails with the log where it ends, or after 30 s. */
  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    try {
      await until(what, () => {
        if (this.#isOver) throw new Error(`The container ended before: ${what}`);
        return holds();
      }, 30_000);
    } catch (error) {
      throw new Error(`${(error as Error).message}\nIts log:\n${this.#log}`);
    }
  }

  /** Sends a signal to its PID 1 from outside, as a container runtime does. */
  signal(signal: Deno.Signal): void {
    const { pid } = this.#unshare;
    const [child] = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).split(" ");
    if (child) Deno.kill(Number(child), signal);
  }

  /** Waits for its end, with SIGKILL when time is up; resolves to its exit status. */
  async end(timeoutMs: number): Promise<number> {
    const timer = setTimeout(() => this.#isOver || this.signal("SIGKILL"), timeoutMs);
    const { code } = await this.#ended;
    clearTimeout(timer);
    return code;
  }

  /** Kills it where it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end(0);
  }
}

async function pump(stream: ReadableStream<Uint8Array>, take: (text: string) => void) {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) take(text);
}
