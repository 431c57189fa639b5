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

Deno.test("Main can dial out and run programs before it gives that up, and not after; files it keeps", async () => {
  await withTempFolder(async (folder) => {
    const file = `${folder}/file`;
    await Deno.writeTextFile(file, "text");
    await withServers(async (own) => {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--quiet", ...await depsFlags(), ...programFlags()],
          new URL("./probe_main.ts", import.meta.url).pathname,
          own,
          file,
        ],
      }).output();
      const text = new TextDecoder().decode(stdout);
      if (text === "") throw new Error(new TextDecoder().decode(stderr));
      const gone = ["fetch", "connect", "run", "env", "ffi"];
      const all = (outcome: string) => Object.fromEntries(gone.map((name) => [name, outcome]));
      assertEquals(JSON.parse(text), {
        before: { ...all("done"), file: "done" },
        after: { ...all("NotCapable"), file: "done" },
      });
    });
  });
});
