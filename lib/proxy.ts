/**
 * Which proxy Deno's fetch goes through, and how to choose another.
 *
 * The rules are those of Deno (ext/fetch/proxy.rs, 2.6 to 2.9), not Go's: also a server on
 * 127.0.0.1 is asked for through the proxy unless NO_PROXY names it. fetch needs no net permission
 * for a proxy that the environment names (tests/unit/proxy_test.ts holds Deno to that), so the
 * watch isolate is given none: with it, it could ask the proxy for any host.
 */

import { BlockList, isIP } from "node:net";

/** A proxy, without its password. */
export interface Proxy {
  /** `http://host:port`, or `socks5://host:port`. */
  url: string;
  /** The variable that names it. */
  variable: string;
}

type Env = (name: string) => string | undefined;

/** The proxy between us and a server; null where there is none. */
export function proxyOf(server: string, env: Env): Proxy | null {
  const url = new URL(server);
  if (isExcluded(url.hostname, env("NO_PROXY") ?? env("no_proxy") ?? "")) return null;
  const own = url.protocol === "https:" ? "HTTPS_PROXY" : "HTTP_PROXY";
  // A program that a web server runs (CGI) gets a "Proxy:" header of the visitor as HTTP_PROXY.
  const names = own === "HTTP_PROXY" && env("REQUEST_METHOD") !== undefined
    ? ["ALL_PROXY"]
    : ["ALL_PROXY", own];
  for (const name of names) {
    for (const variable of [name, name.toLowerCase()]) {
      const proxy = parseProxyUrl(env(variable) ?? "");
      if (proxy !== null) return { url: proxy, variable };
    }
  }
  return null;
}

/**
 * A proxy's URL as Deno understands it, without user and password.
 *
 * @returns null where Deno would ignore it: another scheme, or a user without a password
 */
export function parseProxyUrl(value: string): string | null {
  const form =
    /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:([^@/]*)@)?((?:\[[0-9a-f:.]+\]|[^@/:\s]+)(?::\d+)?)(?:\/.*)?$/i;
  const match = form.exec(value);
  if (match === null) return null;
  const [, scheme = "http", user, authority] = match;
  if (!["http", "https", "socks5", "socks5h"].includes(scheme.toLowerCase())) return null;
  if (user !== undefined && !user.includes(":")) return null;
  return `${scheme.toLowerCase()}://${authority}`;
}

/**
 * Sends everything that fetch asks for from now on through this proxy alone, as proxy-url wants.
 */
export function useOnlyProxy(url: string): void {
  // ALL_PROXY is asked first; the others never matter beside it.
  Deno.env.set("ALL_PROXY", url);
  Deno.env.delete("NO_PROXY");
  Deno.env.delete("no_proxy");
}

/** NO_PROXY: names with all below them, addresses, networks, or `*`; separated by commas. */
function isExcluded(hostname: string, list: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const entries = list.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
  const family = isIP(host);
  if (family === 0) {
    return entries.some((entry) =>
      entry === "*" || host === entry.replace(/^\./, "") ||
      host.endsWith(entry.startsWith(".") ? entry : `.${entry}`)
    );
  }
  return entries.some((entry) => isInNetwork(host, family, entry));
}

/** Whether an address is the address or in the network (10.0.0.0/8) that an entry names. */
function isInNetwork(host: string, family: number, entry: string): boolean {
  const [address, bits] = entry.split("/", 2);
  const version = family === 4 ? "ipv4" : "ipv6";
  if (isIP(address!) !== family) return false;
  const longest = family === 4 ? 32 : 128;
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > longest)) return false;
  const network = new BlockList();
  network.addSubnet(address!, bits === undefined ? longest : Number(bits), version);
  return network.check(host, version);
}
