/**
 * Main's end of the watch isolate: starts the worker with the one permission that it needs, posts
 * credentials, and hands on what it reports, in order.
 */

import { BatchReader } from "./batch.ts";
import { BatchPool } from "./batch_pool.ts";
import type { BatchPlace, Credentials, FromWatch, ToWatch } from "./protocol.ts";

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
  readonly #pool = BatchPool.make();

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
  start(options: Omit<Extract<ToWatch, { type: "start" }>, "type" | "pool">): void {
    this.#post({ type: "start", ...options, pool: this.#pool.memory });
  }

  /** Tells the worker what to be let in with from now on. */
  updateCredentials(credentials: Credentials): void {
    this.#post({ type: "credentials", credentials });
  }

  /** The events of a batch, valid until {@linkcode free}. */
  read(place: BatchPlace): BatchReader {
    return new BatchReader(this.#pool, place);
  }

  /** A batch is dealt with: its buffer goes back. */
  free({ buffer, long }: BatchPlace): void {
    // Here is little garbage, and so nobody who would collect it before many have come together.
    long?.transfer(0);
    if (this.#pool.free(buffer)) this.#post({ type: "freed" });
  }

  /** Asks for one complete LIST. */
  askForList(request: number): void {
    this.#post({ type: "list", request });
  }

  /** Ends the watch; nothing more comes. */
  stop(): void {
    this.#worker.terminate();
  }

  #post(message: ToWatch): void {
    this.#worker.postMessage(message);
  }
}
