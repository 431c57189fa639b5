/**
 * The demo's cluster: a real kube-apiserver and etcd where they are found, else the embedded one.
 * Both are written to over HTTP.
 */

import { startFakeApiServer } from "../fake/server.ts";
import { realApiServer } from "../real/api_server.ts";
import { EventWriter, type WriterTarget } from "../real/event_writer.ts";

/** An API server to write to. */
export interface DemoCluster {
  /** For the first line of the demo. */
  name: string;
  kubeconfig: string;
  writer: EventWriter;
  stop(): Promise<void>;
}

/** Starts a cluster with its files in `folder`. */
export async function startDemoCluster(folder: string): Promise<DemoCluster> {
  const real = await realApiServer(`${folder}/cluster`);
  if (real !== null) {
    return cluster("a real kube-apiserver and etcd", real, {
      kubeconfig: real.kubeconfig,
      stop: () => real.stop(),
    });
  }
  const server = await startFakeApiServer();
  const kubeconfig = `${folder}/kubeconfig`;
  await server.writeKubeconfig(kubeconfig);
  return cluster("the embedded API server (no kube-apiserver was found)", server, {
    kubeconfig,
    stop: () => server.close(),
  });
}

function cluster(
  name: string,
  target: WriterTarget,
  { kubeconfig, stop }: { kubeconfig: string; stop(): Promise<void> },
): DemoCluster {
  const writer = new EventWriter(target);
  return {
    name,
    kubeconfig,
    writer,
    async stop() {
      writer.close();
      await stop();
    },
  };
}
