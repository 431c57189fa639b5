/**
 * `deno task wasm`: compiles wasm/event.ts to lib/event_wasm.ts.
 *
 * Needs npm's assemblyscript, which nothing else does: whoever builds the program takes what is in
 * the tree. tests/unit/event_wasm_test.ts sees that it is what the source compiles to.
 */

const COMPILER = "npm:assemblyscript@0.28.20/asc";

/** Pages of 64 KiB: tables, a window and a draft of 256 KiB each. */
const PAGES = 9;

const FLAGS = ["-O3", "--noAssert", "--runtime", "stub", "--enable", "simd,bulk-memory"]
  .concat(["--initialMemory", `${PAGES}`, "--maximumMemory", `${PAGES}`]);

const root = new URL("../", import.meta.url);

/** Where the result belongs. */
export const MODULE = new URL("lib/event_wasm.ts", root);

/**
 * What wasm/event.ts compiles to, as the text of {@linkcode MODULE}.
 *
 * @returns null where the compiler cannot be had
 * @throws Error where the source does not compile
 */
export async function compiled(): Promise<string | null> {
  const target = await Deno.makeTempFile({ suffix: ".wasm" });
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-lock", "--no-config", "-A", COMPILER, "wasm/event.ts"]
        .concat(["-o", target, ...FLAGS]),
      cwd: root,
    }).output();
    if (success) return moduleText((await Deno.readFile(target)).toBase64());
    const text = new TextDecoder().decode(stderr);
    if (text.includes("compile error")) throw new Error(text);
    return null;
  } finally {
    await Deno.remove(target);
  }
}

function moduleText(base64: string): string {
  const lines = base64.match(/.{1,90}/g)!.map((line) => `  "${line}",\n`).join("");
  return "/** Made by `deno task wasm` of wasm/event.ts: WebAssembly in Base64. */\n" +
    `export const EVENT_WASM: string = [\n${lines}].join("");\n`;
}

if (import.meta.main) {
  const text = await compiled();
  if (text === null) throw new Error(`No ${COMPILER}`);
  await Deno.writeTextFile(MODULE, text);
}
