/**
 * sd_notify(3): datagrams to the socket that a service manager names in NOTIFY_SOCKET.
 *
 * By libc's own functions: Deno's datagram sockets know no abstract name before 2.8.3, send nothing
 * while this thread works, and spin while the manager does not read. The permission for it (ffi) is
 * given up with the others; what is loaded stays.
 *
 * Nothing depends on a datagram. One that cannot be sent costs one WARNING, and is tried again.
 */

import { messageOf } from "./errors.ts";
import { NOTICES_KEPT_MAX } from "./limits.ts";
import { log } from "./log.ts";

/** What a service manager says in the environment of the process. */
export interface ManagerEnv {
  /** A path, or `@` and a name of Linux' abstract namespace. */
  socket: string;
  /** The process is ended where it says nothing for so long, ms; null = it is not. */
  watchdogMs: number | null;
}

/** As 64-bit Linux has them. */
const LIBC = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
} as const;

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const CLOCK_MONOTONIC = 1;
/** Bytes of sockaddr_un's path. */
const SUN_PATH = 108;

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

/** Sends datagrams in order. Its methods neither throw nor wait. */
export class Notifier {
  readonly #libc: Deno.DynamicLibrary<typeof LIBC>["symbols"];
  readonly #fd: number;
  readonly #target: string;
  readonly #address: Uint8Array<ArrayBuffer>;
  #waiting: string[] = [];
  #hasWarned = false;

  private constructor(target: string) {
    this.#target = target;
    this.#address = addressOf(target);
    this.#libc = Deno.dlopen("libc.so.6", LIBC).symbols;
    this.#fd = this.#libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (this.#fd < 0) throw new Error("no socket is to be had");
  }

  /** @param target {@linkcode ManagerEnv.socket}; null is returned where it cannot be one */
  static open(target: string): Notifier | null {
    try {
      return new Notifier(target);
    } catch (error) {
      warn(target, messageOf(error));
      return null;
    }
  }

  /** Sends assignments such as `READY=1`, one a line, now or as soon as it can be done. */
  send(text: string): void {
    this.#waiting = [...this.#waiting, text].slice(-NOTICES_KEPT_MAX);
    this.retry();
  }

  /** Sends what is of no use later; false where it could not be sent. */
  offer(text: string): boolean {
    return this.retry() && this.#sendNow(text);
  }

  /** Sends what waits; false where something still does. */
  retry(): boolean {
    while (this.#waiting.length > 0 && this.#sendNow(this.#waiting[0]!)) this.#waiting.shift();
    return this.#waiting.length === 0;
  }

  /** CLOCK_MONOTONIC, which a manager measures with, µs. */
  monotonicUsec(): number {
    const time = new BigInt64Array(2); // A struct timespec.
    this.#libc.clock_gettime(CLOCK_MONOTONIC, time);
    return 1e6 * Number(time[0]) + Math.floor(Number(time[1]) / 1e3);
  }

  #sendNow(text: string): boolean {
    const bytes = new TextEncoder().encode(text);
    const [size, address] = [BigInt(bytes.length), this.#address];
    const sent = this.#libc.sendto(this.#fd, bytes, size, MSG_DONTWAIT, address, address.length);
    if (sent >= 0) return true;
    if (!this.#hasWarned) warn(this.#target, "nobody listens there, or does not read");
    this.#hasWarned = true;
    return false;
  }
}

/** A sockaddr_un. @throws Error where there is none for it */
function addressOf(target: string): Uint8Array<ArrayBuffer> {
  const path = new TextEncoder().encode(
    target.startsWith("@") ? `\0${target.slice(1)}` : `${target}\0`,
  );
  if (!/^[/@]./.test(target)) throw new Error("neither a path nor an abstract name");
  if (path.length > SUN_PATH) throw new Error("too long for a socket's name");
  const address = new Uint8Array(2 + path.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(path, 2);
  return address;
}

function warn(target: string, why: string): void {
  log.warning(
    `Cannot tell the service manager how we are at NOTIFY_SOCKET ${JSON.stringify(target)}: ` +
      `${why}. This is said once.`,
  );
}
