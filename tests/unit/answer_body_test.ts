import { assertEquals } from "@std/assert";
import { Body, type BodyReader } from "../../lib/answer_body.ts";
import { TURN_MS } from "../../lib/limits.ts";

/** A server that is always ahead: each read finds its bytes at once. */
function busyReader(): BodyReader {
  return {
    read: (room) => Promise.resolve({ done: false, value: room.subarray(0, 1) }),
    cancel: () => Promise.resolve(),
  };
}

Deno.test("timers and messages have their turn while every read finds its bytes at once", async () => {
  const body = new Body(busyReader(), new AbortController().signal);
  const room = new Uint8Array(8);
  const { port1, port2 } = new MessageChannel();
  const heard: string[] = [];
  port1.onmessage = () => heard.push("message");
  port2.postMessage("news");
  const timer = setTimeout(() => heard.push("timer"), 1);
  const deadlineMs = performance.now() + 100 * TURN_MS;
  while (heard.length < 2 && performance.now() < deadlineMs) await body.read(room);
  clearTimeout(timer);
  port1.close();
  port2.close();
  assertEquals(heard.toSorted(), ["message", "timer"]);
});
