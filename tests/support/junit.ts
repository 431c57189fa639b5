/** Reads what `deno test --junit-path` writes. */

/** What became of the tests. Steps count as part of their test. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
  /** The files that it tells of, as paths relative to the tree. */
  files: Set<string>;
}

/** Counts the tests in a report. */
export function countTests(xml: string): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0, files: new Set() };
  for (const [, file = "", suite = ""] of xml.matchAll(SUITE)) {
    counts.files.add(file.replace(/^\.\//, ""));
    let parent: string | null = null;
    for (const [, name = "", body = ""] of suite.matchAll(CASE)) {
      // A step is named "test > step" and stands behind its test.
      if (parent !== null && name.startsWith(`${parent} &gt; `)) continue;
      parent = name;
      if (body.includes("<skipped/>")) counts.skipped++;
      else if (/<(failure|error)\b/.test(body)) counts.failed++; // Cancelled is an error.
      else counts.passed++;
    }
  }
  return counts;
}

const SUITE = /<testsuite name="([^"]*)"[^>]*>(.*?)<\/testsuite>/gs;
const CASE = /<testcase name="([^"]*)"[^>]*>(.*?)<\/testcase>/gs;
