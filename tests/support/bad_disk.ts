/**
 * A disk that can be made to fail: a block device in memory (zram) with a file system on it. Only
 * for root.
 */

import { command } from "./mount.ts";

const CONTROL = "/sys/class/zram-control";
const DISK_MB = 128;
/** Attempts to take a device away, and the pause between two, ms. */
const RESET_TRIES = 50;
const RESET_PAUSE_MS = 100;

/** A disk, mounted at `path`. */
export class BadDisk {
  readonly #number: string;

  /** @param make what makes the file system, such as `mkfs.ext4`, and its flags */
  constructor(readonly path: string, make: string[]) {
    this.#number = Deno.readTextFileSync(`${CONTROL}/hot_add`).trim();
    this.#set("disksize", `${DISK_MB}M`);
    const [program = "", ...flags] = make;
    command(program, "-q", ...flags, `/dev/${this.name}`);
    Deno.mkdirSync(path, { recursive: true });
    command("mount", `/dev/${this.name}`, path);
  }

  /** The kernel's name of the device, such as `zram1`. */
  get name(): string {
    return `zram${this.#number}`;
  }

  /** From here on each write to the device is an I/O error. What it holds stays. */
  refuseWrites(): void {
    this.#set("mem_limit", "4K");
  }

  /** Writes succeed again. */
  takeWrites(): void {
    this.#set("mem_limit", "0");
  }

  /** Mounts it anew: from here on, what can be read is what is on the disk. */
  mountAnew(): void {
    command("umount", this.path);
    command("mount", `/dev/${this.name}`, this.path);
  }

  /** Takes it away. What is open in it must be closed. */
  [Symbol.dispose](): void {
    this.takeWrites();
    command("umount", this.path);
    // Whoever looks at new devices (udev, another test's mount) may have it open for a moment.
    for (let tries = 1;; tries++) {
      try {
        this.#set("reset", "1");
        break;
      } catch (error) {
        if (tries === RESET_TRIES) throw error;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RESET_PAUSE_MS);
      }
    }
    Deno.writeTextFileSync(`${CONTROL}/hot_remove`, this.#number);
  }

  #set(name: string, value: string): void {
    Deno.writeTextFileSync(`/sys/block/${this.name}/${name}`, value);
  }
}

/** Bad disks with such a file system; null where there cannot be any. */
export function badDisks(make: string[]): typeof BadDisk | null {
  const folder = Deno.makeTempDirSync({ prefix: "kube-event-pipe-test-" });
  try {
    new BadDisk(folder, make)[Symbol.dispose]();
    return BadDisk;
  } catch {
    return null;
  } finally {
    Deno.removeSync(folder);
  }
}
