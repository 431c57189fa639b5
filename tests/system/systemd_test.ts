/** What the units of deploy/systemd promise, as far as systemd can tell without a boot. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { needing } from "../support/skip.ts";
import { withTempFolder } from "../support/temp.ts";

const FOLDER = new URL("../../deploy/systemd/", import.meta.url);
const UNIT = "kube-event-pipe.service";
const TEMPLATE = "kube-event-pipe@.service";
const DROP_IN = "notify-reload.conf";
const HOW = "install systemd, for its `systemd-analyze` (252 or newer)";

/** Highest exposure that we allow, in tenths: 1.1 is what 252 says; systemd calls 2.0 OK. */
const EXPOSURE_MAX = 13;

function analyze(...args: string[]): { code: number; text: string } | null {
  try {
    const { code, stdout, stderr } = new Deno.Command("systemd-analyze", { args }).outputSync();
    const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("");
    return { code, text };
  } catch {
    return null;
  }
}

function textOf(name: string): string {
  return Deno.readTextFileSync(new URL(name, FOLDER));
}

const version = Number(/^systemd (\d+)/.exec(analyze("--version")?.text ?? "")?.[1] ?? 0);
const systemd = version >= 252 ? version : null;

for (const name of [UNIT, TEMPLATE]) {
  Deno.test(needing(systemd, HOW, `systemd has nothing to say against ${name}`, async () => {
    await withTempFolder(async (folder) => {
      // The program need not be installed here; verify looks for it.
      const path = `${folder}/${name}`;
      const text = textOf(name);
      await Deno.writeTextFile(path, text.replace("ExecStart=kube-event-pipe", "ExecStart=true"));
      const result = analyze("verify", "--recursive-errors=no", path);
      assertEquals(result, { code: 0, text: "" });
      await Deno.writeTextFile(
        path,
        text.replace("ExecStart=kube-event-pipe", "ExecStart=not-here"),
      );
      const missing = analyze("verify", "--recursive-errors=no", path);
      assertStringIncludes(missing?.text ?? "", "not-here is not executable");
    });
  }));

  Deno.test(needing(
    version >= 253 ? version : null,
    "install systemd 253 or newer",
    `nor has it with ${DROP_IN} beside ${name}`,
    async () => {
      await withTempFolder(async (folder) => {
        const path = `${folder}/${name}`;
        const text = textOf(name).replace("ExecStart=kube-event-pipe", "ExecStart=true");
        await Deno.writeTextFile(path, text);
        await Deno.mkdir(`${path}.d`);
        await Deno.writeTextFile(`${path}.d/${DROP_IN}`, textOf(DROP_IN));
        const result = analyze("verify", "--recursive-errors=no", path);
        assertEquals(result, { code: 0, text: "" });
      });
    },
  ));

  Deno.test(needing(systemd, HOW, `the exposure of ${name} is at most 1.3 of 10`, () => {
    const args = ["--offline=true", "--no-pager", `--threshold=${EXPOSURE_MAX}`];
    const result = analyze("security", ...args, new URL(name, FOLDER).pathname);
    assertEquals(result?.code, 0, result?.text);
  }));
}

Deno.test("the unit is not restarted where a restart cannot help, and is reloaded by SIGHUP", () => {
  const unit = textOf(UNIT);
  assertStringIncludes(unit, "\nRestartPreventExitStatus=64\n");
  assertStringIncludes(unit, '\nExecReload=sh -c "kill -HUP $MAINPID"\n');
});

Deno.test("the unit is up when it says so, and ended cleanly where it no longer says that it is well", () => {
  const unit = textOf(UNIT);
  for (const line of ["Type=notify", "NotifyAccess=main", "WatchdogSignal=SIGTERM"]) {
    assertStringIncludes(unit, `\n${line}\n`);
  }
  assertMatch(unit, /\nWatchdogSec=\d+\n/);
  const settings = textOf(DROP_IN).replaceAll(/^#.*\n/gm, "");
  // With ExecReload= left there would be two SIGHUPs.
  assertEquals(settings, "[Service]\nType=notify-reload\nExecReload=\n");
});

Deno.test("the template is the unit, but for the folders and files of its instance", () => {
  const settings = (name: string) => textOf(name).slice(textOf(name).indexOf("[Unit]"));
  const expected = settings(UNIT)
    .replace("of a Kubernetes cluster", "of the cluster %i")
    .replace(/(\/etc\/kube-event-pipe\/)(kubeconfig|environment)/g, "$1%i.$2")
    .replace(/(=%[SL]\/kube-event-pipe)/g, "$1/%i")
    .replace(/^((State|Logs)Directory=.*)$/gm, "$1/%i");
  assertEquals(settings(TEMPLATE), expected);
});
