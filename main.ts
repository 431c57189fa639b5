/** kube-event-pipe: appends every event of a Kubernetes cluster to a file, each once. */

import { parseCommandLine } from "./lib/cli.ts";
import { exitCodeOf, messageOf } from "./lib/errors.ts";
import { log, setupLog } from "./lib/log.ts";
import { realIo } from "./lib/real_io.ts";
import { run } from "./lib/run.ts";
import { Signals } from "./lib/signals.ts";
import { USAGE, versionText } from "./lib/usage.ts";

async function main(): Promise<void> {
  setupLog("INFO");
  const command = parseCommandLine(Deno.args, (name) => Deno.env.get(name));
  switch (command.kind) {
    case "help":
      return print(USAGE);
    case "version":
      return print(versionText(Deno.version));
    case "run":
      setupLog(command.settings.logLevel);
      return await run(realIo, command.settings, new Signals());
    default:
      return command satisfies never;
  }
}

function print(text: string): void {
  let bytes = new TextEncoder().encode(text.endsWith("\n") ? text : `${text}\n`);
  while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}

try {
  await main();
  Deno.exit(0);
} catch (error) {
  log.critical(messageOf(error));
  // Only for what nobody foresaw is it worth knowing where in the code it happened.
  const exitCode = exitCodeOf(error);
  if (exitCode === 70 && error instanceof Error) log.error(error.stack ?? "");
  Deno.exit(exitCode);
}
