import { assert } from "@std/assert";
import { realIo } from "../../lib/real_io.ts";

Deno.test("sleep(0) gives timers, messages and files their turn", async () => {
  const { port1, port2 } = new MessageChannel();
  const came = { timer: false, message: false, file: false };
  const timer = setTimeout(() => came.timer = true, 5);
  port2.onmessage = () => came.message = true;
  port1.postMessage("");
  void Deno.stat(Deno.execPath()).then(() => came.file = true);
  const endMs = performance.now() + 10_000;
  let turns = 0;
  for (; !(came.timer && came.message && came.file); turns++) {
    assert(performance.now() < endMs, JSON.stringify({ turns, ...came }));
    await realIo.sleep(0);
  }
  clearTimeout(timer);
  port1.close();
});
