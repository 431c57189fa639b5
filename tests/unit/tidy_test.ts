/** Rules of the tree that no compiler knows. */

import { assertEquals } from "@std/assert";
import { VERSION } from "../../lib/version.ts";
import { withImports } from "../support/test_files.ts";

const root = new URL("../../", import.meta.url);

const LINES_MAX = 400;
const COLUMNS_MAX = 100;

/**
 * Who touches what, and nobody else. Bytes from the network are parsed in the watch isolate, where
 * files are out of reach; what holds the files is kept behind one interface, for the simulator.
 */
const REACH: { what: string; signs: string[]; files: string[] }[] = [
  {
    what: "files",
    signs: [
      String.raw`\bDeno\.(open|read[A-Z]|write[FT]|l?stat|mkdir|remove|rename|truncate|copyFile)`,
      String.raw`\bDeno\.(create(Sync)?\b|link|symlink|ch(mod|own|dir)|makeTemp|realPath|utime)`,
      'from "node:fs',
    ],
    // The last three read kubeconfigs, certificates and tokens, before anything is watched.
    files: ["real_io.ts", "credentials.ts", "kubeconfig.ts", "kubeconfig_file.ts"],
  },
  {
    what: "the network",
    signs: [
      String.raw`\bDeno\.(createHttpClient|connect|listen|serve|resolveDns)`,
      String.raw`(?<![.#\w])fetch\(`,
      'from "node:(http|https|http2|net|tls|dgram|dns)"',
    ],
    // Of node:net, proxy.ts takes the arithmetic of addresses alone.
    files: [
      "api_client.ts",
      "http_connection.ts",
      "key_pair.ts",
      "observe_server.ts",
      "proxy.ts",
    ],
  },
  {
    what: "other processes",
    signs: [String.raw`\bDeno\.(Command|kill)\b`, 'from "node:child_process"'],
    files: ["exec_plugin.ts"],
  },
  {
    what: "the environment",
    signs: [String.raw`\bDeno\.env\b`, String.raw`\bprocess\.env\b`],
    files: ["kubeconfig.ts", "proxy.ts", "sd_notify.ts"],
  },
  {
    what: "native code",
    signs: [String.raw`\bDeno\.(dlopen|Unsafe)`],
    files: ["sd_notify.ts"],
  },
  {
    what: "the end of the process",
    signs: [String.raw`\bDeno\.exit`],
    files: ["signals.ts"],
  },
];

/** All files of the tree that someone wrote, relative to it. */
function filesBelow(folder = ""): string[] {
  const made = [".git", ".cache", "dist", "cov", "node_modules"];
  return Array.from(Deno.readDirSync(new URL(folder || ".", root))).flatMap((entry) => {
    if (made.includes(entry.name)) return [];
    const path = folder + entry.name;
    return entry.isDirectory ? filesBelow(`${path}/`) : [path];
  }).sort();
}

const files = filesBelow();
const lib = files.filter((path) => /^lib\/.*\.ts$/.test(path));
const program = [...lib, "main.ts"];

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, root));
}

