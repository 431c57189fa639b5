import { assert, assertEquals } from "@std/assert";
import { ByteWindow } from "../../lib/byte_window.ts";

Deno.test("bytes are another view after each room() and fill(), in the same memory or not", () => {
  const window = new ByteWindow(1024 * 1024);
  const seen = new Set<Uint8Array>();
  const isNew = () => {
    assert(!seen.has(window.bytes), "EventModule would take it for what it has copied");
    seen.add(window.bytes);
  };
  isNew();
  const { buffer } = window.bytes;
  for (const keepFrom of [0, 0, 3, 5]) {
    const room = window.room(keepFrom);
    isNew();
    // As lib/http_connection.ts does: the memory stays, nothing is transferred.
    window.fill(room.subarray(0, 5));
    isNew();
    assertEquals(window.bytes.buffer, buffer);
  }
});
