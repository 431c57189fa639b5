import { assert, assertGreater } from "@std/assert";
import { needing } from "../support/skip.ts";
import { testSeed, withTempFolder } from "../support/temp.ts";
import { isWell, soakText } from "./report.ts";
import { soak } from "./soak.ts";

/** The variable that asks for the long forms of tests. */
const LONG = "KEP_LONG";
const SHORT_MINUTES = 0.3;
const LONG_MINUTES = 3;

async function soaked(minutes: number): Promise<void> {
  const seed = testSeed();
  await withTempFolder(async (folder) => {
    const report = await soak({ folder, seed, minutes });
    const text = soakText(report);
    assert(isWell(report), text);
    console.log(text.slice(text.lastIndexOf("\n") + 1));
    assertGreater(report.verdict.lines, 200);
    assertGreater(report.counts.size, 5);
  });
}

Deno.test(
  "among faults of network, disk and process at once, the program loses and repeats nothing",
  () => soaked(SHORT_MINUTES),
);

// 30 minutes and more are `deno task soak`.
Deno.test(needing(
  Deno.env.get(LONG) === "1" ? true : null,
  `set ${LONG}=1 (three minutes)`,
  "for three minutes among faults of network, disk and process, it loses and repeats nothing",
  () => soaked(LONG_MINUTES),
));
