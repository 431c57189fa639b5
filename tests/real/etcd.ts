/** The etcd under a real API server, by its gateway for JSON, for what the API cannot do. */

import type { ApiServerAccess } from "./api_server.ts";

/** Most operations of a transaction that etcd takes. */
const TXN_OPERATIONS_MAX = 128;

/** See the head of this file. */
export class Etcd {
  readonly #url: string;

  constructor({ etcdUrl }: Pick<ApiServerAccess, "etcdUrl">) {
    this.#url = etcdUrl;
  }

  /** The revision of the last write: the newest resourceVersion. */
  async revision(): Promise<number> {
    const { header } = await this.#call<{ header: { revision: string } }>("maintenance/status", {});
    return Number(header.revision);
  }

  /** Forgets the history before a revision, as the API server makes it do every five minutes. */
  async compact(revision: number): Promise<void> {
    await this.#call("kv/compaction", { revision, physical: true });
  }

  /** Stores events as the API server would, some thousand a second. */
  async putEvents(events: { metadata: { name: string; namespace: string } }[]): Promise<void> {
    const puts = events.map((event) => ({
      requestPut: { key: keyOf(event.metadata), value: toBase64(JSON.stringify(event)) },
    }));
    for (let from = 0; from < puts.length; from += TXN_OPERATIONS_MAX) {
      await this.#call("kv/txn", { success: puts.slice(from, from + TXN_OPERATIONS_MAX) });
    }
  }

  /** Deletes all events of a namespace in one revision, as an expired lease does with its own. */
  async deleteEvents(namespace: string): Promise<number> {
    const { deleted } = await this.#call<{ deleted?: string }>("kv/deleterange", {
      key: keyOf({ namespace, name: "" }),
      range_end: toBase64(`/registry/events/${namespace}0`), // "0" is the character behind "/".
    });
    return Number(deleted ?? 0);
  }

  async #call<T>(path: string, body: unknown): Promise<T> {
    const response = await fetch(`${this.#url}/v3/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  }
}

function keyOf({ namespace, name }: { namespace: string; name: string }): string {
  return toBase64(`/registry/events/${namespace}/${name}`);
}

function toBase64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}
