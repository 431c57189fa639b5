/**
 * Both units under a real systemd, which is booted in namespaces from a Debian with the .deb in it,
 * with the real logrotate, against the real API server. KEP_LONG=1.
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { kubeconfigText } from "../fake/kubeconfig.ts";
import { sharedApiServer } from "../real/api_server.ts";
import { API_SERVER_HOW } from "../real/assets.ts";
import { EventWriter } from "../real/event_writer.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";
import { canMakeDebian, DEBIAN_HOW, makeDeb, makeDebian, run } from "./deb.ts";

const UNITS = { "kube-event-pipe": "kubeconfig", "kube-event-pipe@prod": "prod.kubeconfig" };
const LOGS = ["/var/log/kube-event-pipe", "/var/log/kube-event-pipe/prod"];

/** What a container manager gives systemd: /proc, /sys, a few devices, a control group, and a root
 * from which mounts propagate, without which no credential of a unit arrives. */
const BOOT = `set -e
cgroup=/sys/fs/cgroup/systemd/kube-event-pipe-boot
mkdir -p $cgroup; echo $$ > $cgroup/cgroup.procs
exec unshare --mount --pid --uts --ipc --cgroup --fork --propagation=private sh -ec '
cd "$0"
mount --bind "$0" "$0"; cd "$0"
mount -t proc proc proc; mount -t sysfs -o ro sysfs sys
for folder in run tmp; do mount -t tmpfs tmpfs $folder; done
mount -t tmpfs -o mode=755 tmpfs dev; mkdir dev/pts dev/shm dev/mqueue
for device in null zero full random urandom tty; do
  touch dev/$device; mount --bind /dev/$device dev/$device
done
mount -t devpts devpts dev/pts; ln -s pts/ptmx dev/ptmx; mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs sys/fs/cgroup; mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount --move . /; chroot . mount --make-rshared /
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --system
' "$0"`;

/** A booted Debian. Ends with its PID 1. */
class Machine {
  readonly #child: Deno.ChildProcess;

  constructor(debian: string) {
    this.#child = new Deno.Command("sh", {
      args: ["-c", BOOT, debian],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  /** Runs a shell command in it. @throws Error where that fails */
  run(script: string): Promise<string> {
    const namespaces = ["-m", "-p", "-u", "-i", "-C", "-r", "-w"];
    const path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
    const command = ["env", "-i", path, "sh", "-ec", script];
    return run(["nsenter", "-t", `${this.#init()}`, ...namespaces, ...command]);
  }

  /** Waits until it is up. */
  async up(): Promise<void> {
    await until("systemd runs", async () => {
      const state = await this.run("systemctl is-system-running || true").catch(() => "");
      return /^(running|degraded)/.test(state);
    }, 60_000);
  }

  /** Kills it: PID 1 takes all with it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const init = this.#init();
    Deno.kill(init === 0 ? this.#child.pid : init, "SIGKILL");
    await this.#child.status;
  }

  #init(): number {
    const { pid } = this.#child;
    return Number(Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim());
  }
}

function canBoot(): boolean {
  try {
    return canMakeDebian() && Deno.statSync("/sys/fs/cgroup/systemd").isDirectory;
  } catch {
    return false;
  }
}

const server = sharedApiServer();

Deno.test(needing(
  canBoot() ? server : null,
  server === null ? API_SERVER_HOW : `${DEBIAN_HOW}, where there is /sys/fs/cgroup/systemd`,
  "under systemd both units run, logrotate's postrotate reaches both, and an upgrade repeats nothing",
  async (server) => {
    const deb = await makeDeb();
    await withTempFolder(async (folder) => {
      const debian = `${folder}/debian`;
      await makeDebian(debian, ["systemd-sysv", "logrotate"]);
      await Deno.copyFile(deb, `${debian}/new.deb`);
      const { url, ca, adminToken: token } = server;
      using writer = new EventWriter(server);
      await writer.createNamespace("boot-test");
      await using machine = new Machine(debian);
      await machine.up();
      await machine.run(
        "dpkg --install /new.deb && logrotate --force /etc/logrotate.d/kube-event-pipe",
      );
      for (const name of Object.values(UNITS)) {
        const text = kubeconfigText({ server: url, ca, token });
        await Deno.writeTextFile(`${debian}/etc/kube-event-pipe/${name}`, text, { mode: 0o600 });
      }
      await machine.run(`systemctl enable --now ${Object.keys(UNITS).join(" ")}`);

      const written = async (name: string) => {
        await writer.createEvent("boot-test", { name });
        for (const path of LOGS) {
          await until(`${name} is in ${path}`, () => {
            try {
              return Deno.readTextFileSync(`${debian}${path}/events.jsonl`).includes(`"${name}"`);
            } catch {
              return false;
            }
          });
        }
      };
      await written("first.1");
      await machine.run("logrotate --force /etc/logrotate.d/kube-event-pipe");
      await written("second.1");
      await machine.run("dpkg --install /new.deb");
      await written("third.1");
      for (const path of LOGS) {
        const files = ["events.jsonl.1", "events.jsonl"].map((name) => `${debian}${path}/${name}`);
        const text = files.map((file) => Deno.readTextFileSync(file)).join("");
        const names = text.match(/"(first|second|third)\.1","namespace":"boot-test","uid"/g);
        assertEquals(names?.map((name) => name.slice(1, 6)), ["first", "secon", "third"]);
        const state = path.replace("log", "lib");
        const said = await machine.run(
          `kube-event-pipe check --persistence-path ${state} ${path}/events.jsonl.1`,
        );
        assertStringIncludes(said, "All is well");
      }
      await machine.run("dpkg --remove kube-event-pipe");
      const active = `systemctl is-active ${Object.keys(UNITS).join(" ")} || true`;
      assertEquals(await machine.run(active), "inactive\ninactive\n");
    });
  },
));
