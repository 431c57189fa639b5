/**
 * The least that two isolates can be: one reads from the network, the other appends to a file. What
 * that costs at a trickle is Deno's event loop, messages and promises. Nothing is understood here.
 *
 * `relay URL CA_FILE FILE`, compiled with bench/relay_reader.ts
 */

const [url = "", caFile = "", path = ""] = Deno.args;
const file = Deno.openSync(path, { append: true, create: true });
const worker = new Worker(new URL("./relay_reader.ts", import.meta.url), { type: "module" });
worker.onmessage = ({ data }: MessageEvent<Uint8Array>) => void file.writeSync(data);
worker.postMessage({ url, ca: Deno.readTextFileSync(caFile) });
