import { assert, assertEquals } from "@std/assert";
import { CredentialSource, type CredentialSpec } from "../../lib/credentials.ts";
import { ClusterError, UsageError } from "../../lib/errors.ts";
import type { ExecSpec } from "../../lib/exec_plugin.ts";
import { loadCluster } from "../../lib/kubeconfig.ts";
import { setupLog } from "../../lib/log.ts";
import { KeyFolder } from "../support/keys.ts";

async function withKeys(work: (keys: KeyFolder) => Promise<void>): Promise<void> {
  const keys = new KeyFolder();
  try {
    await work(keys);
  } finally {
    keys.close();
  }
}

/** Runs `work` with the log at DEBUG; gives back what was logged, without the times. */
async function logOf(work: () => Promise<void>): Promise<string[]> {
  let text = "";
  setupLog("DEBUG", (bytes) => {
    text += new TextDecoder().decode(bytes);
    return bytes.length;
  });
  try {
    await work();
  } finally {
    setupLog("INFO");
  }
  return text.split("\n").slice(0, -1).map((line) => line.replace(/^\S+ /, ""));
}

function source(spec: Partial<CredentialSpec>, nowMs?: () => number): CredentialSource {
  const nothing = { ca: null, cert: null, key: null, token: null, basic: null, exec: null };
  return new CredentialSource(
    { user: 'user "a"', cluster: 'cluster "a"', ...nothing, ...spec },
    nowMs,
  );
}

async function refusal(spec: Partial<CredentialSpec>): Promise<string> {
  try {
    await source(spec).load();
  } catch (error) {
    assert(error instanceof UsageError, String(error));
    return error.message;
  }
  throw new Error("It was not refused");
}

Deno.test("load() gives nothing to a user who has nothing", async () => {
  const credentials = source({});
  assertEquals(await credentials.load(), {
    caCerts: [],
    cert: null,
    key: null,
    authorization: null,
  });
  assertEquals([credentials.needsRun, credentials.command], [false, null]);
  assertEquals(await credentials.refresh({ force: true }), null);
});

Deno.test("load() makes the header from a token, a token's file, or a name with its password", () =>
  withKeys(async (keys) => {
    const file = keys.file("token", "from-file\n");
    const header = async (spec: Partial<CredentialSpec>) =>
      (await source(spec).load()).authorization;
    assertEquals(await header({ token: { text: "abc" } }), "Bearer abc");
    assertEquals(await header({ token: { file } }), "Bearer from-file");
    assertEquals(
      await header({ basic: { username: "mé", password: "p:w" } }),
      `Basic ${btoa("m\xc3\xa9:p:w")}`,
    );
  }));

Deno.test("load() gives CA, certificate and key as PEM texts that Deno takes", () =>
  withKeys(async (keys) => {
    const { certFile, keyFile } = keys.selfSigned("client");
    const text = Deno.readTextFileSync(keys.ca.certFile);
    const { caCerts, cert, key } = await source({
      ca: { text },
      cert: { file: certFile },
      key: { file: keyFile },
    }).load();
    assertEquals(caCerts.map((pem) => pem.trim()), [text.trim()]);
    assert(cert !== null && key !== null);
    Deno.createHttpClient({ caCerts, cert, key }).close();
  }));

Deno.test("load() says which file is missing, empty or of a wrong kind", () =>
  withKeys(async (keys) => {
    const { certFile, keyFile } = keys.selfSigned("client");
    const cert = { file: certFile };
    const key = { file: keyFile };
    const none = `${keys.folder}/none`;
    const empty = keys.file("empty", "\n");
    const pair = 'Cannot use the client certificate and key of user "a": ';
    const cases: [spec: Partial<CredentialSpec>, message: string][] = [
      [{ ca: { file: none } }, `Cannot read "${none}": there is no such file.`],
      [{ ca: { file: empty } }, `"${empty}" is empty.`],
      [
        { ca: key },
        `The certificate-authority "${keyFile}" holds no PEM certificate (a block that begins with ` +
        '"-----BEGIN CERTIFICATE-----").',
      ],
      [
        { ca: { text: "x" } },
        'The certificate-authority of cluster "a" holds no PEM certificate (a block that begins ' +
        'with "-----BEGIN CERTIFICATE-----").',
      ],
      [{ cert: { file: none }, key }, `Cannot read "${none}": there is no such file.`],
      [{ cert, key: { file: keys.folder } }, `Cannot read "${keys.folder}": it is a folder.`],
      [
        { cert, key: { file: keys.ca.keyFile } },
        `${pair}the key does not match its certificate.`,
      ],
      [{ token: { file: none } }, `Cannot read "${none}": there is no such file.`],
      [
        { token: { file: keyFile } },
        `"${keyFile}" is no token: it holds characters that no HTTP header can carry.`,
      ],
      [
        { token: { text: "a b" } },
        "The token in the kubeconfig is no token: it holds characters that no HTTP header can carry.",
      ],
    ];
    for (const [spec, message] of cases) assertEquals(await refusal(spec), message);
  }));

