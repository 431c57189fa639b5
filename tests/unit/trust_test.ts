import { assertEquals } from "@std/assert";
import { KeyFolder } from "../support/keys.ts";

/**
 * Asks a server for its greeting as the program does: main prepares the process and reads the CA, a
 * worker with a net permission alone connects. Prints the greeting or the refusal.
 */
const CLIENT = (module: string) => `
import { loadCluster, prepareFetch } from ${JSON.stringify(module)};
const [kubeconfig, prepare] = Deno.args;
const cluster = loadCluster({ kubeconfig });
if (prepare === "yes") prepareFetch(cluster);
const { caCerts } = await cluster.credentialSource.load();
const source = \`self.onmessage = async ({ data: { server, caCerts } }) => {
  const client = Deno.createHttpClient({ caCerts, http2: false });
  try {
    self.postMessage(await (await fetch(server, { client })).text());
  } catch (error) {
    const why = /UnknownIssuer/.exec(error.stack + String(error.cause))?.[0];
    self.postMessage(why ?? String(error));
  }
};\`;
const worker = new Worker("data:text/javascript," + encodeURIComponent(source), {
  type: "module",
  deno: { permissions: { net: cluster.netHosts } },
});
worker.onmessage = ({ data }) => { console.log(data); worker.terminate(); };
worker.postMessage({ server: cluster.server, caCerts });
`;

interface Setup {
  keys: KeyFolder;
  /** Runs the client with this CA in its kubeconfig, or none. */
  ask(options: { ca: string | null; env: Record<string, string>; prepare: boolean }): string;
}

async function withServer(work: (setup: Setup) => void | Promise<void>): Promise<void> {
  const keys = new KeyFolder();
  const { certFile, keyFile } = keys.signed("server", "subjectAltName = IP:127.0.0.1");
  const script = keys.file("client.ts", CLIENT(import.meta.resolve("../../lib/kubeconfig.ts")));
  const map = new URL("../../closed/import_map.json", import.meta.url).pathname;
  // The server has a process of its own, because asking it holds this one.
  const server = new Deno.Command("openssl", {
    args: `s_server -accept 127.0.0.1:0 -cert ${certFile} -key ${keyFile} -WWW`.split(" "),
    cwd: keys.folder,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    const port = await acceptPort(server.stdout);
    keys.file("hello", "hello");
    const ask: Setup["ask"] = ({ ca, env, prepare }) => {
      const cluster = { server: `https://127.0.0.1:${port}/hello` };
      const kubeconfig = keys.file(
        "config",
        JSON.stringify({
          "current-context": "a",
          contexts: [{ name: "a", context: { cluster: "a" } }],
          clusters: [{
            name: "a",
            cluster: { ...cluster, ...(ca && { "certificate-authority": ca }) },
          }],
        }),
      );
      const flags = [
        "--no-lock",
        "--no-check",
        "--no-config",
        "--quiet",
        "-A",
        "--import-map",
        map,
      ];
      const { stdout, stderr } = new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          ...flags,
          "--unstable-worker-options",
          script,
          kubeconfig,
          prepare ? "yes" : "",
        ],
        env: { NO_PROXY: "127.0.0.1", NO_COLOR: "1", ...env },
      }).outputSync();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
      return text(stdout) || text(stderr);
    };
    await work({ keys, ask });
  } finally {
    server.kill("SIGKILL");
    await server.status;
    keys.close();
  }
}

/** The port that openssl says it accepts on; what it prints later is thrown away. */
async function acceptPort(stdout: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const lines = stdout.pipeThrough(new TextDecoderStream());
  const reader = lines.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    const port = /ACCEPT .*:(\d+)/.exec(text += value ?? "")?.[1];
    if (port !== undefined) {
      await reader.cancel();
      return port;
    }
    if (done) throw new Error(`openssl s_server did not start: ${text}`);
  }
}

Deno.test("prepareFetch() makes every isolate trust the given CA alone", () =>
  withServer(({ keys, ask }) => {
    const right = keys.ca.certFile;
    const wrong = keys.selfSigned("wrong").certFile;
    const others = { NODE_EXTRA_CA_CERTS: right, DENO_CERT: right };
    assertEquals(ask({ ca: right, env: {}, prepare: true }), "hello");
    assertEquals(ask({ ca: wrong, env: {}, prepare: true }), "UnknownIssuer");
    assertEquals(ask({ ca: wrong, env: others, prepare: true }), "UnknownIssuer");
    // Without it, Deno would listen to the environment too.
    assertEquals(ask({ ca: wrong, env: others, prepare: false }), "hello");
  }));

Deno.test("prepareFetch() takes the system's roots where no CA is given, or what the operator chose", () =>
  withServer(({ keys, ask }) => {
    const right = keys.ca.certFile;
    assertEquals(ask({ ca: null, env: {}, prepare: true }), "UnknownIssuer");
    assertEquals(ask({ ca: null, env: { SSL_CERT_FILE: right }, prepare: true }), "hello");
    assertEquals(ask({ ca: null, env: { SSL_CERT_FILE: right }, prepare: false }), "UnknownIssuer");
    const chosen = { SSL_CERT_FILE: right, DENO_TLS_CA_STORE: "mozilla" };
    assertEquals(ask({ ca: null, env: chosen, prepare: true }), "UnknownIssuer");
    assertEquals(ask({ ca: null, env: { DENO_CERT: right }, prepare: true }), "hello");
  }));
