/** What is in the compiled program. */

import { assert } from "@std/assert";
import { BINARY_HOW, compiledBinary } from "../support/binary.ts";
import { needing } from "../support/skip.ts";

/** What `deno compile` adds stands at the end of the file, and takes less than this, bytes. */
const PAYLOAD_BYTES_MAX = 4 * 1024 * 1024;

Deno.test(needing(
  compiledBinary(),
  BINARY_HOW,
  "The compiled program holds both isolates as bundles, and no source beside them",
  async (binary) => {
    using file = await Deno.open(binary);
    await file.seek(-PAYLOAD_BYTES_MAX, Deno.SeekMode.End);
    const payload = await new Response(file.readable).text();
    assert(payload.includes(".deno_compile_worker_"), "the bundle of the watch isolate");
    // Each process keeps all of it in memory.
    assert(!payload.includes("is an assumption of ours that does not hold"), "no comment");
  },
));
