/**
 * Tells whether the packages of JSR can be had here, and with which flags to run `deno`.
 *
 * Where JSR answers there are none. Where it does not, `--import-map` puts the stand-ins of this
 * folder in their place. The answer is kept in .cache/jsr for a while, so that most tasks do not
 * ask. KEP_CLOSED=1 always takes the stand-ins, KEP_CLOSED=0 always the packages.
 *
 * `deno task deps` prints the flags; the other tasks of deno.json use `$(deno task -q deps)`.
 */

/** How long JSR gets to answer, ms. */
const ANSWER_MS = 2_000;
/** How long "it answers" is believed, ms: what was fetched meanwhile stays in Deno's own cache. */
const OPEN_MS = 60 * 60_000;
/** How long "it does not answer" is believed, ms. */
const CLOSED_MS = 5 * 60_000;

const root = new URL("../", import.meta.url);
const memory = new URL(".cache/jsr", root);

/** The import map with the stand-ins, relative to the top of the tree. */
export const CLOSED_MAP = "closed/import_map.json";

/** True where the stand-ins are to be used. Asks JSR at most once an hour (closed: 5 minutes). */
export async function isClosed(): Promise<boolean> {
  const wish = Deno.env.get("KEP_CLOSED");
  if (wish === "1" || wish === "0") return wish === "1";
  return remembered() ?? remember(!await jsrAnswers());
}

/** The flags for `deno run`, `test`, `check`, `bench` and `compile`, absolute paths in them. */
export async function depsFlags(): Promise<string[]> {
  return await isClosed() ? ["--import-map", new URL(CLOSED_MAP, root).pathname] : [];
}

function remembered(): boolean | null {
  try {
    const [answer, time] = Deno.readTextFileSync(memory).split(" ");
    const ageMs = Date.now() - Number(time);
    const isClosed = answer === "closed";
    return ageMs >= 0 && ageMs < (isClosed ? CLOSED_MS : OPEN_MS) ? isClosed : null;
  } catch {
    return null; // Never asked here, or the folder was cleared.
  }
}

function remember(isClosed: boolean): boolean {
  try {
    Deno.mkdirSync(new URL(".", memory), { recursive: true });
    Deno.writeTextFileSync(memory, `${isClosed ? "closed" : "open"} ${Date.now()}`);
  } catch {
    // A tree that cannot be written asks again each time.
  }
  return isClosed;
}

async function jsrAnswers(): Promise<boolean> {
  const registry = Deno.env.get("JSR_URL") || "https://jsr.io/";
  try {
    const url = new URL("@std/log/meta.json", registry.endsWith("/") ? registry : `${registry}/`);
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // No name, no route, no answer in time: all the same to us.
  }
}

if (import.meta.main) {
  if (await isClosed()) console.log(`--import-map ${CLOSED_MAP}`);
}
