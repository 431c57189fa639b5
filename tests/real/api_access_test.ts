/** Rights and tokens change under the running program. */

import { assertLess } from "@std/assert";
import { until } from "../support/temp.ts";
import { type ApiScene, sharedTest } from "./api_scene.ts";
import { EventWriter } from "./event_writer.ts";
import { Relay } from "./relay.ts";

const RBAC = "/apis/rbac.authorization.k8s.io/v1";

/** Lets a subject do something with events everywhere. @returns what takes it away again */
async function allow(
  { writer, namespace }: ApiScene,
  verbs: string[],
  subject: Record<string, string>,
): Promise<() => Promise<void>> {
  const name = `${namespace}-${verbs.join("-")}`;
  await writer.request("POST", `${RBAC}/clusterroles`, {
    metadata: { name },
    rules: [{ apiGroups: [""], resources: ["events"], verbs }],
  });
  await writer.request("POST", `${RBAC}/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
    subjects: [subject],
  });
  return async () => {
    await writer.request("DELETE", `${RBAC}/clusterrolebindings/${name}`);
    await writer.request("DELETE", `${RBAC}/clusterroles/${name}`);
  };
}

/** States that only a watch can show. */
async function overwrite(scene: ApiScene, name: string): Promise<void> {
  await scene.write(name);
  for (const count of [2, 3]) await scene.change(name, { count });
}

sharedTest(
  "RBAC taken away and given back while it runs: it is refused WATCH and LIST, and all that happened " +
    "meanwhile is written (fault 15)",
  async (scene) => {
    await using relay = await Relay.start(scene.server);
    const kubeconfig = `${scene.folder}/relayed`;
    relay.writeKubeconfig(kubeconfig, { token: scene.server.plainToken });
    const plain = { kind: "User", name: "plain", apiGroup: "rbac.authorization.k8s.io" };
    const takeAway = await allow(scene, ["list", "watch"], plain);
    const program = await scene.run({ args: ["--kubeconfig", kubeconfig] });
    await scene.settled();

    await takeAway();
    relay.cut();
    await until("a WATCH is refused", () => relay.count("WATCH", 403) > 0);
    const last = await scene.newestVersion();
    await overwrite(scene, "meanwhile");
    // Without the version before the last one it must LIST, which it still may not.
    await scene.etcd.compact(last + 1);
    const forbidWatch = await allow(scene, ["watch"], plain);
    await until("a LIST is refused", () => relay.count("LIST", 403) > 0);
    const forbid = await allow(scene, ["list", "watch"], plain);
    await program.says("works again");
    await scene.isRight();
    assertLess(relay.requests.length, 20);
    await Promise.all([forbidWatch(), forbid()]);
  },
);

sharedTest(
  "A service account's token rotated in its file, the old one revoked: refused at the next " +
    "request, it takes the new one (faults 13, 14)",
  async (scene) => {
    const { writer, namespace } = scene;
    await using relay = await Relay.start(scene.server);
    const kubeconfig = `${scene.folder}/relayed`;
    const tokenFile = `${scene.folder}/token`;
    relay.writeKubeconfig(kubeconfig, { tokenFile });
    const inNamespace = `/api/v1/namespaces/${namespace}`;
    await writer.request("POST", `${inNamespace}/serviceaccounts`, { metadata: { name: "pipe" } });
    const subject = { kind: "ServiceAccount", name: "pipe", namespace };
    const takeAway = await allow(scene, ["list", "watch"], subject);
    /** A token that is good as long as the secret is there. */
    const newToken = async (secret: string): Promise<string> => {
      await writer.request("POST", `${inNamespace}/secrets`, { metadata: { name: secret } });
      const request = {
        spec: { boundObjectRef: { kind: "Secret", apiVersion: "v1", name: secret } },
      };
      const path = `${inNamespace}/serviceaccounts/pipe/token`;
      const { status } = await writer.request<{ status: { token: string } }>("POST", path, request);
      return status.token;
    };
    const old = await newToken("first");
    Deno.writeTextFileSync(tokenFile, old);
    const program = await scene.run({ args: ["--kubeconfig", kubeconfig] });
    await scene.settled();

    const next = await newToken("second");
    await writer.request("DELETE", `${inNamespace}/secrets/first`);
    Deno.writeTextFileSync(tokenFile, ""); // As whoever writes without a rename does.
    using client = new EventWriter({ ...scene.server, adminToken: old });
    await until(
      "the old token is refused; the server remembers for 10 s that it was good",
      async () => {
        const answer = await client.fetch("GET", "/api/v1/events?limit=1");
        await answer.body?.cancel();
        return answer.status === 401;
      },
    );
    relay.cut();
    await until("the program is refused too", () => relay.count("WATCH", 401) > 0);
    await overwrite(scene, "meanwhile");
    Deno.writeTextFileSync(tokenFile, next);
    await program.says("The credentials changed; new ones are in use.", 0, 90_000);
    await scene.isRight();
    assertLess(relay.requests.length, 20);
    await takeAway();
  },
);
