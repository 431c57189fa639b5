/** kube-event-pipe: appends every event of a Kubernetes cluster to a file, each once. */

import { check } from "./lib/check.ts";
import { parseCommandLine, variableWarnings } from "./lib/cli.ts";
import { exitCodeOf, messageOf } from "./lib/errors.ts";
import { importLines } from "./lib/import.ts";
import { log, setupLog } from "./lib/log.ts";
import { realIo } from "./lib/real_io.ts";
import { run } from "./lib/run.ts";
import { Signals } from "./lib/signals.ts";
import { type Outcome, status } from "./lib/status.ts";
import { USAGE, versionText } from "./lib/usage.ts";

/** Returns the exit status. */
async function main(): Promise<number> {
  setupLog("INFO");
  const command = parseCommandLine(Deno.args, (name) => Deno.env.get(name));
  switch (command.kind) {
    case "help":
      print(USAGE);
      return 0;
    case "version":
      print(versionText(Deno.version));
      return 0;
    case "check":
      return report(await check(realIo, command.options));
    case "status":
      return report(await status(realIo, command.options));
    case "import":
      return report(await importLines(realIo, command.options, Deno.pid));
    case "run":
      setupLog(command.settings.logLevel);
      for (const text of variableWarnings(Object.keys(Deno.env.toObject()))) log.warning(text);
      await run(realIo, command.settings, new Signals());
      return 0;
    default:
      return command satisfies never;
  }
}

function report({ text, isWell }: Outcome): number {
  print(text);
  return isWell ? 0 : 1;
}

function print(text: string): void {
  let bytes = new TextEncoder().encode(text.endsWith("\n") ? text : `${text}\n`);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

try {
  Deno.exit(await main());
} catch (error) {
  log.critical(messageOf(error));
  // Only for what nobody foresaw is it worth knowing where in the code it happened.
  const exitCode = exitCodeOf(error);
  if (exitCode === 70 && error instanceof Error) log.error(error.stack ?? "");
  Deno.exit(exitCode);
}
