/** A writer that outlasts an API server which is killed, restarted or has no etcd for a while. */

import { EventWriter, RequestRefused } from "./event_writer.ts";

/** Between two attempts of a request, ms. */
const PAUSE_MS = 100;
/**
 * Repeats what got no answer until it has one. Such a request may have been done all the same; all
 * that {@linkcode EventWriter} writes is the same at the second time, so that what it notes is true.
 */
export class PatientWriter extends EventWriter {
  /** A server that is away for longer does not come back, ms. */
  patienceMs = 60_000;
  /** How often a request got no answer, or one that it was not to blame for. */
  failures = 0;

  override async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const sinceMs = performance.now();
    for (let isRepeated = false;; isRepeated = true) {
      try {
        return await super.request(method, path, body);
      } catch (error) {
        const status = error instanceof RequestRefused ? error.status : 0;
        if (isRepeated && method === "POST" && status === 409) {
          return await this.request("GET", `${path}/${nameIn(body)}`);
        }
        if (isRepeated && method === "DELETE" && status === 404) return {} as T;
        const isOver = performance.now() - sinceMs > this.patienceMs;
        if (isOver || (status > 0 && status < 500 && status !== 429)) throw error;
        this.failures++;
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }
}

function nameIn(body: unknown): string {
  return (body as { metadata: { name: string } }).metadata.name;
}
