/** A small file system for the program's files, which can be full or read-only for a while. */

import { statfsSync } from "node:fs";
import { command, Mount } from "../support/mount.ts";

const PAGE_KILOBYTES = 4;
/** Attempts at what the program may get in the way of. */
const TRIES = 20;

/** A folder that faults can be done to. */
export class Volume {
  readonly path: string;
  readonly #mount: Mount;
  readonly #kilobytes: number;

  /** Mounts a tmpfs; see mounts() in tests/support/mount.ts for whether that can be done. */
  constructor(path: string, kilobytes: number) {
    this.path = path;
    this.#kilobytes = kilobytes;
    this.#mount = Mount.tmpfs(path, kilobytes);
  }

  /** Leaves no room, but for so many further pages. */
  fill(pages: number): void {
    for (let tries = 1;; tries++) {
      const { blocks, bfree, bsize } = statfsSync(this.path);
      const used = Math.ceil((blocks - bfree) * bsize / 1024);
      try {
        return this.#resize(used + pages * PAGE_KILOBYTES);
      } catch (error) {
        // The program wrote between the two calls: a size below what is used is refused.
        if (tries === TRIES) throw error;
      }
    }
  }

  /** Gives the room back. */
  free(): void {
    this.#resize(this.#kilobytes);
  }

  /** No name can be made and nothing opened to be written; what is open stays as it is. */
  makeReadOnly(): void {
    for (let tries = 1;; tries++) {
      command("mount", "--bind", this.path, this.path);
      try {
        return void command("mount", "-o", "remount,bind,ro", this.path);
      } catch (error) {
        // The program opened a file to be written through it, between the two calls.
        this.makeWritable();
        if (tries === TRIES) throw error;
      }
    }
  }

  /** Ends that. Lazily: the program may have opened files to be read through it. */
  makeWritable(): void {
    command("umount", "-l", this.path);
  }

  /** Takes it away; nobody may use it any more. */
  end(): void {
    this.#mount.end();
  }

  #resize(kilobytes: number): void {
    command("mount", "-o", `remount,size=${kilobytes}k`, this.path);
  }
}