/** The source without comments, so that only code is judged. */
function codeOf(path: string): string {
  return read(path).replaceAll(/\/\*.*?\*\//gs, "").replaceAll(/(^|\s)\/\/.*$/gm, "");
}

/** `path: what` for each line of these files that is found wanting. */
function findings(paths: string[], isWrong: (line: string) => boolean): string[] {
  return paths.flatMap((path) =>
    read(path).split("\n").flatMap((line, i) => isWrong(line) ? [`${path}:${i + 1}`] : [])
  );
}

Deno.test(`files of the program have at most ${LINES_MAX} lines`, () => {
  const long = program.filter((path) => read(path).split("\n").length - 1 > LINES_MAX);
  assertEquals(long, []);
});

Deno.test(`comments of the program have at most ${COLUMNS_MAX} columns`, () => {
  // `deno fmt` breaks code, but not comments.
  const isLong = (line: string) => /^\s*(\/?\*|\/\/)/.test(line) && [...line].length > COLUMNS_MAX;
  assertEquals(findings(program, isLong), []);
});

/** Those of the paths whose code shows one of the signs. */
function reaching(paths: string[], signs: string[]): string[] {
  const pattern = new RegExp(signs.join("|"));
  return paths.filter((path) => pattern.test(codeOf(path)));
}

for (const { what, signs, files } of REACH) {
  // Both ways: a file that needs it no longer leaves the list.
  Deno.test(`in lib/, only ${files.join(", ")} reach ${what}`, () => {
    assertEquals(reaching(lib, signs), files.map((name) => `lib/${name}`).sort());
  });
}

Deno.test("nothing that the watch isolate loads reaches files, processes or the environment", () => {
  const loaded = [...withImports(root, ["lib/watch_isolate.ts"])];
  for (const { what, signs } of REACH) {
    if (what !== "the network") assertEquals(reaching(loaded, signs), [], what);
  }
});

Deno.test("lib/ imports itself, node: and the packages of deno.json, and main.ts only lib/", () => {
  const { imports } = JSON.parse(read("deno.json"));
  // A name that ends with a slash is that of all files of a package.
  const isOf = (name: string, specifier: string) =>
    name.endsWith("/") ? specifier.startsWith(name) : specifier === name;
  const importsOf = (path: string) =>
    [...codeOf(path).matchAll(/(?:from|import) "([^"]+)"/g)].map(([, specifier]) =>
      specifier ?? ""
    );
  const wrong = lib.flatMap(importsOf)
    .filter((specifier) => !/^(\.\/[a-z0-9_]+\.ts$|node:)/.test(specifier))
    .filter((specifier) => !Object.keys(imports).some((name) => isOf(name, specifier)));
  assertEquals(wrong, []);
  assertEquals(importsOf("main.ts").filter((path) => !path.startsWith("./lib/")), []);
});

Deno.test("the program does not use the console: stdout is for data, and stderr for the log", () => {
  assertEquals(program.filter((path) => /\bconsole\./.test(codeOf(path))), []);
});

/** Numbers that bound nothing, or that are bounded by something else than our own judgement. */
const NO_LIMITS: Record<string, string[]> = {
  // Layouts: of the files (docs/FORMAT.md), and of what the isolates send each other.
  "batch.ts": ["KEYS_AT", "ENDS_AT", "BATCH_LINES_AT"],
  "batch_pool.ts": ["HEAD_BYTES", "ASKED", "TAKEN_AT"],
  "bloom.ts": ["SECTOR_BYTES", "SECTOR_HEAD_BYTES", "SECTOR_BITS", "PROBES_MAX"],
  "checkpoint.ts": ["CHECKPOINT_FORMAT", "SLOT_BYTES", "HEAD_BYTES"],
  "file_destination.ts": ["TAIL_HASH_BYTES"],
  "generation.ts": ["CACHE_LINE_BYTES", "FIRST_PROBES"],
  "generation_format.ts": ["GENERATION_FORMAT", "SLOT_BYTES", "SLOT_OFFSETS", "SECTORS_OFFSET"],
  "identity.ts": ["IDENTITY_VERSION"],
  "protocol.ts": ["KEY_LANES"],
  "resource_version.ts": ["DIGITS_MAX"],
  "redo.ts": ["HEAD_BYTES"],
  // What another file has the same numbers for.
  "event_module.ts": ["NUL_BYTES", "SHAPES"],
  // What is read at once; other sizes are read otherwise.
  "http_framing.ts": ["EVENT_DIGITS"],
  // The bounds of a histogram.
  "metrics.ts": ["DELAY_SECONDS"],
  // The block of the hash function, and what POSIX says of a pipe.
  "murmur3.ts": ["BLOCK"],
  "pipe_destination.ts": ["PIPE_BUF"],
  // The C library's numbers.
  "sd_notify.ts": ["AF_UNIX", "SOCK_DGRAM", "SOCK_CLOEXEC", "CLOCK_MONOTONIC", "SUN_PATH"],
  // What a setting may be.
  "settings.ts": [
    "NAMESPACES_MAX",
    "FIELD_SELECTOR_MAX",
    "WRAP_NAME_MAX",
    "CLUSTER_NAME_MAX",
    "ERROR_RATE_MIN",
    "ERROR_RATE_WARNING",
  ],
};

