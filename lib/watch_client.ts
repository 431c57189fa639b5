/**
 * Main's end of the watch isolate: starts the worker with the one permission that it needs, posts
 * credentials and buffers, and hands on what it reports, in order.
 */

import { invariant } from "./errors.ts";
import { BATCH_BYTES, POOL_BUFFERS } from "./limits.ts";
import type { Credentials, FromWatch, ToWatch } from "./protocol.ts";

/** Called for each message; batches and `listed` one after another, in the order they were sent. */
export interface WatchHandlers {
  onMessage: (message: FromWatch) => void;
  /** The worker died: an assumption of ours does not hold. */
  onDeath: (reason: string) => void;
}

/**
 * All that the watch isolate may do: reach `netHosts` ("host:port"). No files, no environment, no
 * other process, no other host. tests/program/permissions_test.ts tries each.
 */
export function watchPermissions(netHosts: string[]): Deno.PermissionOptionsObject {
  return {
    net: netHosts,
    read: false,
    write: false,
    env: false,
    run: false,
    sys: false,
    ffi: false,
    import: false,
  };
}

/** The worker that talks to the API server. */
export class WatchClient {
  readonly #worker: Worker;

  /** Starts the worker with {@linkcode watchPermissions}. */
  constructor(netHosts: string[], handlers: WatchHandlers) {
    this.#worker = new Worker(new URL("./watch_isolate.ts", import.meta.url), {
      type: "module",
      name: "watch",
      deno: { permissions: watchPermissions(netHosts) },
    });
    this.#worker.onmessage = (event: MessageEvent<FromWatch>) => handlers.onMessage(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      handlers.onDeath(event.message);
    };
    this.#worker.onmessageerror = () => handlers.onDeath("a message could not be read");
  }

  /** Begins to list and watch. */
  start(options: Omit<Extract<ToWatch, { type: "start" }>, "type" | "buffers">): void {
    const buffers = Array.from({ length: POOL_BUFFERS }, () => new ArrayBuffer(BATCH_BYTES));
    this.#post({ type: "start", ...options, buffers }, buffers);
  }

  /** Tells the worker what to be let in with from now on. */
  updateCredentials(credentials: Credentials): void {
    this.#post({ type: "credentials", credentials });
  }

  /** Gives a buffer back to the pool. */
  returnBuffer(buffer: ArrayBuffer): void {
    invariant(buffer.byteLength > 0, "a buffer is returned once");
    this.#post({ type: "buffer", buffer }, [buffer]);
  }

  /** Asks for one complete LIST. */
  askForList(request: number): void {
    this.#post({ type: "list", request });
  }

  /** Ends the watch; nothing more comes. */
  stop(): void {
    this.#worker.terminate();
  }

  #post(message: ToWatch, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }
}
