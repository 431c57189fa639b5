/**
 * The raw copy where there is no curl: the bytes of an answer, head and chunk sizes and all, into a
 * file, until the last chunk. `deno run -A bench/copy.ts URL CA_FILE FILE`
 */

const [given = "", caFile = "", path = ""] = Deno.args;
const url = new URL(given);
const to = { hostname: url.hostname, port: Number(url.port) };
const conn = url.protocol === "https:"
  ? await Deno.connectTls({ ...to, caCerts: [Deno.readTextFileSync(caFile)] })
  : await Deno.connect(to);
const file = Deno.openSync(path, { write: true, create: true, truncate: true });
const request = `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`;
await conn.write(new TextEncoder().encode(request));
const buffer = new Uint8Array(256 * 1024);
const last = new TextEncoder().encode("\r\n0\r\n\r\n");
for (let end = "";;) {
  const count = await conn.read(buffer);
  if (count === null) break;
  for (let at = 0; at < count;) at += file.writeSync(buffer.subarray(at, count));
  end = (end + String.fromCharCode(...buffer.subarray(Math.max(0, count - last.length), count)))
    .slice(-last.length);
  if (end === new TextDecoder().decode(last)) break;
}
Deno.exit(0);
