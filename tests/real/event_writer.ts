/**
 * Writes events at an API server, real or fake, as components of a cluster do.
 */

/** How to reach the server. */
export interface WriterTarget {
  /** Base URL without a trailing slash. */
  url: string;
  /** CA of an https server, PEM. */
  ca?: string;
  /** Bearer token; none = no authentication. */
  adminToken?: string;
}

/** An event of core/v1 as far as tests look into it. */
export interface KubeEvent {
  metadata: { name: string; namespace: string; uid: string; resourceVersion: string };
  count?: number;
  message?: string;
  reason?: string;
  series?: { count: number; lastObservedTime: string };
  [field: string]: unknown;
}

/** What differs from the event that is written without it. `name` is for its metadata. */
export interface EventFields {
  name?: string;
  [field: string]: unknown;
}

/** The server refused a request. */
export class RequestRefused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
    this.name = "RequestRefused";
  }
}

/** A client with the rights to write. Close it. */
export class EventWriter {
  readonly #target: WriterTarget;
  #client: Deno.HttpClient;
  #names = 0;

  constructor(target: WriterTarget) {
    this.#target = target;
    this.#client = Deno.createHttpClient(target.ca === undefined ? {} : { caCerts: [target.ca] });
  }

  /** From now on the server's certificate is of this CA, PEM. */
  trust(ca: string): void {
    this.#client.close();
    this.#client = Deno.createHttpClient({ caCerts: [ca] });
  }

  /** Ends its connections. */
  close(): void {
    this.#client.close();
  }

  /** See {@linkcode EventWriter.close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * One request; returns the object of the answer. A PATCH is a merge patch.
   *
   * @throws RequestRefused with the status and the server's message
   */
  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.fetch(method, path, body);
    const text = await response.text();
    if (response.ok) return JSON.parse(text);
    throw new RequestRefused(response.status, `${method} ${path}: ${response.status} ${text}`);
  }

  /** One request, whatever its answer. */
  fetch(method: string, path: string, body?: unknown): Promise<Response> {
    const { url, adminToken } = this.#target;
    const headers: Record<string, string> = { accept: "application/json" };
    if (adminToken !== undefined) headers["authorization"] = `Bearer ${adminToken}`;
    if (body === undefined) return fetch(url + path, { method, headers, client: this.#client });
    const isPatch = method === "PATCH";
    headers["content-type"] = isPatch ? "application/merge-patch+json" : "application/json";
    return fetch(url + path, { method, headers, client: this.#client, body: JSON.stringify(body) });
  }

  /** Makes a namespace, unless it is there. */
  async createNamespace(name: string): Promise<void> {
    try {
      await this.request("POST", "/api/v1/namespaces", { metadata: { name } });
    } catch (error) {
      if (!(error instanceof RequestRefused && error.status === 409)) throw error;
    }
  }

  /** Makes an event as the kubelet does, with a name of its own where none is given. */
  createEvent(namespace: string, fields: EventFields = {}): Promise<KubeEvent> {
    const { name = this.#newName(), ...rest } = fields;
    const now = timestamp();
    return this.request("POST", eventsPath(namespace), {
      metadata: { name, namespace },
      involvedObject: { kind: "Pod", namespace, name: "pod-1" },
      reason: "Started",
      message: `Started container of ${name}`,
      source: { component: "kubelet", host: "node-1" },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
      type: "Normal",
      ...rest,
    });
  }

  /** Makes an event as newer components do, over events.k8s.io/v1; without a series yet. */
  createSeriesEvent(namespace: string, fields: EventFields = {}): Promise<KubeEvent> {
    const { name = this.#newName(), ...rest } = fields;
    return this.request("POST", seriesPath(namespace), {
      metadata: { name, namespace },
      eventTime: microTimestamp(),
      regarding: { kind: "Pod", namespace, name: "pod-1" },
      reason: "Scheduled",
      action: "Binding",
      note: `Assigned ${name} to node-1`,
      reportingController: "default-scheduler",
      reportingInstance: "scheduler-1",
      type: "Normal",
      ...rest,
    });
  }

  /** The event as core/v1 shows it. */
  getEvent(namespace: string, name: string): Promise<KubeEvent> {
    return this.request("GET", eventsPath(namespace, name));
  }

  /** Replaces an event; with another's resourceVersion it is a conflict, without one it is not. */
  putEvent(event: KubeEvent): Promise<KubeEvent> {
    const { namespace, name } = event.metadata;
    return this.request("PUT", eventsPath(namespace, name), event);
  }

  /** Changes fields of an event by a merge patch, as client-go's recorder does with the count. */
  patchEvent(namespace: string, name: string, patch: EventFields): Promise<KubeEvent> {
    return this.request("PATCH", eventsPath(namespace, name), patch);
  }

  /** Sets the series of an event over events.k8s.io/v1. */
  patchSeries(namespace: string, name: string, count: number): Promise<KubeEvent> {
    const patch = { series: { count, lastObservedTime: microTimestamp() } };
    return this.request("PATCH", seriesPath(namespace, name), patch);
  }

  /** Deletes an event. */
  async deleteEvent(namespace: string, name: string): Promise<void> {
    await this.request("DELETE", eventsPath(namespace, name));
  }

  /** All events of a namespace, in key order. */
  async listEvents(namespace: string): Promise<KubeEvent[]> {
    const list = await this.request<{ items: KubeEvent[] }>("GET", eventsPath(namespace));
    return list.items;
  }

  /** Like client-go: the object's name, and hexadecimal digits that no other has. */
  #newName(): string {
    const serial = (++this.#names).toString(16);
    const random = crypto.getRandomValues(new Uint8Array(6)).toHex();
    return `pod-1.${random}${serial}`;
  }
}

function eventsPath(namespace: string, name?: string): string {
  return `/api/v1/namespaces/${namespace}/events${name === undefined ? "" : `/${name}`}`;
}

function seriesPath(namespace: string, name?: string): string {
  const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
  return name === undefined ? path : `${path}/${name}`;
}

/** metav1.Time: whole seconds. */
function timestamp(): string {
  return new Date().toISOString().replace(/\.\d+/, "");
}

/** metav1.MicroTime: six digits behind the point. */
function microTimestamp(): string {
  return new Date().toISOString().replace("Z", "000Z");
}
