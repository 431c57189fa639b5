/** What each isolate can and cannot do: tried, with the permissions that the program really uses. */

import { assertEquals } from "@std/assert";
import { depsFlags } from "../../closed/deps.ts";
import { programFlags } from "../../deploy/build.ts";
import { watchPermissions } from "../../lib/watch_client.ts";
import { withTempFolder } from "../support/temp.ts";

/** Runs `body` with the URLs of two servers that answer. */
async function withServers(body: (own: string, other: string) => Promise<void>): Promise<void> {
  const serve = () =>
    Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response("here"));
  const servers = [serve(), serve()] as const;
  try {
    await body(
      `http://127.0.0.1:${servers[0].addr.port}`,
      `http://127.0.0.1:${servers[1].addr.port}`,
    );
  } finally {
    for (const server of servers) await server.shutdown();
  }
}

Deno.test("The watch isolate reaches its one host, no other, and no file, process or variable", async () => {
  await withTempFolder(async (folder) => {
    const file = `${folder}/secret`;
    await Deno.writeTextFile(file, "secret");
    await withServers(async (own, other) => {
      const worker = new Worker(new URL("./probe_worker.ts", import.meta.url), {
        type: "module",
        deno: { permissions: watchPermissions([new URL(own).host]) },
      });
      const answer = new Promise((resolve) => {
        worker.onmessage = (event) => resolve(event.data);
      });
      worker.postMessage({ own, other, file });
      assertEquals(await answer, {
        own: "done",
        other: "NotCapable",
        read: "NotCapable",
        write: "NotCapable",
        env: "NotCapable",
        run: "NotCapable",
        listen: "NotCapable",
        escalate: "NotCapable",
      });
      worker.terminate();
    });
  });
});

Deno.test("Main can dial out and run programs before it gives that up, and not after; files and its listener it keeps", async () => {
  await withTempFolder(async (folder) => {
    const file = `${folder}/file`;
    await Deno.writeTextFile(file, "text");
    await withServers(async (own) => {
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--quiet", ...await depsFlags(), ...programFlags()],
          new URL("./probe_main.ts", import.meta.url).pathname,
          own,
          file,
        ],
        stdin: "piped",
        stdout: "piped",
      }).spawn();
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      const { value: text } = await reader.read();
      const { url, ...found } = JSON.parse(text ?? "null");
      const done = {
        fetch: "done",
        connect: "done",
        run: "done",
        env: "done",
        ffi: "done",
        file: "done",
      };
      const refused = "NotCapable";
      assertEquals(found, {
        before: done,
        after: {
          fetch: refused,
          connect: refused,
          run: refused,
          env: refused,
          ffi: refused,
          file: "done",
        },
      });
      // What was listened on before goes on, and is all that is left of the network.
      assertEquals(await (await fetch(`${url}/healthz`)).text(), "ok\n");
      await child.stdin.close();
      assertEquals((await child.status).code, 0);
      await reader.cancel();
    });
  });
});
