/** What stands in front of a server: it plays with connections, or lets them through. */

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** What is done with a connection. */
export type Play = (connection: Socket) => void;

/** See the head of this file. */
export class Front implements Disposable {
  /** Connections that were played with. */
  played = 0;
  #play: Play | null = null;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(port: number) {
    this.#server = createServer((client: Socket) => {
      this.#keep(client);
      if (this.#play !== null) {
        this.played++;
        return this.#play(client);
      }
      const upstream = connect(port, "127.0.0.1");
      this.#keep(upstream);
      client.pipe(upstream).pipe(client);
      client.on("close", () => upstream.destroy());
      upstream.on("close", () => client.destroy());
    });
  }

  /** Starts one in front of a port on loopback. */
  static async start(port: number): Promise<Front> {
    const front = new Front(port);
    await new Promise<void>((resolve) => front.#server.listen(0, "127.0.0.1", resolve));
    return front;
  }

  /** Where it listens, on loopback. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Plays with all connections from now on; those that are open end. */
  disturb(play: Play): void {
    this.#play = play;
    this.#closeAll();
  }

  /** Lets all connections through again; those that are open end. */
  calm(): void {
    this.#play = null;
    this.#closeAll();
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.#closeAll();
  }

  #keep(socket: Socket): void {
    this.#open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#open.delete(socket));
  }

  #closeAll(): void {
    for (const socket of this.#open) socket.destroy();
  }
}
