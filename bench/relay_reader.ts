/** The isolate of bench/relay.ts that reads; each piece that comes moves on as it is. */

import { readStream } from "./stream.ts";

/** The part of a worker's global scope that is used; the types of a page know only `window`. */
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<{ url: string; ca: string }>) => void) | null;
  postMessage(message: Uint8Array, transfer: Transferable[]): void;
};

scope.onmessage = ({ data: { url, ca } }) =>
  void readStream(url, ca, (piece) => scope.postMessage(piece, [piece.buffer]));
