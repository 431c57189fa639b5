/**
 * The real program and a server that it has to be let in to: credentials that change while it runs,
 * proxies, certificates that are none, and not a word of a secret in its log.
 */

import { assert, assertEquals } from "@std/assert";
import type { FaultAction } from "../fake/faults.ts";
import { sampleEvent } from "../fake/sample.ts";
import {
  type FakeApiServer,
  type FakeApiServerOptions,
  startFakeApiServer,
} from "../fake/server.ts";
import { freePort } from "../real/process.ts";
import { ConnectProxy } from "../support/connect_proxy.ts";
import { writeKubeconfig } from "../support/kubeconfig.ts";
import { type CertPair, Pki } from "../support/pki.ts";
import { Program } from "../support/program.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";

/** Longer than a period of reading files (10 s), on a machine that is busy. */
const REREAD_MS = 40_000;

/** How a scene is to be, where it differs. */
interface SceneOptions extends Omit<FakeApiServerOptions, "tls"> {
  certificate?: CertPair;
  clientCa?: string;
  offers?: string[];
}

/** A server that speaks TLS, a folder with a kubeconfig, and the program. */
class Scene {
  /** Signed the server's certificate. */
  readonly pki: Pki;
  readonly folder: string;
  readonly server: FakeApiServer;
  /** Must not be in any log. */
  readonly secrets = new Set<string>();
  #program: Program | null = null;
  #events = 0;

  constructor(pki: Pki, folder: string, server: FakeApiServer) {
    this.pki = pki;
    this.folder = folder;
    this.server = server;
    this.write("ca.crt", pki.ca);
    Deno.mkdirSync(this.path("state"));
  }

  get program(): Program {
    return this.#program!;
  }

  path(name: string): string {
    return `${this.folder}/${name}`;
  }

  /** Writes a file of the folder. */
  write(name: string, text: string): void {
    Deno.writeTextFileSync(this.path(name), text);
  }

  /** Writes a file that holds a secret. */
  writeSecret(name: string, text: string): void {
    // Each line counts by itself; that of a PEM's frame is none.
    for (const line of text.split("\n")) if (/^[^-]{8}/.test(line)) this.secrets.add(line);
    this.write(name, text);
  }

  /** Starts the program as this user of the kubeconfig. */
  async start(
    user: Record<string, unknown>,
    options: { env?: Record<string, string>; cluster?: Record<string, unknown> } = {},
  ): Promise<Program> {
    const kubeconfig = this.path("kubeconfig");
    const cluster = { server: this.server.url, "certificate-authority": "ca.crt" };
    await writeKubeconfig(kubeconfig, { cluster: { ...cluster, ...options.cluster }, user });
    this.#program = Program.start({
      args: [
        ...["--kubeconfig", kubeconfig, "--persistence-path", this.path("state")],
        ...["--log-level", "DEBUG"],
      ],
      // Where it runs from source, `deno run` would look for a newer Deno, through the proxy.
      env: { DENO_NO_UPDATE_CHECK: "1", ...options.env },
    });
    return this.#program;
  }

  /** An event is written, and comes through. */
  async works(timeoutMs?: number): Promise<void> {
    const name = `event-${++this.#events}`;
    this.server.store.create(sampleEvent("a", name));
    const holds = () => this.program.stdout.includes(`"name":"${name}"`);
    await until(`${name} comes through`, holds, timeoutMs);
  }

  /** Ends the watch, so that the next request shows what the program has to show now. */
  async reconnects(): Promise<void> {
    await until("a watch is open", () => this.server.watches.length > 0);
    this.server.dropConnections("end");
  }

  /** The program ends properly and has told no secret. */
  async end(): Promise<void> {
    const { code } = await this.program.stop();
    assertEquals(code, 0, this.program.stderr);
    for (const secret of this.secrets) {
      const at = this.program.stderr.indexOf(secret);
      assert(at < 0, `A secret in the log: ${this.program.stderr.slice(at - 200, at + 50)}`);
    }
  }

  /** Kills what was not ended. */
  async close(): Promise<void> {
    await this.#program?.kill();
    await this.server.close();
  }
}

/** Runs a test with a scene that is closed whatever happens. */
async function withScene(
  options: SceneOptions,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const pki = new Pki();
    const { certificate, clientCa, offers, ...rest } = options;
    const tls = {
      ...(certificate ?? pki.server({ hosts: ["127.0.0.1", "::1", "localhost"] })),
      ...(clientCa !== undefined && { clientCa }),
      ...(offers !== undefined && { offers }),
    };
    const scene = new Scene(pki, folder, await startFakeApiServer({ ...rest, tls }));
    try {
      await body(scene);
    } catch (error) {
      console.log(scene.program.stderr);
      throw error;
    } finally {
      await scene.close();
    }
  });
}

