import { assert, assertEquals } from "@std/assert";
import { ClusterError, ExitError, UsageError } from "../../lib/errors.ts";
import { type Cluster, loadCluster, type Surroundings } from "../../lib/kubeconfig.ts";
import { setupLog } from "../../lib/log.ts";
import { withTempFolder } from "../support/temp.ts";

type Variables = Record<string, string>;
type Fields = Record<string, unknown>;
type Choice = Parameters<typeof loadCluster>[0];

function surroundings(folder: string, variables: Variables = {}): Surroundings {
  return {
    env: (name) => variables[name],
    environment: () => ({ ...variables }),
    serviceAccount: `${folder}/serviceaccount`,
  };
}

/** A kubeconfig with the context, cluster and user "a"; JSON is YAML too. */
function config(cluster: Fields = {}, user: Fields = {}, more: Fields = {}): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "a",
    contexts: [{ name: "a", context: { cluster: "a", user: "a" } }],
    clusters: [{ name: "a", cluster: { server: "https://a:6443", ...cluster } }],
    users: [{ name: "a", user }],
    ...more,
  });
}

/** Writes a kubeconfig; gives its path. */
function write(folder: string, content: string, name = "config"): string {
  const path = `${folder}/${name}`;
  Deno.writeTextFileSync(path, content);
  return path;
}

/** The error that a choice leads to, with the folder's path as DIR. */
function refusal(folder: string, choice: Choice, variables: Variables = {}): ExitError {
  try {
    loadCluster(choice, surroundings(folder, variables));
  } catch (error) {
    assert(error instanceof ExitError, String(error));
    error.message = error.message.replaceAll(folder, "DIR");
    return error;
  }
  throw new Error("It was not refused");
}

/** The message of the UsageError that a kubeconfig leads to. */
async function refusalOf(content: string, context?: string): Promise<string> {
  return await withTempFolder((folder) => {
    const kubeconfig = write(folder, content);
    const error = refusal(folder, { kubeconfig, ...(context !== undefined && { context }) });
    assert(error instanceof UsageError, String(error));
    assert(!/s3cret/.test(error.message), error.message);
    return error.message;
  });
}

async function clusterOf(content: string, variables: Variables = {}): Promise<Cluster> {
  return await withTempFolder((folder) =>
    loadCluster({ kubeconfig: write(folder, content) }, surroundings(folder, variables))
  );
}

Deno.test("loadCluster() reads the server and its host and port", async () => {
  const cases: [given: string, server: string, hostPort: string][] = [
    ["https://10.0.0.1:6443", "https://10.0.0.1:6443", "10.0.0.1:6443"],
    ["https://api.example.com/", "https://api.example.com", "api.example.com:443"],
    ["https://h:6443/k8s/c-1//", "https://h:6443/k8s/c-1", "h:6443"],
    ["https://h/?x=1#y", "https://h", "h:443"],
    ["https://[FD00::1]:6443", "https://[fd00::1]:6443", "[fd00::1]:6443"],
    ["http://127.0.0.1:8001", "http://127.0.0.1:8001", "127.0.0.1:8001"],
    ["http://h", "http://h", "h:80"],
  ];
  for (const [given, server, hostPort] of cases) {
    const cluster = await clusterOf(config({ server: given }));
    assertEquals([cluster.server, cluster.hostPort, cluster.netHosts], [server, hostPort, [
      hostPort,
    ]]);
  }
});

Deno.test("loadCluster() sends no credentials without TLS, as kubectl does, and says so", () =>
  withTempFolder(async (folder) => {
    const kubeconfig = write(folder, config({ server: "http://h" }, { token: "s3cret" }));
    let text = "";
    setupLog("WARNING", (bytes) => {
      text += new TextDecoder().decode(bytes);
      return bytes.length;
    });
    try {
      const { credentialSource } = loadCluster({ kubeconfig }, surroundings(folder));
      assertEquals((await credentialSource.load()).authorization, null);
    } finally {
      setupLog("INFO");
    }
    assertEquals(
      text.slice(text.indexOf("The")),
      `The cluster "a" in kubeconfig "${kubeconfig}" is reached without TLS, so no credentials are ` +
        "sent to it.\n",
    );
  }));

