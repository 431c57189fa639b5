/** Which test files a command line names, and which of our files they use. */

/** The arguments that are paths of the tree. */
export function pathsIn(root: URL, args: string[]): string[] {
  return args.filter((arg) => !arg.startsWith("-") && statOf(new URL(arg, root)) !== null);
}

/** All test files at or below these paths, relative to the tree, as `deno test` would find them. */
export function testFiles(root: URL, paths: string[]): string[] {
  return paths.flatMap((path) => {
    const bare = path.replace(/\/+$/, "");
    if (statOf(new URL(bare, root))?.isFile) return [bare];
    const names = Array.from(Deno.readDirSync(new URL(bare, root)), ({ name }) => name).sort();
    const below = names.filter((name) => !name.startsWith(".") && name !== "node_modules");
    const entries = below.map((name) => `${bare}/${name}`);
    const isFolder = (entry: string) => statOf(new URL(entry, root))?.isDirectory;
    const files = entries.filter((entry) => /_test\.tsx?$/.test(entry) && !isFolder(entry));
    return [...files, ...testFiles(root, entries.filter(isFolder))];
  });
}

/** The files that these import, and those that they import in turn, themselves among them. */
export function withImports(root: URL, files: string[]): Set<string> {
  const known = new Set(files);
  for (const file of known) { // What is added on the way is met too.
    const source = Deno.readTextFileSync(new URL(file, root));
    for (const [, specifier] of source.matchAll(/from "(\.[^"]+)"/g)) {
      const path = new URL(specifier ?? "", new URL(file, root)).href.slice(root.href.length);
      if (statOf(new URL(path, root))?.isFile) known.add(path);
    }
  }
  return known;
}

/**
 * The test files that a report does not tell of: their modules failed to load. Deno reports a test
 * under the file that registers it, which may be a helper that the test file imports.
 *
 * @param told the files that the report names
 */
export function filesMissing(root: URL, files: string[], told: ReadonlySet<string>): string[] {
  return files.filter((file) => withImports(root, [file]).isDisjointFrom(told));
}

function statOf(path: URL): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch {
    return null;
  }
}
