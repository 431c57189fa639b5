/** What deploy/systemd/kube-event-pipe.service promises, as far as systemd can tell without a boot. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { needing } from "../support/skip.ts";
import { withTempFolder } from "../support/temp.ts";

const UNIT = new URL("../../deploy/systemd/kube-event-pipe.service", import.meta.url);
const HOW = "install systemd, for its `systemd-analyze` (252 or newer)";

/** Highest exposure that we allow, in tenths: systemd calls 2.0 and less OK. */
const EXPOSURE_MAX = 20;

function analyze(...args: string[]): { code: number; text: string } | null {
  try {
    const { code, stdout, stderr } = new Deno.Command("systemd-analyze", { args }).outputSync();
    const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
    return { code, text };
  } catch {
    return null;
  }
}

const version = Number(/^systemd (\d+)/.exec(analyze("--version")?.text ?? "")?.[1] ?? 0);
const systemd = version >= 252 ? version : null;

Deno.test(needing(systemd, HOW, "systemd has nothing to say against the unit", async () => {
  await withTempFolder(async (folder) => {
    // The program need not be installed here; verify looks for it.
    const text = await Deno.readTextFile(UNIT);
    const path = `${folder}/kube-event-pipe.service`;
    await Deno.writeTextFile(path, text.replaceAll("/usr/local/bin/kube-event-pipe", "/bin/true"));
    const result = analyze("verify", "--recursive-errors=no", path);
    assertEquals(result, { code: 0, text: "" });
    await Deno.writeTextFile(path, text);
    const missing = analyze("verify", "--recursive-errors=no", path);
    assertStringIncludes(missing?.text ?? "", "kube-event-pipe is not executable");
  });
}));

Deno.test(needing(systemd, HOW, "the unit's exposure is at most 2.0 of 10", () => {
  const threshold = `--threshold=${EXPOSURE_MAX}`;
  const result = analyze("security", "--offline=true", "--no-pager", threshold, UNIT.pathname);
  assertEquals(result?.code, 0, result?.text);
}));

Deno.test("the unit is not restarted where a restart cannot help, and is reloaded by SIGHUP", async () => {
  const unit = await Deno.readTextFile(UNIT);
  assertStringIncludes(unit, "\nRestartPreventExitStatus=64\n");
  assertStringIncludes(unit, "\nExecReload=/bin/kill -HUP $MAINPID\n");
});