Deno.test("loadCluster() takes the current-context, or the one that is asked for", () =>
  withTempFolder((folder) => {
    const kubeconfig = write(
      folder,
      config({}, {}, {
        contexts: [
          { name: "a", context: { cluster: "a", user: "a" } },
          { name: "b", context: { cluster: "b" } },
        ],
        clusters: [
          { name: "a", cluster: { server: "https://a" } },
          { name: "b", cluster: { server: "https://b" } },
        ],
      }),
    );
    const first = loadCluster({ kubeconfig }, surroundings(folder));
    assertEquals([first.contextName, first.server], ["a", "https://a"]);
    assertEquals(first.source, `kubeconfig "${kubeconfig}", context "a"`);
    const second = loadCluster({ kubeconfig, context: "b" }, surroundings(folder));
    assertEquals([second.contextName, second.server], ["b", "https://b"]);
  }));

Deno.test("loadCluster() merges the files of KUBECONFIG as kubectl does: the first has the say", () =>
  withTempFolder((folder) => {
    const one = write(
      folder,
      JSON.stringify({
        contexts: [{ name: "x", context: { cluster: "x", user: "u" } }],
        clusters: [{ name: "x", cluster: { server: "https://one" } }],
      }),
      "one",
    );
    const two = write(
      folder,
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "y" } }],
        clusters: [{ name: "x", cluster: { server: "https://two" } }],
        users: [{ name: "u", user: { token: "t" } }],
      }),
      "two",
    );
    const three = write(folder, config(), "three");
    const KUBECONFIG = `${folder}/missing:${one}::${two}:${three}`;
    const cluster = loadCluster({}, surroundings(folder, { KUBECONFIG, HOME: "/nowhere" }));
    assertEquals([cluster.contextName, cluster.server], ["x", "https://one"]);
    assertEquals(cluster.source, `kubeconfig "${one}", "${two}", "${three}", context "x"`);
  }));

Deno.test("loadCluster() reads ~/.kube/config where KUBECONFIG is empty, and --kubeconfig alone", () =>
  withTempFolder((folder) => {
    Deno.mkdirSync(`${folder}/.kube`);
    write(folder, config({ server: "https://home" }), ".kube/config");
    const other = write(folder, config({ server: "https://other" }), "other");
    const variables = { HOME: folder, KUBECONFIG: "" };
    assertEquals(loadCluster({}, surroundings(folder, variables)).server, "https://home");
    const kubeconfig = write(folder, config({ server: "https://flag" }), "flag");
    const flagged = loadCluster({ kubeconfig }, surroundings(folder, { KUBECONFIG: other }));
    assertEquals(flagged.server, "https://flag");
  }));

function inPod(folder: string): Variables {
  Deno.mkdirSync(`${folder}/serviceaccount`);
  Deno.writeTextFileSync(`${folder}/serviceaccount/token`, "pod-token\n");
  return { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };
}

Deno.test("loadCluster() takes the service account of a pod where no kubeconfig says anything", () =>
  withTempFolder((folder) => {
    const variables = inPod(folder);
    const KUBECONFIG = `${folder}/missing:${write(folder, "", "empty")}`;
    for (const more of [{}, { KUBECONFIG }, { HOME: folder }]) {
      const cluster = loadCluster({}, surroundings(folder, { ...variables, ...more }));
      assertEquals([cluster.server, cluster.hostPort], ["https://10.96.0.1", "10.96.0.1:443"]);
      assertEquals([cluster.contextName, cluster.trust], ["in-cluster", "given-ca"]);
      assertEquals(cluster.source, `service account in "${folder}/serviceaccount"`);
      assertEquals(cluster.credentialSource.needsRun, false);
    }
    variables["KUBERNETES_SERVICE_HOST"] = "fd00::1";
    variables["KUBERNETES_SERVICE_PORT"] = "6443";
    assertEquals(
      loadCluster({}, surroundings(folder, variables)).server,
      "https://[fd00::1]:6443",
    );
    const kubeconfig = write(folder, config());
    assertEquals(loadCluster({ kubeconfig }, surroundings(folder, variables)).contextName, "a");
  }));

