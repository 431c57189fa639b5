/**
 * The .deb in its life: lintian, then a Debian root in which it is installed, upgraded, removed and
 * purged. Takes a minute or two, and Debian's archive: KEP_LONG=1.
 */

import { assert, assertEquals } from "@std/assert";
import { needing } from "../support/skip.ts";
import { withTempFolder } from "../support/temp.ts";
import { canMakeDebian, DEBIAN_HOW, makeDeb, makeDebian, run } from "./deb.ts";

/** The same package under an earlier version. */
async function earlier(deb: string, folder: string): Promise<string> {
  await run(["dpkg-deb", "--raw-extract", deb, `${folder}/old`]);
  const control = `${folder}/old/DEBIAN/control`;
  const text = await Deno.readTextFile(control);
  await Deno.writeTextFile(control, text.replace(/^Version: .*$/m, "Version: 0.0.1-1"));
  await run(["dpkg-deb", "-Zgzip", "-z1", "--build", `${folder}/old`, `${folder}/old.deb`]);
  return `${folder}/old.deb`;
}

Deno.test(needing(
  canMakeDebian() || null,
  DEBIAN_HOW,
  "lintian finds no error in the .deb; it is installed, upgraded, removed and purged in a Debian",
  async (_, t) => {
    const deb = await makeDeb();
    await t.step("lintian finds no error", async () => {
      await run(["lintian", "--fail-on=error", deb]);
    });
    await withTempFolder(async (folder) => {
      const debian = `${folder}/debian`;
      await makeDebian(debian, ["systemd-standalone-sysusers"]);
      await Deno.copyFile(await earlier(deb, folder), `${debian}/old.deb`);
      await Deno.copyFile(deb, `${debian}/new.deb`);
      // /proc goes with the namespace; dpkg's postinst and the program both need it.
      const inside = (script: string) => {
        const mount = 'mount -t proc proc "$0/proc"; exec chroot "$0" sh -ec "$1"';
        const noQuestions = { DEBIAN_FRONTEND: "noninteractive" };
        return run(["unshare", "--mount", "sh", "-ec", mount, debian, script], noQuestions);
      };
      const isThere = (path: string) => {
        try {
          return Deno.lstatSync(debian + path) !== null;
        } catch {
          return false;
        }
      };
      const conffile = `${debian}/etc/kube-event-pipe/environment`;

      await t.step("installed", async () => {
        await inside("dpkg --install /old.deb");
        assert((await inside("kube-event-pipe --version")).startsWith("kube-event-pipe "));
        assert((await inside("getent passwd kube-event-pipe")).includes("/usr/sbin/nologin"));
        const files = await inside("dpkg -L kube-event-pipe");
        for (const name of ["kube-event-pipe.service", "kube-event-pipe@.service"]) {
          assert(files.includes(`/usr/lib/systemd/system/${name}\n`), files);
        }
        await Deno.writeTextFile(conffile, "KUBE_EVENT_PIPE_LOG_LEVEL=DEBUG\n");
        for (const path of ["lib", "log"]) {
          await Deno.mkdir(`${debian}/var/${path}/kube-event-pipe`);
          await Deno.writeTextFile(`${debian}/var/${path}/kube-event-pipe/kept`, "");
        }
      });
      await t.step("upgraded: the settings stay", async () => {
        await inside("dpkg --install /new.deb");
        const version = await inside("dpkg-query -W -f '${Version}' kube-event-pipe");
        assert(version !== "0.0.1-1" && deb.includes(version), version);
        assertEquals(await Deno.readTextFile(conffile), "KUBE_EVENT_PIPE_LOG_LEVEL=DEBUG\n");
      });
      await t.step("removed: settings, state and lines stay", async () => {
        await Deno.mkdir(`${debian}/etc/systemd/system/multi-user.target.wants`, {
          recursive: true,
        });
        const link = "/etc/systemd/system/multi-user.target.wants/kube-event-pipe@prod.service";
        await Deno.symlink("/usr/lib/systemd/system/kube-event-pipe@.service", debian + link);
        await inside("dpkg --remove kube-event-pipe");
        for (const path of ["/usr/bin/kube-event-pipe", link]) assert(!isThere(path), path);
        for (const path of ["lib", "log"]) assert(isThere(`/var/${path}/kube-event-pipe/kept`));
        assertEquals(await Deno.readTextFile(conffile), "KUBE_EVENT_PIPE_LOG_LEVEL=DEBUG\n");
      });
      await t.step("purged: nothing stays but what the administrator put there", async () => {
        await Deno.writeTextFile(`${debian}/etc/kube-event-pipe/kubeconfig`, "");
        await inside("dpkg --purge kube-event-pipe");
        const left = await inside("find /etc /usr /var/lib /var/log -name '*kube-event-pipe*'");
        assertEquals(left.trim(), "/etc/kube-event-pipe");
        assert(isThere("/etc/kube-event-pipe/kubeconfig"));
      });
    });
  },
));
