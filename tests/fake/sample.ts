/**
 * Events like those that a cluster makes, to be POSTed or created in the store.
 */
import type { JsonObject } from "./event.ts";

/**
 * An event as kubelet makes it (client-go tools/record): count 1, both timestamps, a source.
 * `fields` replaces or adds top-level fields; null takes one away.
 */
export function sampleEvent(namespace: string, name: string, fields: JsonObject = {}): JsonObject {
  return without(
    {
      kind: "Event",
      apiVersion: "v1",
      metadata: { name, namespace },
      involvedObject: {
        kind: "Pod",
        namespace,
        name: name.split(".")[0] ?? name,
        uid: "6f1c4c2e-0000-4000-8000-5d2a4b3c1e0f",
        apiVersion: "v1",
        resourceVersion: "1234",
        fieldPath: "spec.containers{app}",
      },
      reason: "Pulled",
      message: 'Container image "registry.example/app:1.2.3" already present on machine',
      source: { component: "kubelet", host: "node-1" },
      firstTimestamp: "2026-01-02T03:04:05Z",
      lastTimestamp: "2026-01-02T03:04:05Z",
      count: 1,
      type: "Normal",
      reportingComponent: "kubelet",
      reportingInstance: "node-1",
    },
    fields,
  );
}

/** An event as kube-scheduler makes it (client-go tools/events), seen through core/v1. */
export function sampleSeriesEvent(
  namespace: string,
  name: string,
  fields: JsonObject = {},
): JsonObject {
  const { kind, apiVersion, metadata, involvedObject } = sampleEvent(namespace, name);
  const event = { kind, apiVersion, metadata, involvedObject } as JsonObject;
  return without(
    {
      ...event,
      reason: "FailedScheduling",
      message: "0/3 nodes are available: 3 Insufficient memory.",
      type: "Warning",
      eventTime: "2026-01-02T03:04:05.678901Z",
      action: "Scheduling",
      reportingComponent: "default-scheduler",
      reportingInstance: "default-scheduler-control-plane",
    },
    fields,
  );
}

function without(event: JsonObject, fields: JsonObject): JsonObject {
  const all = Object.entries({ ...event, ...fields });
  return Object.fromEntries(all.filter(([, value]) => value !== null));
}
