/**
 * Giving up what is needed no longer once the watch isolate runs.
 *
 * What parses bytes from the network cannot open a file (its worker has one net permission and
 * nothing else); what holds the files cannot dial out, run a program or read the environment.
 */

import { invariant } from "./errors.ts";

/**
 * Revokes every permission of this isolate but reading and writing files.
 *
 * @param keepRun a credential plugin must be run again before its credentials expire
 */
export async function givePermissionsUp(keepRun: boolean): Promise<void> {
  const names: Deno.PermissionName[] = ["net", "sys", "ffi", "env"];
  if (!keepRun) names.push("run");
  for (const name of names) {
    const status = await Deno.permissions.revoke({ name } as Deno.PermissionDescriptor);
    invariant(status.state !== "granted", `the permission "${name}" can be given up`);
  }
}
