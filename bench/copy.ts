/**
 * The raw copy where there is no curl: the bytes of answers, heads and chunk sizes and all, to
 * stdout. `deno run -A bench/copy.ts CA_FILE URL... > FILE`, all URLs of one server
 */

const [caFile = "", ...urls] = Deno.args;
const { protocol, hostname, port, host } = new URL(urls[0]!);
const to = { hostname, port: Number(port) };
const conn = protocol === "https:"
  ? await Deno.connectTls({ ...to, caCerts: [Deno.readTextFileSync(caFile)] })
  : await Deno.connect(to);
const buffer = new Uint8Array(256 * 1024);
const LAST_CHUNK = "\r\n0\r\n\r\n";
for (const { pathname, search } of urls.map((url) => new URL(url))) {
  const request = `GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  await conn.write(new TextEncoder().encode(request));
  for (let end = ""; end !== LAST_CHUNK;) {
    const count = await conn.read(buffer);
    if (count === null) throw new Error("the connection ended before the last chunk");
    for (let at = 0; at < count;) at += Deno.stdout.writeSync(buffer.subarray(at, count));
    const tail = buffer.subarray(Math.max(0, count - LAST_CHUNK.length), count);
    end = (end + String.fromCharCode(...tail)).slice(-LAST_CHUNK.length);
  }
}
Deno.exit(0);
