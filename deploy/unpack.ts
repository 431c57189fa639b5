/** Unpacks a program from a gzip file. Who looks at `target` never sees half of it. */
export async function unpackProgram(packed: URL, target: URL): Promise<void> {
  await Deno.mkdir(new URL(".", target), { recursive: true });
  const part = new URL(`${target.href}.${Deno.pid}`);
  const input = await Deno.open(packed);
  const output = await Deno.open(part, { write: true, create: true, truncate: true, mode: 0o755 });
  await input.readable.pipeThrough(new DecompressionStream("gzip")).pipeTo(output.writable);
  await Deno.rename(part, target);
}

/** True where `target` is there and not older than what it is unpacked from. */
export function isUnpacked(packed: URL, target: URL): boolean {
  try {
    return Number(Deno.statSync(target).mtime) >= Number(Deno.statSync(packed).mtime);
  } catch {
    return false;
  }
}