Deno.test("refresh() gives a token that changed, and null while it did not (fault 14; check 4.2.14)", () =>
  withKeys(async (keys) => {
    const file = keys.file("token", "one");
    const credentials = source({ token: { file } });
    assertEquals((await credentials.load()).authorization, "Bearer one");
    assertEquals(await credentials.refresh({ force: false }), null);
    assertEquals(await credentials.refresh({ force: true }), null);
    keys.file("token", "two\n");
    assertEquals((await credentials.refresh({ force: false }))?.authorization, "Bearer two");
    assertEquals(await credentials.refresh({ force: false }), null);
    assertEquals(credentials.nextCheckMs(), 10_000);
  }));

Deno.test("refresh() keeps a token whose file is empty, gone or half-written, and says so (fault 13; check 4.2.14)", () =>
  withKeys(async (keys) => {
    const file = keys.file("token", "one");
    const credentials = source({ token: { file } });
    await credentials.load();
    const lines = await logOf(async () => {
      for (const content of ["", " \n", "tw\u0000"]) {
        keys.file("token", content);
        assertEquals(await credentials.refresh({ force: true }), null);
      }
      Deno.removeSync(file);
      assertEquals(await credentials.refresh({ force: true }), null);
    });
    const stay = "DEBUG The credentials stay as they are for now.";
    assertEquals(lines, [
      `${stay} "${file}" is empty.`,
      `${stay} "${file}" is empty.`,
      `${stay} "${file}" is no token: it holds characters that no HTTP header can carry.`,
      `${stay} Cannot read "${file}": there is no such file.`,
    ]);
    keys.file("token", "two");
    assertEquals((await credentials.refresh({ force: false }))?.authorization, "Bearer two");
  }));

Deno.test("refresh() never gives a certificate with the key of another", () =>
  withKeys(async (keys) => {
    const [old, next] = [keys.selfSigned("old"), keys.selfSigned("next")];
    const [cert, key] = [`${keys.folder}/tls.crt`, `${keys.folder}/tls.key`];
    Deno.copyFileSync(old.certFile, cert);
    Deno.copyFileSync(old.keyFile, key);
    const credentials = source({ cert: { file: cert }, key: { file: key } });
    const first = await credentials.load();
    Deno.copyFileSync(next.certFile, cert);
    const lines = await logOf(async () => {
      assertEquals(await credentials.refresh({ force: true }), null);
    });
    assertEquals(lines, [
      "DEBUG The credentials stay as they are for now. Cannot use the client certificate and key of " +
      'user "a": the key does not match its certificate.',
    ]);
    Deno.copyFileSync(next.keyFile, key);
    const second = await credentials.refresh({ force: false });
    assert(second?.cert !== first.cert && second?.key !== first.key);
  }));

Deno.test("refresh() gives a CA that changed, and keeps the old while the file is damaged (fault 16; check 4.2.14)", () =>
  withKeys(async (keys) => {
    const old = Deno.readTextFileSync(keys.ca.certFile);
    const next = Deno.readTextFileSync(keys.selfSigned("next").certFile);
    const file = keys.file("ca.crt", old);
    const credentials = source({ ca: { file } });
    await credentials.load();
    keys.file("ca.crt", next.slice(0, 200));
    assertEquals(await credentials.refresh({ force: true }), null);
    keys.file("ca.crt", old + next);
    assertEquals((await credentials.refresh({ force: false }))?.caCerts.length, 2);
  }));

Deno.test("load() warns of a client certificate that has expired, once", () =>
  withKeys(async (keys) => {
    const { certFile, keyFile } = keys.selfSigned("client");
    const nowMs = () => Date.now() + 3 * 86_400_000;
    const credentials = source({ cert: { file: certFile }, key: { file: keyFile } }, nowMs);
    const lines = await logOf(async () => {
      await credentials.load();
      await credentials.refresh({ force: true });
    });
    assertEquals(lines.length, 1);
    assert(
      /^WARNING The client certificate of user "a" expired at \d{4}-\S+Z; the API server will refuse it\.$/
        .test(lines[0] ?? ""),
      lines[0],
    );
  }));

