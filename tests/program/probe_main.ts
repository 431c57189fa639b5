/**
 * Listens, gives up what main gives up, then tries to dial out; run by permissions_test.ts. It goes on
 * until its standard input ends.
 */

import { ObserveServer } from "../../lib/observe_server.ts";
import { givePermissionsUp } from "../../lib/privileges.ts";

const [url, file] = Deno.args as [string, string];

async function outcome(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
}

async function attempts(): Promise<Record<string, string>> {
  return {
    fetch: await outcome(async () => await (await fetch(url)).body?.cancel()),
    connect: await outcome(async () => {
      const { hostname, port } = new URL(url);
      (await Deno.connect({ hostname, port: Number(port) })).close();
    }),
    run: await outcome(() => new Deno.Command("true").outputSync()),
    env: await outcome(() => Deno.env.get("HOME")),
    ffi: await outcome(() => Deno.dlopen("libc.so.6", {}).close()),
    file: await outcome(() => Deno.readTextFileSync(file)),
  };
}

const server = await ObserveServer.open({ hostname: "127.0.0.1", port: 0 });
const before = await attempts();
await givePermissionsUp(false);
console.log(JSON.stringify({ url: server.url, before, after: await attempts() }));
await Deno.stdin.read(new Uint8Array(1));
await server.close();
