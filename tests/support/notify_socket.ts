/** The service manager's end of NOTIFY_SOCKET: a datagram socket that keeps what comes. */

import { until } from "./temp.ts";

/** See the head of this file. */
export class NotifySocket {
  /** What came so far, in order; a datagram may hold several lines. */
  readonly datagrams: string[] = [];
  readonly #socket: Deno.DatagramConn;
  #reading: Promise<void> | null = null;

  /**
   * @param name a path, or `@` and an abstract name: the value of NOTIFY_SOCKET
   * @param options.isReading false = it listens, and reads from {@linkcode read} on
   */
  constructor(readonly name: string, { isReading = true } = {}) {
    const path = name.replace(/^@/, "\0");
    this.#socket = Deno.listenDatagram({ transport: "unixpacket", path });
    if (isReading) this.read();
  }

  /** Takes what comes, and what waits. */
  read(): void {
    this.#reading ??= this.#read();
  }

  /** Those that hold such a line, or one that begins so where it ends with "=". */
  with(line: string): string[] {
    return this.datagrams.filter((datagram) =>
      datagram.split("\n").some((one) => line.endsWith("=") ? one.startsWith(line) : one === line)
    );
  }

  /** Waits until so many of them came; returns the last one. */
  async got(line: string, count = 1): Promise<string> {
    await until(`${count} time(s) ${line}`, () => this.with(line).length >= count);
    return this.with(line).at(-1)!;
  }

  /** Ends it; a path keeps its name, as that of a manager that died does. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    for await (const [bytes] of this.#socket) {
      this.datagrams.push(new TextDecoder().decode(bytes));
    }
  }
}

/** The first words of each line, `READY RELOADING …`, without those of STATUS and WATCHDOG. */
export function stepsOf(datagrams: string[]): string[] {
  return datagrams.flatMap((text) => text.split("\n")).map((line) => line.replace(/=.*/s, ""))
    .filter((name) => !["STATUS", "WATCHDOG", "MONOTONIC_USEC"].includes(name));
}
