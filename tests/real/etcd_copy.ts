/** A copy of an etcd's data, and how a cluster is put back to it: as after a restored backup. */

import type { ApiServer } from "./api_server.ts";

/** See the head of this file. */
export class EtcdCopy {
  readonly #server: ApiServer;
  readonly #data: string;
  readonly #copy: string;

  private constructor(server: ApiServer) {
    this.#server = server;
    this.#data = `${server.dir}/etcd`;
    this.#copy = `${server.dir}/etcd-copy`;
  }

  /** Holds etcd for the time of the copy: what is on its disk then, it can be started on. */
  static async take(server: ApiServer): Promise<EtcdCopy> {
    const copy = new EtcdCopy(server);
    Deno.kill(server.pids.etcd, "SIGSTOP");
    await copyFolder(copy.#data, copy.#copy);
    Deno.kill(server.pids.etcd, "SIGCONT");
    return copy;
  }

  /** Starts both parts again on their ports, with the data of the copy. */
  async restore(): Promise<void> {
    await this.#server.stopApiServer("SIGKILL");
    await this.#server.stopEtcd("SIGKILL");
    await Deno.remove(this.#data, { recursive: true });
    await copyFolder(this.#copy, this.#data);
    await this.#server.startEtcd();
    await this.#server.startApiServer();
  }
}

async function copyFolder(from: string, to: string): Promise<void> {
  const { success } = await new Deno.Command("cp", { args: ["-a", from, to] }).output();
  if (!success) throw new Error(`cannot copy ${from} to ${to}`);
}
