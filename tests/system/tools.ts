/** Programs that tests use where they are installed. */

/** What apt puts where root alone looks, and what `go install` makes. */
const FOLDERS = [
  "/usr/local/sbin",
  "/usr/sbin",
  "/sbin",
  Deno.env.get("GOBIN") || `${Deno.env.get("GOPATH") || `${Deno.env.get("HOME")}/go`}/bin`,
];

/** The path of a program on PATH or in one of {@linkcode FOLDERS}; null where there is none. */
export function findTool(name: string): string | null {
  for (const folder of [...(Deno.env.get("PATH") ?? "").split(":"), ...FOLDERS]) {
    const path = `${folder}/${name}`;
    try {
      if (Deno.statSync(path).isFile) return path;
    } catch {
      // Not here.
    }
  }
  return null;
}