Deno.test("loadCluster() says where it looked when there is no configuration at all", () =>
  withTempFolder((folder) => {
    const pod = { KUBERNETES_SERVICE_HOST: "h", KUBERNETES_SERVICE_PORT: "443" };
    const give = "Give a kubeconfig with --kubeconfig or KUBECONFIG.";
    const noPod = "the service account of a pod (KUBERNETES_SERVICE_HOST is not set)";
    const cases: [Choice, Variables, string][] = [
      [
        {},
        { HOME: folder },
        'No cluster configuration was found. Looked at KUBECONFIG (not set), "DIR/.kube/config" ' +
        `(not there, or empty) and ${noPod}. ${give}`,
      ],
      [
        {},
        {},
        "No cluster configuration was found. Looked at KUBECONFIG (not set), ~/.kube/config " +
        `(no HOME) and ${noPod}. ${give}`,
      ],
      [
        {},
        { KUBECONFIG: `${folder}/a:${folder}/b`, ...pod },
        'No cluster configuration was found. Looked at KUBECONFIG ("DIR/a", "DIR/b": not there, or empty) ' +
        `and the service account of a pod (no token in "DIR/serviceaccount"). ${give}`,
      ],
      [
        { context: "c" },
        { HOME: folder },
        'There is no context "c", because no kubeconfig was found. Looked at KUBECONFIG (not set), ' +
        `"DIR/.kube/config" (not there, or empty) and ${noPod}. ${give}`,
      ],
    ];
    for (const [choice, variables, message] of cases) {
      const error = refusal(folder, choice, variables);
      assert(error instanceof ClusterError && error.exitCode === 69);
      assertEquals(error.message, message);
    }
  }));

Deno.test("loadCluster() refuses a kubeconfig that it cannot read", () =>
  withTempFolder((folder) => {
    const cases: [kubeconfig: string, message: string][] = [
      [`${folder}/none`, 'Cannot read kubeconfig "DIR/none": there is no such file.'],
      [`${folder}`, 'Cannot read kubeconfig "DIR": it is a folder.'],
      [write(folder, " \n", "empty"), 'Kubeconfig "DIR/empty" names no cluster, user or context.'],
      [`${folder}/empty/x`, 'Cannot read kubeconfig "DIR/empty/x": there is no such file.'],
    ];
    for (const [kubeconfig, message] of cases) {
      const error = refusal(folder, { kubeconfig });
      assertEquals([error.exitCode, error.message], [64, message]);
    }
    const error = refusal(folder, {}, { KUBECONFIG: `${folder}:${folder}/none` });
    assertEquals(error.message, 'Cannot read kubeconfig "DIR": it is a folder.');
  }));

Deno.test("loadCluster() names file and line of broken YAML, and quotes nothing of it", async () => {
  const yaml = 'apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user: {token: "s3cret\n';
  assertEquals(
    await refusalOf(yaml),
    'Kubeconfig "DIR/config" is not valid YAML at line 6: unexpected end of the stream within a ' +
      "double quoted scalar.",
  );
  assertEquals(
    await refusalOf("a: 1\nb: 2\n   c: s3cret\n"),
    'Kubeconfig "DIR/config" is not valid YAML at line 3: bad indentation of a mapping entry.',
  );
  assertEquals(
    await refusalOf("users:\n- name: a\n  user:\n    token: *s3cret\n"),
    'Kubeconfig "DIR/config" is not valid YAML at line 4: unidentified alias ....',
  );
});

Deno.test("loadCluster() refuses a file that is no kubeconfig", async () => {
  const no = '"DIR/config" is no kubeconfig: ';
  for (const text of ["s3cret", "- a\n- b", "5"]) {
    assertEquals(await refusalOf(text), `${no}it holds no mapping.`);
  }
  assertEquals(
    await refusalOf("kind: Pod\napiVersion: v1"),
    `${no}its kind is "Pod", not "Config".`,
  );
  assertEquals(
    await refusalOf(config({ "certificate-authority": 5 })),
    `${no}an entry has a value of a wrong type.`,
  );
});

