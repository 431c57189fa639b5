/** The isolate of bench/relay.ts that reads; each piece that comes moves on as it is. */

/** The part of a worker's global scope that is used; the types of a page know only `window`. */
const scope = globalThis as unknown as {
  onmessage: ((event: MessageEvent<{ url: string; ca: string }>) => void) | null;
  postMessage(message: Uint8Array, transfer: Transferable[]): void;
};

scope.onmessage = async ({ data: { url, ca } }) => {
  const { hostname, port, host, pathname, search } = new URL(url);
  const conn = await Deno.connectTls({ hostname, port: Number(port), caCerts: [ca] });
  await conn.write(
    new TextEncoder().encode(`GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
  );
  const window = new Uint8Array(64 * 1024);
  for (;;) {
    const count = await conn.read(window);
    if (count === null) return;
    const piece = window.slice(0, count);
    scope.postMessage(piece, [piece.buffer]);
  }
};
