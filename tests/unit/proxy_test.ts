import { assert, assertEquals } from "@std/assert";
import { parseProxyUrl, proxyOf } from "../../lib/proxy.ts";
import { withTempFolder } from "../support/temp.ts";

type Variables = Record<string, string>;

function proxyUrl(server: string, variables: Variables): string | null {
  return proxyOf(server, (name) => variables[name])?.url ?? null;
}

Deno.test("proxyOf() takes the variable that Deno takes", () => {
  const [all, https, http] = ["http://all:1", "http://https:2", "http://http:3"];
  const cases: [server: string, variables: Variables, expected: string | null][] = [
    ["https://s", {}, null],
    ["https://s", { HTTPS_PROXY: https, HTTP_PROXY: http }, https],
    ["http://s", { HTTPS_PROXY: https, HTTP_PROXY: http }, http],
    ["https://s", { https_proxy: https }, https],
    ["http://s", { http_proxy: http }, http],
    ["https://s", { all_proxy: all }, all],
    ["https://s", { ALL_PROXY: all, HTTPS_PROXY: https }, all],
    ["https://s", { ALL_PROXY: "", HTTPS_PROXY: https }, https],
    ["https://s", { HTTPS_PROXY: https, https_proxy: all }, https],
    ["https://s", { HTTPS_PROXY: "ftp://no", https_proxy: https }, https],
    ["http://s", { HTTP_PROXY: http, REQUEST_METHOD: "GET" }, null],
    ["https://127.0.0.1:6443", { HTTPS_PROXY: https }, https],
    ["https://s", { HTTPS_PROXY: https, NO_PROXY: "s" }, null],
    ["https://s", { HTTPS_PROXY: https, no_proxy: "s" }, null],
    ["https://s", { HTTPS_PROXY: https, NO_PROXY: "", no_proxy: "s" }, https],
  ];
  for (const [server, variables, expected] of cases) {
    assertEquals(proxyUrl(server, variables), expected, JSON.stringify([server, variables]));
  }
});

Deno.test("proxyOf() names the variable and drops user and password", () => {
  const env = (name: string) =>
    name === "https_proxy" ? "http://me:secret@proxy.example:3128/x" : undefined;
  assertEquals(proxyOf("https://s:6443", env), {
    url: "http://proxy.example:3128",
    variable: "https_proxy",
  });
});

Deno.test("proxyOf() reads NO_PROXY as Deno does (fault 42)", () => {
  const excluded: [host: string, list: string][] = [
    ["api.example.com", "example.com"],
    ["api.example.com", ".example.com"],
    ["example.com", ".example.com"],
    ["api.example.com", " other , api.example.com "],
    ["api.example.com", "*"],
    ["10.1.2.3", "10.0.0.0/8"],
    ["10.1.2.3", "0.0.0.0/0"],
    ["10.1.2.3", "10.1.2.3"],
    ["[fd00::1]", "fd00::/8"],
    ["[fd00::1]", "fd00:0:0::1"],
  ];
  const proxied: [host: string, list: string][] = [
    ["notexample.com", "example.com"],
    ["api.example.com", "*.example.com"],
    ["api.example.com", "10.0.0.0/8,,"],
    ["10.1.2.3", "*"],
    ["10.1.2.3", "10.0.0.0/33"],
    ["10.1.2.3", "11.0.0.0/8"],
    ["10.1.2.3", ".2.3"],
    ["[fd00::1]", "10.0.0.0/8,fe80::/10"],
  ];
  for (const [host, NO_PROXY] of excluded) {
    assertEquals(
      proxyUrl(`https://${host}`, { HTTPS_PROXY: "http://p", NO_PROXY }),
      null,
      NO_PROXY,
    );
  }
  for (const [host, NO_PROXY] of proxied) {
    const expected = "http://p";
    assertEquals(
      proxyUrl(`https://${host}`, { HTTPS_PROXY: "http://p", NO_PROXY }),
      expected,
      `${host} ${NO_PROXY}`,
    );
  }
});

Deno.test("parseProxyUrl() knows which URLs Deno uses", () => {
  const used: Variables = {
    "http://p:3128": "http://p:3128",
    "HTTPS://p": "https://p",
    "socks5://p:1080": "socks5://p:1080",
    "socks5h://u:p@[::1]:1080": "socks5h://[::1]:1080",
    "p:3128": "http://p:3128",
  };
  for (const [value, url] of Object.entries(used)) assertEquals(parseProxyUrl(value), url, value);
  for (const value of ["", "http://", "ftp://p", "http://user@p:1", "unix:/run/p", "a b"]) {
    assertEquals(parseProxyUrl(value), null, value);
  }
});

/** A forward proxy that answers by itself, and a server; both say who they are. */
async function withServers(
  work: (server: string, proxy: string) => Promise<void>,
): Promise<void> {
  const serve = (name: string) =>
    Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response(name));
  const server = serve("server");
  const proxy = serve("proxy");
  try {
    await work(`127.0.0.1:${server.addr.port}`, `127.0.0.1:${proxy.addr.port}`);
  } finally {
    await Promise.all([server.shutdown(), proxy.shutdown()]);
  }
}

/** Runs a script in a process of its own that may connect to one host alone. */
async function answerOf(script: string, host: string, env: Variables): Promise<string> {
  return await withTempFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/main.ts`, script);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-lock", "--no-check", "--no-config", "--no-prompt"],
        ...[`--allow-net=${host}`, "--allow-env", "--allow-read", `${folder}/main.ts`],
      ],
      clearEnv: true, // The machine's own proxies stay out of this.
      env: { HOME: folder, NO_COLOR: "1", ...env },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
    return text(stdout) || text(stderr);
  });
}

Deno.test("fetch goes where proxyOf() says, without a net permission for the proxy (fault 42)", () =>
  withServers(async (server, proxy) => {
    const script = `console.log(await (await fetch("http://${server}/")).text())`;
    const cases: [variables: Variables, expected: string][] = [
      [{}, "server"],
      [{ HTTP_PROXY: `http://${proxy}` }, "proxy"],
      [{ all_proxy: proxy }, "proxy"],
      [{ HTTP_PROXY: `http://${proxy}`, NO_PROXY: "127.0.0.0/8" }, "server"],
      [{ HTTP_PROXY: `http://${proxy}`, NO_PROXY: "*" }, "proxy"],
      [{ HTTP_PROXY: `http://user@${proxy}` }, "server"],
    ];
    for (const [variables, expected] of cases) {
      const said = proxyUrl(`http://${server}`, variables) === null ? "server" : "proxy";
      assertEquals(said, expected, JSON.stringify(variables));
      assertEquals(await answerOf(script, server, variables), expected, JSON.stringify(variables));
    }
    const toProxy = `console.log(await (await fetch("http://${proxy}/")).text())`;
    const refused = await answerOf(toProxy, server, { HTTP_PROXY: `http://${proxy}` });
    assert(refused.includes("NotCapable"), refused);
  }));

Deno.test("useOnlyProxy() overrules the environment, NO_PROXY too", () =>
  withServers(async (server, proxy) => {
    const module = import.meta.resolve("../../lib/proxy.ts");
    const script = `import { useOnlyProxy } from ${JSON.stringify(module)};
      useOnlyProxy("http://u:p@${proxy}");
      console.log(await (await fetch("http://${server}/")).text());`;
    const variables = { HTTP_PROXY: "http://127.0.0.1:9", NO_PROXY: "127.0.0.1", no_proxy: "*" };
    assertEquals(await answerOf(script, server, variables), "proxy");
  }));