/** A plugin that prints what stands in the file `answer`, and counts its runs in `runs`. */
function plugin(keys: KeyFolder): ExecSpec {
  const script = `#!/bin/sh\necho x >> ${keys.folder}/runs\ncat ${keys.folder}/answer\n`;
  const command = keys.file("plugin", script);
  Deno.chmodSync(command, 0o755);
  return {
    command,
    args: [],
    env: [],
    apiVersion: "client.authentication.k8s.io/v1",
    installHint: null,
    cluster: null,
    parentEnv: { PATH: Deno.env.get("PATH") ?? "" },
  };
}

function answer(keys: KeyFolder, status: Record<string, unknown>): void {
  const apiVersion = "client.authentication.k8s.io/v1";
  keys.file("answer", JSON.stringify({ kind: "ExecCredential", apiVersion, status }));
}

function runs(keys: KeyFolder): number {
  return Deno.readTextFileSync(`${keys.folder}/runs`).length / 2;
}

Deno.test("a plugin is run again before its credentials expire, and after a 401", () =>
  withKeys(async (keys) => {
    let now = Date.UTC(2026, 0, 1);
    const inMinutes = (minutes: number) => new Date(now + 60_000 * minutes).toISOString();
    const credentials = source({ exec: plugin(keys) }, () => now);
    assertEquals([credentials.needsRun, credentials.command], [true, `${keys.folder}/plugin`]);

    answer(keys, { token: "one", expirationTimestamp: inMinutes(10) });
    assertEquals((await credentials.load()).authorization, "Bearer one");
    assertEquals(credentials.nextCheckMs(), 10_000);
    now += 8.5 * 60_000;
    assertEquals(await credentials.refresh({ force: false }), null);
    assertEquals([runs(keys), credentials.nextCheckMs()], [1, 10_000]);

    now += 30_000;
    answer(keys, { token: "two", expirationTimestamp: inMinutes(60) });
    assertEquals((await credentials.refresh({ force: false }))?.authorization, "Bearer two");
    assertEquals(runs(keys), 2);

    answer(keys, { token: "three" });
    assertEquals((await credentials.refresh({ force: true }))?.authorization, "Bearer three");
    now += 1000 * 3600_000;
    assertEquals(await credentials.refresh({ force: false }), null);
    assertEquals([runs(keys), credentials.nextCheckMs()], [3, 10_000]);
  }));

Deno.test("a plugin whose credentials are always old is not run without pause", () =>
  withKeys(async (keys) => {
    let now = Date.UTC(2026, 0, 1);
    const credentials = source({ exec: plugin(keys) }, () => now);
    answer(keys, { token: "t", expirationTimestamp: "2020-01-01T00:00:00Z" });
    await credentials.load();
    now += 9_999;
    await credentials.refresh({ force: false });
    assertEquals(runs(keys), 1);
    now += 1;
    await credentials.refresh({ force: false });
    assertEquals(runs(keys), 2);
  }));

Deno.test("a plugin that fails ends the start, and later leaves what it gave before in use", () =>
  withKeys(async (keys) => {
    let now = Date.UTC(2026, 0, 1);
    const exec = plugin(keys);
    const failing = source({ exec }, () => now);
    let error: unknown;
    await failing.load().catch((thrown) => error = thrown);
    assert(error instanceof ClusterError, String(error));

    const credentials = source({ exec }, () => now);
    answer(keys, { token: "one" });
    await credentials.load();
    keys.file("answer", "{}");
    const lines = await logOf(async () => {
      assertEquals(await credentials.refresh({ force: true }), null);
      assertEquals(credentials.nextCheckMs(), 10_000);
      now += 10_000;
      answer(keys, { token: "two" });
      assertEquals((await credentials.refresh({ force: false }))?.authorization, "Bearer two");
    });
    assertEquals(lines, [
      `WARNING The credential plugin "${exec.command}" printed no ExecCredential. The credentials ` +
      "that it gave before stay in use.",
    ]);
  }));

Deno.test("a plugin's certificate is checked like any other", () =>
  withKeys(async (keys) => {
    const [one, other] = [keys.selfSigned("one"), keys.selfSigned("other")];
    const clientCertificateData = Deno.readTextFileSync(one.certFile);
    const credentials = source({ exec: plugin(keys) });
    answer(keys, { clientCertificateData, clientKeyData: Deno.readTextFileSync(one.keyFile) });
    const { cert, key, authorization } = await credentials.load();
    assert(cert !== null && key !== null && authorization === null);
    Deno.createHttpClient({ cert, key }).close();
    answer(keys, { clientCertificateData, clientKeyData: Deno.readTextFileSync(other.keyFile) });
    const lines = await logOf(async () => {
      assertEquals(await credentials.refresh({ force: true }), null);
    });
    assertEquals(lines.length, 1);
    assert(lines[0]?.includes("the key does not match its certificate"), lines[0]);
  }));

