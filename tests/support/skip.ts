/** Tests that need a part which is not on every machine. */

/**
 * For `Deno.test`: a test that gets the part, or, where it is null, is reported as SKIPPED with
 * how to enable it. tests/run.ts prints the reasons at its end; without it they are printed here.
 *
 * @param how what to do for the test to run, as the end of a sentence: "To run it, ..."
 */
export function needing<T>(
  part: T | null,
  how: string,
  name: string,
  body: (part: T, t: Deno.TestContext) => void | Promise<void>,
): Deno.TestDefinition {
  if (part === null) {
    reportSkipped({ name, how });
    return { name, ignore: true, fn: () => {} };
  }
  return { name, fn: (t) => body(part, t) };
}

/** A test that was skipped, and what to do for it to run. */
export interface Skipped {
  name: string;
  how: string;
}

/** The variable that names the file in which tests/run.ts collects what was skipped. */
export const SKIPPED_FILE = "KEP_TEST_SKIPPED";

function reportSkipped(skipped: Skipped): void {
  const file = Deno.env.get(SKIPPED_FILE);
  if (file === undefined) console.log(`SKIPPED ${skipped.name}. To run it, ${skipped.how}`);
  else Deno.writeTextFileSync(file, `${JSON.stringify(skipped)}\n`, { append: true });
}
