/**
 * sd_notify(3): datagrams to the socket that a service manager names in NOTIFY_SOCKET.
 *
 * Nothing depends on them. A socket that is gone, full or no socket costs one WARNING, and what is
 * sent later is tried all the same: a watchdog must not run out because of one datagram.
 */

import { messageOf } from "./errors.ts";
import type { Io } from "./io.ts";
import { log } from "./log.ts";
import { pathIn } from "./paths.ts";

/** What a service manager says in the environment of the process. */
export interface ManagerEnv {
  /** A path, or `@` and a name of Linux' abstract namespace. */
  socket: string;
  /** The process is ended where it says nothing for so long, ms; null = it is not. */
  watchdogMs: number | null;
}

/** Datagrams that wait while the manager does not read. More are dropped. */
const WAITING_MAX = 16;

/** The first Deno whose datagram sockets need no address of their own, as a number. */
const UNBOUND_SINCE = versionNumber("2.8.3");

/**
 * Reads what the manager says, and takes it out of the environment: a credential plugin must not
 * speak for us. null where no manager listens.
 *
 * @param pid our own: a watchdog that is another process's is none of ours
 */
export function takeManagerEnv(pid: number): ManagerEnv | null {
  const [socket, usec, watched] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].map((name) => {
    const value = Deno.env.get(name);
    Deno.env.delete(name);
    return value;
  });
  if (!socket) return null;
  const isOurs = watched === undefined || Number(watched) === pid;
  const watchdogMs = Number(usec) / 1000; // NaN where there is none.
  return { socket, watchdogMs: isOurs && watchdogMs > 0 ? watchdogMs : null };
}

/** Sends datagrams in order, one at a time. Its methods neither throw nor reject. */
export class Notifier {
  readonly #io: Io;
  readonly #target: string;
  readonly #ownPath: string;
  #socket: Deno.DatagramConn | null = null;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #hasWarned = false;

  /**
   * @param target {@linkcode ManagerEnv.socket}
   * @param folder where a Deno before 2.8.3 gives its socket a name, for an instant
   */
  constructor(io: Io, target: string, folder: string) {
    this.#io = io;
    this.#target = target;
    this.#ownPath = pathIn(folder, "notify.socket");
  }

  /** Sends assignments such as `READY=1`, one a line; resolves when they are gone, or given up. */
  send(text: string): Promise<void> {
    if (this.#waiting === WAITING_MAX) return Promise.resolve();
    this.#waiting++;
    return this.#last = this.#last.then(() => this.#sendNow(text)).finally(() => this.#waiting--);
  }

  /** Sends what is of no use later; false where it was not, as another datagram still waits. */
  offer(text: string): boolean {
    if (this.#waiting > 0) return false;
    void this.send(text);
    return true;
  }

  async #sendNow(text: string): Promise<void> {
    try {
      if (!/^[/@]./.test(this.#target)) throw new Error("neither a path nor an abstract name");
      this.#socket ??= this.#open();
      const path = this.#target.replace(/^@/, "\0");
      await this.#socket.send(new TextEncoder().encode(text), { transport: "unixpacket", path });
    } catch (error) {
      if (this.#hasWarned) return;
      this.#hasWarned = true;
      const old = this.#target.startsWith("@") && !knowsUnbound() ? " (it needs Deno 2.8.3)" : "";
      const what = text.split("\n", 1)[0];
      log.warning(
        `Cannot tell the service manager ${what} at NOTIFY_SOCKET ` +
          `${JSON.stringify(this.#target)}: ${messageOf(error)}${old}. This is said once.`,
      );
    }
  }

  #open(): Deno.DatagramConn {
    if (knowsUnbound()) return Deno.listenDatagram({ transport: "unixpacket" });
    const path = this.#ownPath;
    this.#removeName(); // What a kill -9 left.
    const socket = Deno.listenDatagram({ transport: "unixpacket", path });
    this.#removeName(); // Nobody answers.
    return socket;
  }

  #removeName(): void {
    if (this.#io.stat(this.#ownPath) !== null) this.#io.remove(this.#ownPath);
  }
}

function knowsUnbound(): boolean {
  return versionNumber(Deno.version.deno) >= UNBOUND_SINCE;
}

/** Numbers in the order of versions; NaN, which is below none and above none, for a "-rc.1". */
function versionNumber(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  return 1e6 * major + 1e3 * minor + patch;
}
