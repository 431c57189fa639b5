/** Folders for a test, and keys for the ring. */

/** Runs `body` with a new empty folder, removed afterwards. */
export async function withTempFolder<T>(body: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "kube-event-pipe-test-" });
  try {
    return await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The seed of a random test: SEED where it is set, else a new one; printed, so it can be repeated. */
export function testSeed(): number {
  const given = Deno.env.get("SEED");
  const seed = given === undefined ? crypto.getRandomValues(new Uint32Array(1))[0]! : Number(given);
  console.log(`seed ${seed} (repeat with SEED=${seed})`);
  return seed;
}

/** Repeatable random numbers: mulberry32, 32 bits each. */
export function randomUint32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** `count` random keys of eight lanes each. */
export function randomKeys(next: () => number, count: number): Uint32Array {
  return Uint32Array.from({ length: 8 * count }, next);
}

/** Resolves as soon as `holds` does; fails with `what` after `timeoutMs`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!await holds()) {
    if (performance.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
