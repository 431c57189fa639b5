/**
 * Giving up what is needed no longer once the watch isolate runs.
 *
 * What parses bytes from the network cannot open a file (its worker has one net permission and
 * nothing else); what holds the files cannot dial out, run a program or read the environment.
 */

import { invariant } from "./errors.ts";

/** What an exec plugin needs: it is run again before its credentials expire. */
export interface PluginNeeds {
  needsRun: boolean;
}

/** Revokes every permission of this isolate but reading and writing files (and the plugin's). */
export async function givePermissionsUp(plugin: PluginNeeds): Promise<void> {
  const names: Deno.PermissionName[] = ["net", "sys", "ffi", "import"];
  // The plugin is a program of the operator's choice; it inherits our environment as with kubectl.
  if (!plugin.needsRun) names.push("run", "env");
  for (const name of names) {
    const status = await Deno.permissions.revoke({ name } as Deno.PermissionDescriptor);
    invariant(status.state !== "granted", `the permission "${name}" can be given up`);
  }
}
