/**
 * The golden state folders: what a release wrote, byte for byte, and what every later one must find
 * in it. `v1` is the format of docs/FORMAT.md. How they are made: make.ts.
 */

import { gunzipSync } from "node:zlib";
import type { WatchState } from "../../lib/checkpoint.ts";
import type { GenerationReport } from "../../lib/generation_report.ts";
import type { Position } from "../../lib/protocol.ts";
import type { RecoveryReport } from "../../lib/recovery.ts";
import type { RigOptions } from "../support/rig.ts";

/**
 * State folder and destination as all paths in a golden folder have it. Whoever reads it lays that
 * over the place where the files are: tests/support/mapped_io.ts or memory_io.ts.
 */
export const GOLDEN_FOLDER = "/golden";
/** The destination. At least 4 KiB stand before its checkpoint: so it is known by its hash. */
export const GOLDEN_DESTINATION = `${GOLDEN_FOLDER}/events.jsonl`;
/** Wall clock when they were made, ms since 1970. */
export const GOLDEN_MS = 1_800_000_000_000;

/** The folders of format 1. */
export const GOLDEN_NAMES = ["clean", "unclean", "generations", "name-count", "redo"] as const;

/** What must be found; `expected.json` of a folder. */
export interface Expected {
  /** With which to start. */
  settings: Required<
    Pick<RigOptions, "filterCapacity" | "batchCount" | "batchDurationSec" | "identity">
  >;
  watches: Omit<WatchState, "position">[];
  /** The ring as the files have it before the start, oldest first. */
  ring: Pick<
    GenerationReport,
    "name" | "sequence" | "identity" | "createdMs" | "closedMs" | "keys" | "capacity"
  >[];
  /** The process had ended by itself. */
  clean: boolean;
  /** What the start does. */
  recovered: Pick<RecoveryReport, "lines" | "fileMissing" | "removedLines">;
  /** Where the watches resume. */
  positions: Position[];
  /** resourceVersions of the lines in the destination after the start, in order. */
  lines: string[];
  /** Hash (hex) of the destination after the start. */
  sha256: string;
}

/** Where a folder stands in the tree. */
export function goldenUrl(name: string): URL {
  return new URL(`./v1/${name}/`, import.meta.url);
}

/** The files of a folder, by name. */
export function goldenFiles(name: string): Map<string, Uint8Array> {
  const folder = goldenUrl(name);
  const files = new Map<string, Uint8Array>();
  for (const entry of Deno.readDirSync(folder)) {
    if (!entry.name.endsWith(".gz")) continue;
    const bytes = gunzipSync(Deno.readFileSync(new URL(entry.name, folder)));
    files.set(entry.name.slice(0, -".gz".length), Uint8Array.from(bytes));
  }
  return files;
}

/** What must be found in a folder. */
export function goldenExpected(name: string): Expected {
  return JSON.parse(Deno.readTextFileSync(new URL("expected.json", goldenUrl(name))));
}

/** SHA-256 of bytes, hex. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", bytes.slice());
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
