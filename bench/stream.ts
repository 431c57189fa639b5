/** The stream of a WATCH over TLS, as it comes: for programs that understand nothing of it. */

/** Asks for a WATCH; calls `take` with each piece of the answer, which it may keep. */
export async function readStream(
  url: string,
  ca: string,
  take: (piece: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  const { hostname, port, host, pathname, search } = new URL(url);
  const conn = await Deno.connectTls({ hostname, port: Number(port), caCerts: [ca] });
  await conn.write(
    new TextEncoder().encode(`GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
  );
  const window = new Uint8Array(64 * 1024);
  for (;;) {
    const count = await conn.read(window);
    if (count === null) return;
    take(window.slice(0, count));
  }
}
