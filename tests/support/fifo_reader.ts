/** A FIFO with a reader that comes, reads, leaves and comes back as a test says. */

import { closeReader, makeFifo, openReader, readAvailable } from "./fifo.ts";

/** See the head of this file. */
export class FifoReader {
  #text = "";
  #decoder = new TextDecoder();
  #fd: number | null = null;

  /** Makes the FIFO. */
  constructor(readonly path: string) {
    makeFifo(path);
  }

  /** Opens it for reading. From here to {@linkcode leave} the kernel keeps what is in it. */
  come(): void {
    this.#fd ??= openReader(this.path);
  }

  /** Takes what is in it now; returns all that ever was, as one text. */
  read(): string[] {
    if (this.#fd !== null) {
      this.#text += this.#decoder.decode(readAvailable(this.#fd), { stream: true });
    }
    return [this.#text];
  }

  /** Closes it. */
  leave(): void {
    if (this.#fd !== null) closeReader(this.#fd);
    this.#fd = null;
  }

  /** See {@linkcode FifoReader.leave}. */
  [Symbol.dispose](): void {
    this.leave();
  }
}