Deno.test("loadCluster() lists the known contexts where one is missing", async () => {
  assertEquals(
    await refusalOf(config(), "b"),
    'There is no context "b" in kubeconfig "DIR/config". Known contexts: "a".',
  );
  assertEquals(
    await refusalOf(config({}, {}, { "current-context": "" })),
    'The kubeconfig "DIR/config" names no current-context. Choose one with --context. ' +
      'Known contexts: "a".',
  );
  assertEquals(
    await refusalOf(config({}, {}, { contexts: [] })),
    'There is no context "a" in kubeconfig "DIR/config". It has no contexts.',
  );
});

Deno.test("loadCluster() refuses a context that names what is not there", async () => {
  const names = 'The context "a" in kubeconfig "DIR/config" names';
  assertEquals(
    await refusalOf(config({}, {}, { clusters: [{ name: "a", cluster: {} }] })),
    `${names} the cluster "a", which is missing or has no server.`,
  );
  assertEquals(
    await refusalOf(config({}, {}, { users: null })),
    `${names} the user "a", which is missing.`,
  );
});

Deno.test("loadCluster() is not troubled by entries that it does not use", async () => {
  const cluster = await clusterOf(config({}, {}, {
    contexts: [{ name: "a", context: { cluster: "a", user: "a" } }, { name: "half" }, null],
    clusters: [{ name: "a", cluster: { server: "https://a" } }, { name: "half" }],
    users: [{ name: "half" }, { name: "a", user: {} }, { name: "b", user: { as: "root" } }],
  }));
  assertEquals(cluster.server, "https://a");
});

Deno.test("loadCluster() refuses what would weaken or redirect trust", async () => {
  const a = 'The cluster "a" in kubeconfig "DIR/config"';
  assertEquals(
    await refusalOf(config({ "insecure-skip-tls-verify": true })),
    `${a} sets insecure-skip-tls-verify, which is not supported: the server's certificate is always ` +
      "verified. Give the CA that signed it as certificate-authority.",
  );
  assertEquals(
    await refusalOf(config({ "tls-server-name": "x" })),
    `${a} sets tls-server-name, which is not supported: the server's certificate must be valid for ` +
      "the host in its URL. Name that host in server, if need be through /etc/hosts.",
  );
  const servers = { "10.0.0.1:6443": "10.0.0.1:6443", "https://a b": "https://a b" };
  for (const [server, shown] of Object.entries({ ...servers, "me:s3cret@h": "...@h" })) {
    assertEquals(
      await refusalOf(config({ server })),
      `${a} has the server "${shown}", which must be an https:// or http:// URL.`,
    );
  }
  assertEquals(
    await refusalOf(config({ server: "https://me:s3cret@h" })),
    `${a} has a user in its server URL. Put username and password into the user entry.`,
  );
});

Deno.test("loadCluster() trusts the given CA alone, or the system's roots where none is given", async () => {
  const ca = { "certificate-authority-data": btoa("x") };
  assertEquals((await clusterOf(config(ca))).trust, "given-ca");
  assertEquals((await clusterOf(config({ "certificate-authority": "ca.crt" }))).trust, "given-ca");
  assertEquals((await clusterOf(config())).trust, "system");
  assertEquals((await clusterOf(config({ ...ca, server: "http://h" }))).trust, "nothing");
  assertEquals(
    await refusalOf(config({ "certificate-authority-data": "s3cret!" })),
    'The certificate-authority-data of cluster "a" in kubeconfig "DIR/config" is not valid base64.',
  );
});