Deno.test("two readings at once take turns, so a plugin never runs twice at a time", () =>
  withKeys(async (keys) => {
    const exec = plugin(keys);
    const folder = keys.folder;
    keys.file(
      "plugin",
      `#!/bin/sh\nmkdir ${folder}/busy || exit 1\ncat ${folder}/answer\nrmdir ${folder}/busy\n`,
    );
    answer(keys, { token: "t" });
    const credentials = source({ exec });
    const lines = await logOf(async () => {
      await Promise.all([
        credentials.load(),
        credentials.refresh({ force: true }),
        credentials.refresh({ force: true }),
      ]);
    });
    assertEquals(lines, []);
  }));

Deno.test("a kubeconfig's plugin learns about the cluster and inherits our environment", () =>
  withKeys(async (keys) => {
    const folder = keys.folder;
    const { certFile } = keys.ca;
    keys.file(
      "p",
      `#!/bin/sh\nprintf '%s' "$FROM$KUBERNETES_EXEC_INFO" >${folder}/seen\ncat ${folder}/answer\n`,
    );
    Deno.chmodSync(`${folder}/p`, 0o755);
    answer(keys, { token: "t" });
    const config = {
      "current-context": "a",
      contexts: [{ name: "a", context: { cluster: "a", user: "a" } }],
      clusters: [{
        name: "a",
        cluster: {
          server: "https://a",
          "certificate-authority": "ca.crt",
          "proxy-url": "http://p:1",
          extensions: [{ name: "client.authentication.k8s.io/exec", extension: { x: 1 } }],
        },
      }],
      users: [{
        name: "a",
        user: {
          tokenFile: "",
          exec: {
            apiVersion: "client.authentication.k8s.io/v1",
            command: "./p",
            interactiveMode: "IfAvailable",
            provideClusterInfo: true,
            env: [{ name: "FROM", value: "kubeconfig " }],
          },
        },
      }],
    };
    const kubeconfig = keys.file("config", JSON.stringify(config));
    const { credentialSource } = loadCluster({ kubeconfig }, {
      env: () => undefined,
      environment: () => ({ PATH: Deno.env.get("PATH") ?? "" }),
      serviceAccount: folder,
    });
    const { authorization, caCerts } = await credentialSource.load();
    assertEquals([authorization, caCerts.length], ["Bearer t", 1]);
    const info = JSON.parse(Deno.readTextFileSync(`${folder}/seen`).replace("kubeconfig ", ""));
    assertEquals(info.spec, {
      interactive: false,
      cluster: {
        server: "https://a",
        "certificate-authority-data": btoa(Deno.readTextFileSync(certFile)),
        "proxy-url": "http://p:1",
        config: { x: 1 },
      },
    });
  }));

Deno.test("a kubeconfig's paths count from its folder, data goes before files, tokenFile before token", () =>
  withKeys(async (keys) => {
    const { certFile, keyFile } = keys.selfSigned("client");
    keys.file("token", "from-file");
    const data = (file: string) => btoa(Deno.readTextFileSync(file));
    const load = async (user: Record<string, unknown>, cluster: Record<string, unknown>) => {
      const kubeconfig = keys.file(
        "config",
        JSON.stringify({
          "current-context": "a",
          contexts: [{ name: "a", context: { cluster: "a", user: "a" } }],
          clusters: [{ name: "a", cluster: { server: "https://a", ...cluster } }],
          users: [{ name: "a", user }],
        }),
      );
      return await loadCluster({ kubeconfig }).credentialSource.load();
    };
    const fromFiles = await load(
      { "client-certificate": "client.crt", "client-key": "client.key", tokenFile: "token" },
      { "certificate-authority": "ca.crt" },
    );
    assertEquals(fromFiles.authorization, "Bearer from-file");
    const fromData = await load(
      {
        "client-certificate-data": data(certFile),
        "client-certificate": "none",
        "client-key-data": data(keyFile),
        token: "other",
        tokenFile: "token",
      },
      { "certificate-authority-data": data(keys.ca.certFile), "certificate-authority": "none" },
    );
    assertEquals(fromData, fromFiles);
  }));