const OLD = "token-of-yesterday-7c1f";
const NEW = "token-of-today-99ae";

Deno.test("a token refused on reconnect, its file empty, then gone, then new: let in at once (faults 13, 14)", () =>
  withScene({ tokens: { [OLD]: "us" } }, async (scene) => {
    const { server } = scene;
    scene.writeSecret("token", `${OLD}\n`);
    const program = await scene.start({ tokenFile: "token" });
    await scene.works();
    scene.secrets.add(NEW);
    server.auth.tokens.clear();
    server.auth.tokens.set(NEW, "us");
    await scene.works(); // An open watch is not asked again.
    scene.write("token", "");
    await scene.reconnects();
    let at = await program.says("401 Unauthorized");
    Deno.removeSync(scene.path("token"));
    at = await program.says("401 Unauthorized", at);
    scene.writeSecret("token", NEW);
    await program.says("The credentials changed", at);
    await scene.works();
    await scene.end();
  }));

Deno.test("a token that was replaced in time is used although the old one would do (fault 14)", () =>
  withScene({ tokens: { [OLD]: "us", [NEW]: "us" } }, async (scene) => {
    scene.writeSecret("token", OLD);
    const program = await scene.start({ tokenFile: "token" });
    await scene.works();
    scene.writeSecret("token", NEW);
    await program.says("The credentials changed", 0, REREAD_MS);
    const shown = () => scene.server.log.map(({ request }) => request.headers.get("authorization"));
    // Main says so as it posts them: a WATCH that ends in that moment may still begin with the old.
    for (let tries = 0; tries < 3 && shown().at(-1) !== `Bearer ${NEW}`; tries++) {
      await scene.reconnects();
      await scene.works();
    }
    assertEquals([shown()[0], shown().at(-1)], [`Bearer ${OLD}`, `Bearer ${NEW}`]);
    assert(!program.stderr.includes("answered 401"));
    await scene.end();
  }));

