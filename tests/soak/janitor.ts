/**
 * Ends the program and takes the file systems away where the soak itself dies without doing so: by
 * an uncaught error, a panic of Deno or a kill -9. It is a process of its own, which waits for the
 * end of what we write to it.
 */

/** Only a process that still names the folder is killed: its id may be somebody else's by then. */
const SCRIPT = `
  pid= ; while read -r word; do pid=$word; done
  [ "$pid" = dismissed ] && exit
  grep -qsF "$1" "/proc/$pid/cmdline" && kill -9 "$pid"
  folder=$1; shift
  for name; do while umount -l "$folder/$name" 2>/dev/null; do :; done; done
`;

/** See the head of this file. */
export class Janitor {
  readonly #process: Deno.ChildProcess;
  readonly #words: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;

  /** @param mounted names in the folder that something may be mounted at */
  constructor(folder: string, mounted: string[]) {
    this.#process = new Deno.Command("setsid", {
      // Deno kills its children when it ends by itself, so this is to be a grandchild.
      args: ["--fork", "sh", "-c", SCRIPT, "janitor", folder, ...mounted],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#words = this.#process.stdin.getWriter();
  }

  /** The process that is to end with us, instead of the one before; its arguments name the folder. */
  async mind(pid: number): Promise<void> {
    await this.#say(`${pid}`);
  }

  /** All is put away. */
  async dismiss(): Promise<void> {
    await this.#say("dismissed");
    await this.#words.close();
    await this.#process.status;
  }

  async #say(word: string): Promise<void> {
    await this.#words.write(new TextEncoder().encode(`${word}\n`));
  }
}
