/** The API server of a soak: TLS, a token, everything recorded. */

import { startFakeApiServer } from "../fake/server.ts";
import { Pki } from "../support/pki.ts";
import { ServerRecord } from "./record.ts";

/** A token as long as a real one would not show in the log by chance. */
export const TOKEN = "soak-token-0123456789";
/** Pages of a LIST are this small, so that there are many. */
const PAGE_EVENTS = 150;

/** See the head of this file. */
export class Cluster {
  /** The server and all that it did. */
  readonly record: ServerRecord;
  readonly #pki: Pki;
  #downs = 0;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(record: ServerRecord, pki: Pki) {
    this.record = record;
    this.#pki = pki;
  }

  /** Starts it; the kubeconfig goes to `path`. */
  static async start(path: string): Promise<Cluster> {
    const pki = new Pki();
    const server = await startFakeApiServer({
      tls: { ...pki.server(), ca: pki.ca },
      tokens: { [TOKEN]: "soak" },
      pageLimitMax: PAGE_EVENTS,
    });
    await server.writeKubeconfig(path, { token: TOKEN });
    return new Cluster(new ServerRecord(server), pki);
  }

  /** While `body` runs, nobody listens on the port. */
  async down(body: () => Promise<void>): Promise<void> {
    this.#downs++;
    await this.#ordered(() => this.record.server.down());
    try {
      await body();
    } finally {
      if (--this.#downs === 0) await this.#ordered(() => this.record.server.up());
    }
  }

  /** While `body` runs, the certificate is one that nobody trusts. */
  async untrusted(body: () => Promise<void>): Promise<void> {
    const { server } = this.record;
    const stranger = new Pki("stranger");
    server.setTls({ ...stranger.server(), ca: stranger.ca });
    server.dropConnections("reset");
    await body();
    server.setTls({ ...this.#pki.server(), ca: this.#pki.ca });
  }

  /** One after the other. */
  #ordered(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done;
    return done;
  }
}
