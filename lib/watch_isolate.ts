/**
 * The watch isolate's entry: a worker that may reach one host and nothing else. It parses what
 * comes from the network, so it can open no file; main holds the files, and cannot dial out.
 *
 * Whatever is thrown in here is an assumption of ours that does not hold: nothing catches it, the
 * worker dies, main exits, and its supervisor starts it again.
 */

import { invariant } from "./errors.ts";
import type { FromWatch, ToWatch } from "./protocol.ts";
import { WatchSession } from "./watch_session.ts";

/** The part of a worker's global scope that is used; the types of a page know only `window`. */
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<ToWatch>) => void) | null;
  postMessage(message: FromWatch, transfer: Transferable[]): void;
};

let session: WatchSession | null = null;

scope.onmessage = ({ data }) => {
  if (data.type !== "start") {
    invariant(session !== null, "the first message of main is start");
    return session.receive(data);
  }
  invariant(session === null, "main starts the watch once");
  session = new WatchSession(data, {
    post: (message, transfer) => scope.postMessage(message, transfer),
  });
  // Its rejection is left unhandled on purpose: that is what ends the worker.
  void session.done();
};
