/**
 * Both units under a real systemd, one that knows Type=notify-reload and one that does not, which is
 * booted in namespaces from a Debian with the .deb in it, with the real logrotate, against the real
 * API server. KEP_LONG=1.
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { kubeconfigText } from "../fake/kubeconfig.ts";
import { type ApiServerAccess, sharedApiServer } from "../real/api_server.ts";
import { API_SERVER_HOW } from "../real/assets.ts";
import { EventWriter } from "../real/event_writer.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";
import { canMakeDebian, DEBIAN_HOW, makeDeb, makeDebian, run } from "./deb.ts";

const UNITS = { "kube-event-pipe": "kubeconfig", "kube-event-pipe@prod": "prod.kubeconfig" };
/** Debian's releases, and the type of the units in them. */
const TYPES = { bookworm: "notify", trixie: "notify-reload" };
const LOGS = ["/var/log/kube-event-pipe", "/var/log/kube-event-pipe/prod"];

/** What a container manager gives systemd: /proc, /sys, a few devices, a control group, and a root
 * from which mounts propagate, without which no credential of a unit arrives. */
const BOOT = `set -e
mkdir -p "$1"; echo $$ > "$1/cgroup.procs"
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
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --move . /; chroot . mount --make-rshared /
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --system
' "$0"`;

/** A booted Debian. Ends with its PID 1. */
class Machine {
  readonly #child: Deno.ChildProcess;

  constructor(debian: string, cgroups: string) {
    this.#child = new Deno.Command("sh", {
      args: ["-c", BOOT, debian, `${cgroups}/kube-event-pipe-boot`],
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

/** Where this machine has its control groups of version 2; null where no Debian can be booted. */
function findCgroups(): string | null {
  if (!canMakeDebian()) return null;
  for (const folder of ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]) {
    try {
      if (Deno.statSync(`${folder}/cgroup.procs`).isFile) return folder;
    } catch {
      // Not here.
    }
  }
  return null;
}

const cgroups = findCgroups();
const server = sharedApiServer();

for (const [release, type] of Object.entries(TYPES)) {
  Deno.test(needing(
    server !== null && cgroups !== null ? { server, cgroups } : null,
    server === null ? API_SERVER_HOW : `${DEBIAN_HOW}, where there is a control group 2`,
    `under ${release}'s systemd both units run, logrotate's postrotate reaches both, the watchdog ` +
      "restarts what hangs, and an upgrade repeats nothing",
    ({ server, cgroups }) =>
      withTempFolder((folder) => live(folder, server, cgroups, release, type)),
  ));
}

async function live(
  folder: string,
  server: ApiServerAccess,
  cgroups: string,
  release: string,
  type: string,
): Promise<void> {
  const deb = await makeDeb();
  const debian = `${folder}/debian`;
  await makeDebian(debian, ["systemd-sysv", "logrotate"], release);
  await Deno.copyFile(deb, `${debian}/new.deb`);
  const { url, ca, adminToken: token } = server;
  using writer = new EventWriter(server);
  const namespace = `boot-${release}`;
  await writer.createNamespace(namespace);
  await using machine = new Machine(debian, cgroups);
  await machine.up();
  await machine.run(
    "dpkg --install /new.deb && logrotate --force /etc/logrotate.d/kube-event-pipe",
  );
  for (const name of Object.values(UNITS)) {
    const text = kubeconfigText({ server: url, ca, token });
    await Deno.writeTextFile(`${debian}/etc/kube-event-pipe/${name}`, text, { mode: 0o600 });
  }
  const units = Object.keys(UNITS);
  await machine.run(`systemctl enable --now ${units.join(" ")}`);
  const ask = async (unit: string, property: string) =>
    (await machine.run(`systemctl show -P ${property} ${unit}`)).trim();
  for (const unit of units) assertEquals(await ask(unit, "Type"), type);

  const expected: string[] = [];
  const written = async (word: string) => {
    expected.push(word);
    await writer.createEvent(namespace, { name: `${word}.1` });
    for (const path of LOGS) {
      await until(`${word} is in ${path}`, () => {
        try {
          return Deno.readTextFileSync(`${debian}${path}/events.jsonl`).includes(`"${word}.1"`);
        } catch {
          return false;
        }
      });
    }
  };
  await written("first");
  const rotate = "logrotate --force /etc/logrotate.d/kube-event-pipe";
  // Only notify-reload lets systemctl, and so logrotate, wait for the new files.
  const there = LOGS.map((path) => `test -e ${path}/events.jsonl`).join(" && ");
  await machine.run(type === "notify-reload" ? `${rotate} && ${there}` : rotate);
  await written("second");
  await machine.run("dpkg --install /new.deb");
  await written("third");

  const [unit = ""] = units;
  const dropIn = `/run/systemd/system/${unit}.service.d`;
  await machine.run(
    `mkdir -p ${dropIn}; printf '[Service]\\nWatchdogSec=2\\n' > ${dropIn}/watchdog.conf; ` +
      `systemctl daemon-reload; systemctl restart ${unit}`,
  );
  await until("its STATUS is that of a watch", async () => {
    return /^Watching https:.* line\(s\) written/.test(await ask(unit, "StatusText"));
  });
  await machine.run("sleep 3"); // Longer than the watchdog waits: it is told that all is well.
  assertEquals(await ask(unit, "NRestarts"), "0");
  await machine.run(`kill -STOP $(systemctl show -P MainPID ${unit})`);
  await until("it was restarted", async () => await ask(unit, "NRestarts") === "1", 60_000);
  await written("fourth");
  const journal = await machine.run(`journalctl --no-pager -u ${unit}`);
  assertStringIncludes(journal, "Failed with result 'watchdog'");
  assertMatch(journal, /Watchdog timeout.*\n.*SIGTERM/);

  for (const path of LOGS) {
    const files = ["events.jsonl.1", "events.jsonl"].map((name) => `${debian}${path}/${name}`);
    const text = files.map((file) => Deno.readTextFileSync(file)).join("");
    const names = [...text.matchAll(/"(\w+)\.1","namespace":"(boot-\w+)","uid"/g)];
    const ours = names.filter(([, , of]) => of === namespace).map(([, name]) => name);
    assertEquals(ours, expected);
    const state = path.replace("log", "lib");
    const said = await machine.run(
      `kube-event-pipe check --persistence-path ${state} ${path}/events.jsonl.1`,
    );
    assertStringIncludes(said, "All is well");
  }
  await machine.run("dpkg --remove kube-event-pipe");
  const active = `systemctl is-active ${units.join(" ")} || true`;
  assertEquals(await machine.run(active), "inactive\ninactive\n");
  assertEquals(await machine.run("find /usr -name '*kube-event-pipe*'"), "");
}
