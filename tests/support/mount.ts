/** Small file systems in memory, and read-only places: for tests that run as root. */

/** What to do where nothing can be mounted. */
export const MOUNT_HOW = "run the tests as root where file systems can be mounted (in a " +
  "container: with CAP_SYS_ADMIN)";

/** Runs a command; returns what it said. @throws Error with its complaint where it fails */
export function command(program: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(program, { args }).outputSync();
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout).trim();
  throw new Error(`${program} ${args.join(" ")}: ${decoder.decode(stderr)}`);
}

/** Something mounted. */
export class Mount {
  #isMounted = true;

  private constructor(readonly path: string) {}

  /** An empty file system in memory. */
  static tmpfs(path: string, kilobytes: number): Mount {
    Deno.mkdirSync(path, { recursive: true });
    command("mount", "-t", "tmpfs", "-o", `size=${kilobytes}k`, "tmpfs", path);
    return new Mount(path);
  }

  /** Lays a folder over itself, read-only: what is open stays as it is, no name can be made. */
  static readOnlyOver(path: string): Mount {
    command("mount", "--bind", "-o", "ro", path, path);
    return new Mount(path);
  }

  /** Takes it away, once. What is open in it must be closed. */
  end(): void {
    if (this.#isMounted) command("umount", this.path);
    this.#isMounted = false;
  }

  /** See {@linkcode Mount.end}. */
  [Symbol.dispose](): void {
    this.end();
  }
}

/** What can be mounted here; null where not even a small tmpfs can. */
export function mounts(): typeof Mount | null {
  const folder = Deno.makeTempDirSync({ prefix: "kube-event-pipe-test-" });
  try {
    Mount.tmpfs(folder, 4).end();
    return Mount;
  } catch {
    return null;
  } finally {
    Deno.removeSync(folder);
  }
}

/** Takes all the room that a file system has left; removing the file gives it back. */
export function fill(folder: string): string {
  const path = `${folder}/ballast`;
  using file = Deno.openSync(path, { create: true, append: true });
  // What is left is less than the last write that was refused.
  for (let bytes = 65_536; bytes >= 1; bytes = bytes >>> 4) {
    try {
      for (;;) file.writeSync(new Uint8Array(bytes));
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOSPC") throw error;
    }
  }
  return path;
}
