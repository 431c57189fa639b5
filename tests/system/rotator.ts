/** The real logrotate with deploy/logrotate/kube-event-pipe. */

import { assertEquals } from "@std/assert";
import { findTool } from "./tools.ts";

/** What to do for tests that need it, as the end of "To run it, ...". */
export const LOGROTATE_HOW = "install logrotate";

const CONFIG = new URL("../../deploy/logrotate/kube-event-pipe", import.meta.url);

/** Where logrotate is; null where it is not installed. */
export function findLogrotate(): string | null {
  return findTool("logrotate");
}

/** Rotates the files of one folder at each call. */
export class Rotator {
  readonly #logrotate: string;
  readonly #config: string;
  readonly #state: string;

  /**
   * @param logs folder of the lines; root's or its owner's alone to write to
   * @param scratch folder of the configuration and of logrotate's own state
   * @param pid whom SIGHUP is for
   * @param prerotate a command that must succeed, or nothing is rotated
   */
  constructor(
    logrotate: string,
    logs: string,
    scratch: string,
    { pid, prerotate }: { pid: number; prerotate?: string },
  ) {
    this.#logrotate = logrotate;
    this.#config = `${scratch}/logrotate.conf`;
    this.#state = `${scratch}/logrotate.state`;
    const guard = `    prerotate\n        ${prerotate}\n    endscript\n`;
    const text = configFor(logs, pid)
      .replace(/^ *postrotate/m, (line) => `${prerotate === undefined ? "" : guard}${line}`);
    Deno.writeTextFileSync(this.#config, text, { mode: 0o644 });
  }

  /** Rotates now, whatever the files' age and size. */
  async rotate(): Promise<{ success: boolean; error: string }> {
    const { success, stderr } = await new Deno.Command(this.#logrotate, {
      args: ["--force", `--state=${this.#state}`, this.#config],
    }).output();
    return { success, error: new TextDecoder().decode(stderr) };
  }
}

/**
 * The configuration as it is shipped, but for what is not on this machine: its folder, its user,
 * and the systemd that passes SIGHUP on.
 */
function configFor(folder: string, pid: number): string {
  const shipped = Deno.readTextFileSync(CONFIG);
  const text = shipped
    .replaceAll("/var/log/kube-event-pipe", folder)
    .replace(/^ *su .*\n/m, "")
    .replace(/^( *)systemctl .*$/m, `$1kill -HUP ${pid}`);
  assertEquals(text.split("\n").length, shipped.split("\n").length - 1);
  return text;
}