Deno.test("limits stand in lib/limits.ts, each with its reason", () => {
  // A number, arithmetic with one, or several in a line; bytes of a text (0x0a) are no limits.
  const constant =
    /^(?:export )?const ([A-Z][A-Z0-9_]*)(?:: number)? =\s+([^;"'`\n]*\d[^;"'`\n]*);$/gm;
  const isOther = (value: string) => /^(0x[0-9a-f]+( \| 0)?$|new |\/|\w+\()/.test(value);
  const found = lib.filter((path) => path !== "lib/limits.ts").flatMap((path) => {
    const names = [...codeOf(path).matchAll(constant)]
      .filter(([, , value = ""]) => !isOther(value))
      .map(([, name = ""]) => name);
    return names.length > 0 ? [[path.replace("lib/", ""), names] as const] : [];
  });
  // Both ways: a number that is gone leaves the list.
  assertEquals(Object.fromEntries(found), NO_LIMITS);
});

Deno.test("everything that lib/ exports says what it promises", () => {
  const undocumented = lib.flatMap((path) => {
    const lines = read(path).split("\n");
    return lines.flatMap((line, i) => {
      const isExport = /^export (?!type \{|\{|\*)/.test(line);
      return isExport && !lines[i - 1]?.endsWith("*/") ? [`${path}:${i + 1}`] : [];
    });
  });
  assertEquals(undocumented, []);
});

Deno.test("no file names a path of someone's machine, a package registry's host, or a loose end", () => {
  // In pieces, so that this file does not name them.
  const words = [
    ...["work", "root", "farm", "tmp/bash_jobs"].map((name) => `(?<![\\w.*])/${name}/`),
    ...["registry.npm" + "js", "proxy.gol" + "ang", "py" + "pi.org", "deb.deb" + "ian"],
    ...["TO" + "DO", "FIX" + "ME", "X" + "XX"].map((word) => `\\b${word}\\b`),
  ];
  const pattern = new RegExp(words.join("|"));
  const texts = files.filter((path) => !/\.(gz|png|bin|bloom)$/.test(path));
  assertEquals(findings(texts, (line) => pattern.test(line)), []);
});

Deno.test("the stand-ins have the names of the packages, and npm's are the same", () => {
  const { imports } = JSON.parse(read("deno.json"));
  const { imports: closed } = JSON.parse(read("closed/import_map.json"));
  const isNpm = ([, value]: [string, unknown]) => String(value).startsWith("npm:");
  assertEquals(Object.keys(closed).sort(), Object.keys(imports).sort());
  assertEquals(Object.entries(closed).filter(isNpm), Object.entries(imports).filter(isNpm));
});

Deno.test("deno.lock knows every package of deno.json, and each npm one with its version", () => {
  const { imports } = JSON.parse(read("deno.json"));
  const lock = JSON.parse(read("deno.lock"));
  const packages = Object.entries(imports).filter(([name]) => !name.endsWith("/"));
  const named = packages.map(([, specifier]) => String(specifier));
  const npm = named.filter((specifier) => specifier.startsWith("npm:"));
  assertEquals(npm.filter((specifier) => lock.specifiers[specifier] === undefined), []);
  assertEquals(lock.workspace.dependencies, named.sort());
});

Deno.test("the image is labelled with the program's version", () => {
  const [, labelled] = /^ARG VERSION=(.*)$/m.exec(read("Dockerfile.distroless")) ?? [];
  assertEquals(labelled, VERSION);
});
