/**
 * The least that one isolate can be: it reads from the network and appends to a file. Less than
 * that nothing on Deno can cost.
 *
 * `alone URL CA_FILE FILE`, compiled
 */

import { readStream } from "./stream.ts";

const [url = "", caFile = "", path = ""] = Deno.args;
const file = Deno.openSync(path, { append: true, create: true });
await readStream(url, Deno.readTextFileSync(caFile), (piece) => void file.writeSync(piece));