Deno.test("loadCluster() takes proxy-url before the environment, and refuses what Deno ignores", async () => {
  const env = { HTTPS_PROXY: "http://env:1" };
  const given = await clusterOf(config({ "proxy-url": "http://me:s3cret@p:3128" }), env);
  assertEquals(given.proxy, { url: "http://p:3128", variable: "proxy-url" });
  assertEquals(given.proxyUrl, "http://me:s3cret@p:3128");
  const environment = await clusterOf(config(), env);
  assertEquals(environment.proxy, { url: "http://env:1", variable: "HTTPS_PROXY" });
  assertEquals([environment.proxyUrl, (await clusterOf(config())).proxy], [null, null]);
  for (const url of ["p:3128", "ftp://p", "http://s3cret@p", "unix:/s3cret"]) {
    assertEquals(
      await refusalOf(config({ "proxy-url": url })),
      'The cluster "a" in kubeconfig "DIR/config" has a proxy-url that is not supported: it must be ' +
        "an http://, https:// or socks5:// URL, and a user in it must have a password.",
    );
  }
});

Deno.test("loadCluster() refuses users that it would not be", async () => {
  const a = 'The user "a" in kubeconfig "DIR/config"';
  const refusals: [user: Fields, message: string][] = [
    [
      { "auth-provider": { name: "oidc", config: { "id-token": "s3cret" } } },
      `${a} uses the auth-provider "oidc", which is not supported. Use the plugin kubectl oidc-login ` +
      "(int128/kubelogin).",
    ],
    [
      { "auth-provider": { name: "other" } },
      `${a} uses the auth-provider "other", which is not supported. Use a credential plugin (exec).`,
    ],
    [
      { as: "root", token: "s3cret" },
      `${a} impersonates another (as), which is not supported. Use a user of its own with the right ` +
      "to list and watch events.",
    ],
    [
      { "as-groups": ["system:masters"] },
      `${a} impersonates another (as-groups), which is not supported. Use a user of its own with the ` +
      "right to list and watch events.",
    ],
    [
      { token: "s3cret", username: "me", password: "s3cret" },
      `${a} has both a token and a username. Give one of them.`,
    ],
    [
      { "client-certificate": "c.crt" },
      `${a} has a client-certificate but no client-key. Give both or neither.`,
    ],
    [
      { "client-key-data": btoa("s3cret") },
      `${a} has a client-key but no client-certificate. Give both or neither.`,
    ],
    [
      { token: 12345 },
      'The token of user "a" in kubeconfig "DIR/config" must be a text; put it in quotes.',
    ],
  ];
  for (const [user, message] of refusals) {
    assertEquals(await refusalOf(config({}, user)), message);
  }
});

Deno.test("loadCluster() refuses plugins that cannot work here", async () => {
  const plugin = 'credential plugin (exec) of user "a" in kubeconfig "DIR/config"';
  const apiVersion = "client.authentication.k8s.io/v1";
  const supported = "supported are client.authentication.k8s.io/v1 and " +
    "client.authentication.k8s.io/v1beta1.";
  const refusals: [exec: Fields, message: string][] = [
    [{ apiVersion }, `The ${plugin} names no command.`],
    [{ command: "p" }, `The ${plugin} has the apiVersion ""; ${supported}`],
    [
      { command: "p", apiVersion: "client.authentication.k8s.io/v1alpha1" },
      `The ${plugin} has the apiVersion "client.authentication.k8s.io/v1alpha1"; ${supported}`,
    ],
    [
      { command: "p", apiVersion, interactiveMode: "Always" },
      `The ${plugin} wants a terminal (interactiveMode: Always), and here is none.`,
    ],
  ];
  for (const [exec, message] of refusals) {
    assertEquals(await refusalOf(config({}, { exec })), message);
  }
});

Deno.test("loadCluster() finds a plugin by name in PATH, by path from the kubeconfig's folder", () =>
  withTempFolder((folder) => {
    const commands = { p: "p", "./p": `${folder}/p`, "bin/p": `${folder}/bin/p`, "/p": "/p" };
    for (const [command, expected] of Object.entries(commands)) {
      const exec = { command, apiVersion: "client.authentication.k8s.io/v1beta1" };
      const kubeconfig = write(folder, config({}, { exec }));
      const { credentialSource } = loadCluster({ kubeconfig }, surroundings(folder));
      assertEquals([credentialSource.needsRun, credentialSource.command], [true, expected]);
    }
  }));
