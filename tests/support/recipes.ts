/** The configurations that docs/RECIPES.md shows, so that tests run what people copy. */

const RECIPES = new URL("../../docs/RECIPES.md", import.meta.url);

/** The fenced block whose first line is `# ` and `title`, without that line. @throws Error none */
export function recipe(title: string): string {
  const text = Deno.readTextFileSync(RECIPES);
  for (const [, head = "", body = ""] of text.matchAll(/^```\w+\n(.*)\n([^]*?)^```$/gm)) {
    if (head === `# ${title}`) return body;
  }
  throw new Error(`docs/RECIPES.md has no block that begins with "# ${title}"`);
}
