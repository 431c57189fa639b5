import { assert } from "@std/assert";
import { compiled, MODULE } from "../../wasm/build.ts";
import { needing } from "../support/skip.ts";

Deno.test(needing(
  await compiled(),
  "npm's assemblyscript must be at hand.",
  "lib/event_wasm.ts is what wasm/event.ts compiles to",
  (text) => assert(Deno.readTextFileSync(MODULE) === text, "run `deno task wasm`"),
));
