/** Tries what the watch isolate must not be able to do; run by permissions_test.ts. */

/** What a worker's global scope has; the DOM's types know only a window's. */
const scope = self as unknown as EventTarget & { postMessage(message: unknown): void };

type Probe = { own: string; other: string; file: string };

async function outcome(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
    return "done";
  } catch (error) {
    return (error as Error).name;
  }
}

async function get(url: string): Promise<void> {
  const response = await fetch(url);
  await response.body?.cancel();
}

scope.addEventListener("message", async (event) => {
  const { own, other, file } = (event as MessageEvent<Probe>).data;
  scope.postMessage({
    own: await outcome(() => get(own)),
    other: await outcome(() => get(other)),
    read: await outcome(() => Deno.readTextFileSync(file)),
    write: await outcome(() => Deno.writeTextFileSync(`${file}.new`, "")),
    env: await outcome(() => Deno.env.get("HOME")),
    run: await outcome(() => new Deno.Command("true").outputSync()),
    listen: await outcome(() => Deno.listen({ port: 0, hostname: "127.0.0.1" }).close()),
    escalate: await outcome(() => {
      const options = { type: "module", deno: { permissions: { read: true } } } as const;
      new Worker(new URL("./probe_worker.ts", import.meta.url), options).terminate();
    }),
  });
});