Deno.test("a CA that changes: garbage is ignored, a bundle is taken (fault 16)", () =>
  withScene({}, async (scene) => {
    const { server, pki } = scene;
    const program = await scene.start({});
    await scene.works();
    scene.write("ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    await program.says("The credentials stay as they are for now", 0, REREAD_MS);
    await scene.reconnects();
    await scene.works();
    const next = new Pki("next-ca");
    server.setTls(next.server());
    server.dropConnections("reset");
    await program.says("certificate");
    scene.write("ca.crt", pki.ca + next.ca);
    await program.says("The credentials changed", 0, REREAD_MS);
    await scene.works(REREAD_MS);
    server.setTls(pki.server());
    server.dropConnections("reset");
    await scene.works(REREAD_MS);
    await scene.end();
  }));

Deno.test("a client certificate and its key, replaced one after the other", async () => {
  const [before, after] = [new Pki("users-before"), new Pki("users-after")];
  await withScene({ clientCa: before.ca }, async (scene) => {
    const { server } = scene;
    const [first, second] = [before.issue({ name: "us" }), after.issue({ name: "us" })];
    scene.write("client.crt", first.cert);
    scene.writeSecret("client.key", first.key);
    const program = await scene.start({
      "client-certificate": "client.crt",
      "client-key": "client.key",
    });
    await scene.works();
    scene.write("client.crt", second.cert);
    // The key in the file is still the old one: together they would be no pair.
    await program.says("The credentials stay as they are for now", 0, REREAD_MS);
    await scene.reconnects();
    await scene.works();
    scene.writeSecret("client.key", second.key);
    await program.says("The credentials changed", 0, REREAD_MS);
    server.auth.clientCa = after.ca;
    server.setTls({ ...scene.pki.server(), clientCa: after.ca });
    await scene.reconnects();
    await scene.works();
    assert(!program.stderr.includes("answered 403"));
    await scene.end();
  });
});

Deno.test("a plugin is run again before its token expires, and no request shows the old one later", () =>
  withScene({ tokens: { [OLD]: "us", [NEW]: "us" } }, async (scene) => {
    scene.secrets.add(OLD).add(NEW);
    const answer = (token: string, seconds: number) => {
      const expirationTimestamp = new Date(Date.now() + 1000 * seconds).toISOString();
      scene.write(
        "answer",
        JSON.stringify({
          kind: "ExecCredential",
          apiVersion: "client.authentication.k8s.io/v1",
          status: { token, expirationTimestamp },
        }),
      );
    };
    answer(OLD, 20);
    scene.write("plugin", `#!/bin/sh\nexec cat ${scene.path("answer")}\n`);
    Deno.chmodSync(scene.path("plugin"), 0o755);
    const exec = {
      apiVersion: "client.authentication.k8s.io/v1",
      command: scene.path("plugin"),
      interactiveMode: "Never",
    };
    const began = performance.now();
    const program = await scene.start({ exec });
    await scene.works();
    answer(NEW, 3600);
    await program.says("The credentials changed", 0, REREAD_MS);
    console.log(`new after ${((performance.now() - began) / 1000).toFixed(1)} s of 20`);
    scene.server.auth.tokens.delete(OLD);
    await scene.reconnects();
    await scene.works();
    assert(!program.stderr.includes("answered 401"));
    await scene.end();
  }));

Deno.test("a redirect, a login page and a proxy's error page: no other host sees the token (fault 42)", () =>
  withScene({ tokens: { [OLD]: "us" } }, async (scene) => {
    const other = await startFakeApiServer();
    try {
      const html = { "Content-Type": "text/html" };
      const Location = `${other.url}/api/v1/events?token=${OLD}`;
      const actions: [FaultAction, string][] = [
        [{ respond: { status: 302, headers: { Location } } }, "302, a redirect, which is not"],
        [{ respond: { status: 200, headers: html, body: `<html>${OLD}` } }, 'type "text/html"'],
        [{ respond: { status: 504, headers: html, body: "<html>late" } }, "504 Gateway Timeout"],
      ];
      for (const [action] of actions) scene.server.faults.push({ match: {}, action });
      scene.writeSecret("token", OLD);
      const program = await scene.start({ tokenFile: "token" });
      let at = 0;
      for (const [, said] of actions) at = await program.says(said, at);
      await scene.works();
      assertEquals(other.log.length, 0);
      await scene.end();
    } finally {
      await other.close();
    }
  }));

/** Runs a test with a proxy that is closed whatever happens. */
async function withProxy(
  login: string | null,
  body: (proxy: ConnectProxy) => Promise<void>,
): Promise<void> {
  const proxy = new ConnectProxy({ login });
  try {
    await body(proxy);
  } finally {
    await proxy.close();
  }
}

const LOGIN = "someone:hunter2-hunter2";

for (const way of ["HTTPS_PROXY", "proxy-url"]) {
  Deno.test(`a proxy with a password, of ${way}: everything goes through it, 504 is waited out (fault 42)`, () =>
    withScene({ tokens: { [OLD]: "us" } }, (scene) =>
      withProxy(LOGIN, async (proxy) => {
        scene.writeSecret("token", OLD);
        scene.secrets.add("hunter2").add(btoa(LOGIN));
        proxy.refusal = "504 Gateway Timeout";
        const url = `http://${LOGIN}@${proxy.address}`;
        const program = await scene.start(
          { tokenFile: "token" },
          way === "proxy-url" ? { cluster: { "proxy-url": url } } : { env: { [way]: url } },
        );
        await program.says("LIST /api/v1/events failed");
        assertEquals(scene.server.log.length, 0);
        proxy.refusal = null;
        await scene.works();
        const target = `127.0.0.1:${scene.server.port}`;
        assertEquals(new Set(proxy.connects.map((connect) => connect.target)), new Set([target]));
        assertEquals(proxy.connects.filter(({ status }) => status === 407), []);
        await scene.end();
      })));
}

Deno.test("a proxy that wants another password: no password and no token in the log (fault 42)", () =>
  withScene({ tokens: { [OLD]: "us" } }, (scene) =>
    withProxy(LOGIN, async (proxy) => {
      scene.writeSecret("token", OLD);
      scene.secrets.add("wrong-pass");
      const env = { HTTPS_PROXY: `http://someone:wrong-pass@${proxy.address}` };
      const program = await scene.start({ tokenFile: "token" }, { env });
      await program.says("failed: ");
      await until("it is refused again", () => proxy.connects.length >= 2);
      assertEquals(new Set(proxy.connects.map(({ status }) => status)), new Set([407]));
      assertEquals(scene.server.log.length, 0);
      await scene.end();
    })));

const TINYPROXY = findProgram("tinyproxy");

Deno.test(needing(
  TINYPROXY,
  "install tinyproxy (Debian: tinyproxy-bin)",
  "tinyproxy with a password passes the watch on (fault 42)",
  (command) =>
    withScene({ tokens: { [OLD]: "us" } }, async (scene) => {
      const port = freePort();
      scene.write(
        "tinyproxy.conf",
        `Port ${port}\nListen 127.0.0.1\nBasicAuth someone hunter2-hunter2\nLogFile "${
          scene.path("tinyproxy.log")
        }"\nLogLevel Connect\nMaxClients 10\n`,
      );
      const child = new Deno.Command(command, {
        args: ["-d", "-c", scene.path("tinyproxy.conf")],
        stdout: "null",
        stderr: "null",
      }).spawn();
      try {
        scene.writeSecret("token", OLD);
        scene.secrets.add("hunter2").add(btoa(LOGIN));
        const env = { HTTPS_PROXY: `http://${LOGIN}@127.0.0.1:${port}` };
        await scene.start({ tokenFile: "token" }, { env });
        await scene.works();
        await scene.reconnects();
        await scene.works();
        const log = Deno.readTextFileSync(scene.path("tinyproxy.log"));
        assert(log.includes(`CONNECT 127.0.0.1:${scene.server.port}`), log);
        await scene.end();
      } finally {
        child.kill();
        await child.status;
      }
    }),
));

const DIRECT: [hostname: string, noProxy: string][] = [
  ["127.0.0.1", "10.0.0.0/8,127.0.0.0/8"],
  ["::1", "::1/128"],
  ["::1", "fd00::/8,::1"],
];

for (const [hostname, noProxy] of DIRECT) {
  Deno.test(`NO_PROXY=${noProxy}: ${hostname} is asked without the proxy (fault 42)`, () =>
    withScene({ hostname }, (scene) =>
      withProxy(null, async (proxy) => {
        const env = { HTTPS_PROXY: `http://${proxy.address}`, NO_PROXY: noProxy };
        await scene.start({}, { env });
        await scene.works();
        assertEquals(proxy.connects, []);
        await scene.end();
      })));
}

Deno.test("an IPv6 address through a proxy, where NO_PROXY names another network (fault 42)", () =>
  withScene({ hostname: "::1" }, (scene) =>
    withProxy(null, async (proxy) => {
      const env = { HTTPS_PROXY: `http://${proxy.address}`, NO_PROXY: "fd00::/8,127.0.0.0/8" };
      await scene.start({}, { env });
      await scene.works();
      assertEquals(proxy.connects[0]!.target, `[::1]:${scene.server.port}`);
      await scene.end();
    })));

Deno.test("an IPv6 address, and a certificate for addresses alone (fault 43)", () =>
  withScene({ hostname: "::1" }, async (scene) => {
    scene.server.setTls(scene.pki.server({ hosts: ["::1"] }));
    await scene.start({});
    await scene.works();
    await scene.end();
  }));

Deno.test("certificates that are expired, not yet valid, or of another host: said, and waited out (fault 43)", () =>
  withScene({ tokens: { [OLD]: "us" } }, async (scene) => {
    const { server, pki } = scene;
    scene.writeSecret("token", OLD);
    const cases: [CertPair, string][] = [
      [pki.server({ days: -1 }), "expired"],
      [pki.server({ afterDays: 1 }), "not valid yet"],
      [pki.server({ hosts: ["10.0.0.1", "kubernetes.example"] }), "not valid for name"],
    ];
    server.setTls(cases[0]![0]);
    const program = await scene.start({ tokenFile: "token" });
    let at = 0;
    for (const [certificate, said] of cases) {
      server.setTls(certificate);
      at = await program.says(said, at);
    }
    assertEquals(server.log.length, 0);
    server.setTls(pki.server());
    await scene.works();
    await scene.end();
  }));

Deno.test("a server that would rather speak HTTP/2 is spoken to in HTTP/1.1 (fault 41)", () =>
  withScene({ offers: ["h2", "http/1.1"] }, async (scene) => {
    await scene.start({});
    await scene.works();
    await scene.reconnects();
    await scene.works();
    await scene.end();
  }));

/** The path of a program of this machine; null where it is not installed. */
function findProgram(name: string): string | null {
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/usr/bin"];
  const isThere = (path: string) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  };
  return folders.map((folder) => `${folder}/${name}`).find(isThere) ?? null;
}
