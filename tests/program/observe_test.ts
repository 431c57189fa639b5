/** What the real program shows of itself: metrics, health and readiness, each made to happen. */

import { assert, assertEquals } from "@std/assert";
import { sampleEvent } from "../fake/sample.ts";
import { type FakeScene, linesIn, withFakeScene } from "../support/fake_scene.ts";
import { FifoReader } from "../support/fifo_reader.ts";
import { fill, Mount, MOUNT_HOW, mounts } from "../support/mount.ts";
import { OBSERVED, Observed } from "../support/observed.ts";
import { needing } from "../support/skip.ts";
import { until } from "../support/temp.ts";

/** What stands still for a second is told. */
const IMPATIENT = [...OBSERVED, "--unhealthy-after", "1"];

/** Makes events. */
function create({ server }: FakeScene, from: number, end: number): void {
  for (let i = from; i < end; i++) server.store.create(sampleEvent("a", `e${i}`));
}

/** A metric: its type, and its labels with the values that each may have (none = any). */
interface Metric {
  type: string;
  labels: Record<string, string[]>;
}

/** The tables of docs/METRICS.md. */
function documented(): Map<string, Metric> {
  const text = Deno.readTextFileSync(new URL("../../docs/METRICS.md", import.meta.url));
  const rows = [...text.matchAll(/^\| `([a-z_]+)` \| (counter|gauge|histogram) \| ([^|]*)\|/gm)];
  return new Map(rows.map(([, name = "", type = "", cell = ""]): [string, Metric] => {
    const parts = cell.split(cell.includes(":") ? ";" : ",").filter((part) => part.trim() !== "");
    const labels = parts.map((part) => {
      const [label = "", ...values] = Array.from(
        part.matchAll(/`(\w+)`/g),
        ([, word = ""]) => word,
      );
      return [label, values.sort()];
    });
    return [name, { type, labels: Object.fromEntries(labels) }];
  }));
}

/** The same of what is served. */
function served(text: string, documented: Map<string, Metric>): Map<string, Metric> {
  const metrics = new Map<string, Metric>();
  for (const [, name = "", type = ""] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    const suffix = type === "histogram" ? "(?:_bucket|_sum|_count)" : "";
    const values = new Map<string, Set<string>>();
    for (const [, labels = ""] of text.matchAll(RegExp(`^${name}${suffix}(?:{(.*)})? `, "gm"))) {
      for (const [, label = "", value = ""] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
        if (label === "le") continue;
        values.set(label, (values.get(label) ?? new Set()).add(value));
      }
    }
    const isAny = (label: string) => documented.get(name)?.labels[label]?.length === 0;
    const labels = [...values].map(([label, all]) => [label, isAny(label) ? [] : [...all].sort()]);
    metrics.set(name, { type, labels: Object.fromEntries(labels) });
  }
  return metrics;
}

Deno.test("/metrics serves what docs/METRICS.md lists, exactly, and never another series", async () => {
  await withFakeScene(async (scene) => {
    const { server } = scene;
    create(scene, 0, 3);
    const program = scene.start(...OBSERVED);
    const observed = await Observed.of(program);
    await observed.becomes("/readyz", 200);
    const response = await fetch(`${observed.url}/metrics`);
    assertEquals(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    const doc = documented();
    assert(doc.size > 30, `${doc.size} rows were read`);
    const sorted = (metrics: Map<string, Metric>) => Object.fromEntries([...metrics].sort());
    assertEquals(sorted(served(await response.text(), doc)), sorted(doc));

    const before = [...(await observed.series()).keys()];
    const refused = { status: 403, body: "{}", headers: { "content-type": "application/json" } };
    server.faults.push({ match: { verb: "watch" }, action: { respond: refused } });
    server.store.compact();
    server.dropConnections("reset");
    await observed.reaches('api_failures_total{verb="watch",reason="forbidden"}', (n) => n > 0);
    create(scene, 3, 5);
    await observed.reaches("events_written_total", (written) => written === 5);
    assertEquals([...(await observed.series()).keys()], before);
  });
});

Deno.test("/metrics counts what the program did", async () => {
  await withFakeScene(async (scene) => {
    const { server } = scene;
    create(scene, 0, 10);
    const program = scene.start(...OBSERVED);
    const observed = await Observed.of(program);
    await observed.becomes("/readyz", 200);
    await observed.reaches("watches_open", (open) => open === 1);
    create(scene, 10, 12);
    await observed.reaches("events_written_total", (written) => written === 12);
    await until("there are 12 lines", () => linesIn(scene.destination) === 12);
    await observed.reaches("last_sync_age_seconds", (seconds) => seconds < 1);
    // The watch begins anew at P: the last event is shown again, and known.
    server.dropConnections("reset");
    await observed.reaches('watches_ended_total{reason="cut"}', (count) => count === 1);
    await observed.reaches("events_known_total", (known) => known >= 1);
    await observed.reaches("watches_started_total", (count) => count === 2);

    const series = await observed.series();
    const value = (name: string) => series.get(`kube_event_pipe_${name}`);
    assertEquals(value("events_seen_total"), 12 + value("events_known_total")!);
    assertEquals(value("written_bytes_total"), Deno.statSync(scene.destination).size);
    assertEquals(value('lists_started_total{reason="start"}'), 1);
    assertEquals(value("lists_completed_total"), 1);
    assertEquals(value('api_failures_total{verb="watch",reason="connection"}'), 1);
    assert(value('received_bytes_total{verb="list"}')! > 10 * 200);
    assert(value('received_bytes_total{verb="watch"}')! > 2 * 200);
    assertEquals([value("watches"), value("lists_owed"), value("gaps_total")], [1, 0, 0]);
    assertEquals([value("healthy"), value("ready")], [1, 1]);
    assertEquals([value("generations"), value("ring_keys")], [1, 12]);
    assertEquals(value("generation_fill_ratio"), 12 / 1_000_000);
    assertEquals(value("filter_error_rate"), 1e-9);
    assert(value("false_positive_rate")! < 1e-9);
    assertEquals(value("damaged_sectors_total"), 0);
    // One a batch, and the two may have come in one; those of the first LIST do not count.
    const delays = value("event_delay_seconds_count")!;
    assert(delays === 1 || delays === 2, `${delays} delays`);
    assert(value("sync_duration_seconds_count")! >= 1);
    assert(value("checkpoint_duration_seconds_count")! >= 1);
    assert(value('log_messages_total{level="WARNING"}')! >= 1);
    assert(value("last_byte_age_seconds")! < 20);
    assert(series.get("process_resident_memory_bytes")! > 10e6);
    const startedS = series.get("process_start_time_seconds")!;
    assert(Math.abs(Date.now() / 1000 - startedS) < 120, `${startedS}`);
  });
});

/** User and system time of a process, all its threads. */
function cpuSeconds(pid: number): number {
  const [, rest = ""] = /\) (.*)/.exec(Deno.readTextFileSync(`/proc/${pid}/stat`)) ?? [];
  const fields = rest.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

Deno.test("/metrics tells memory and processor time of the whole process, the watch isolate too", async () => {
  await withFakeScene(async (scene) => {
    create(scene, 0, 2000);
    const program = scene.start(...OBSERVED);
    const observed = await Observed.of(program);
    await observed.reaches("events_written_total", (written) => written === 2000);
    const least = cpuSeconds(program.pid);
    const told = (await observed.series()).get("process_cpu_seconds_total")!;
    const most = cpuSeconds(program.pid);
    // The kernel counts in hundredths.
    assert(told >= least - 0.02 && told <= most + 0.02, `${least} <= ${told} <= ${most}`);
  });
});

Deno.test("a thousand scrapes are answered, one after another", async () => {
  await withFakeScene(async ({ start }) => {
    const observed = await Observed.of(start(...OBSERVED));
    for (let scrape = 0; scrape < 1000; scrape++) {
      const { status } = await observed.page("/healthz");
      assertEquals(status, 200, `scrape ${scrape}`);
    }
  });
});

Deno.test("/readyz says no until the first LIST is complete; after a restart, until it goes on", async () => {
  await withFakeScene(async (scene) => {
    const { server } = scene;
    create(scene, 0, 3);
    server.faults.push({ match: { verb: "list" }, action: { holdMs: Infinity } });
    const first = scene.start(...OBSERVED);
    const observed = await Observed.of(first);
    await until("the LIST came", () => server.log.length > 0);
    const unready = "Not ready: the first LIST of /api/v1/events is not complete.";
    await observed.says("/readyz", unready);
    assertEquals(await observed.page("/healthz"), { status: 200, text: "ok" });
    assertEquals(await observed.value("ready"), 0);
    server.dropConnections("reset");
    assertEquals(await observed.becomes("/readyz", 200), "ok");
    assertEquals(linesIn(scene.destination), 3);
    create(scene, 3, 4);
    await observed.reaches("events_written_total", (written) => written === 4);
    assertEquals((await first.stop()).code, 0);

    server.faults.push({ match: { verb: "watch" }, action: { holdMs: Infinity } });
    const lists = server.log.filter(({ request }) => request.verb === "list").length;
    const before = server.log.length;
    const second = await Observed.of(scene.start(...OBSERVED));
    await until("the WATCH came", () => server.log.length > before);
    await second.says("/readyz", unready);
    server.dropConnections("reset");
    await second.becomes("/readyz", 200);
    assertEquals(server.log.filter(({ request }) => request.verb === "list").length, lists);
  });
});

Deno.test("/healthz and /readyz say that no WATCH gets going, and why no longer once one does", async () => {
  await withFakeScene(async (scene) => {
    const { server } = scene;
    const program = scene.start(...IMPATIENT);
    const observed = await Observed.of(program);
    await observed.becomes("/readyz", 200);
    await server.down();
    const text = await observed.says("/healthz", "No WATCH of ");
    assert(
      /^No WATCH of \/api\/v1\/events has got going for \d+ s; the log says why\.$/.test(text),
    );
    assertEquals((await observed.page("/readyz")).status, 503);
    assertEquals([await observed.value("healthy"), await observed.value("ready")], [0, 0]);
    assertEquals(await observed.value("watches_open"), 0);
    assert(await observed.value("watch_silence_seconds") > 1);
    await server.up();
    assertEquals(await observed.becomes("/healthz", 200), "ok");
    await observed.becomes("/readyz", 200);
  });
});

Deno.test("/healthz says that the WATCH is accepted again and again, but never gets going", async () => {
  await withFakeScene(async (scene) => {
    const { server } = scene;
    const program = scene.start(...IMPATIENT);
    const observed = await Observed.of(program);
    await observed.becomes("/readyz", 200);
    const error = '{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":500}}\n';
    server.faults.push({
      match: { verb: "watch" },
      times: Infinity,
      action: { insert: [{ after: 0, bytes: error }], cut: { bytes: error.length, how: "end" } },
    });
    server.dropConnections("reset");
    await observed.reaches('watches_ended_total{reason="broken"}', (count) => count >= 1);
    await observed.says("/healthz", "has got going for");
  });
});

Deno.test("/healthz says that the destination is blocked: a FIFO without a reader", async () => {
  await withFakeScene(async (scene) => {
    using fifo = new FifoReader(`${scene.destination}.fifo`);
    create(scene, 0, 3);
    const program = scene.start(...IMPATIENT, "--destination", fifo.path);
    const observed = await Observed.of(program);
    const text = await observed.says("/healthz", "The destination is blocked: ");
    assert(text.endsWith(`, and no line went to ${fifo.path}.`), text);
    assert(await observed.value("destination_blocked_seconds") > 1);
    assert(await observed.value('destination_errors_total{reason="no_reader"}') > 0);
    fifo.come();
    await observed.becomes("/readyz", 200);
    await until("all lines came", () => fifo.read()[0]!.split("\n").length === 4);
    assertEquals(await observed.value("destination_blocked_seconds"), 0);
  });
});

const mount = mounts();

Deno.test(needing(
  mount,
  MOUNT_HOW,
  "/healthz says that the destination is blocked: a full disk",
  async () => {
    await withFakeScene(async (scene) => {
      const folder = `${scene.state}-full`;
      using _ = Mount.tmpfs(folder, 256);
      const program = scene.start(...IMPATIENT, "--destination", `${folder}/events.jsonl`);
      try {
        const observed = await Observed.of(program);
        await observed.becomes("/readyz", 200);
        const ballast = fill(folder);
        create(scene, 0, 100);
        await observed.says("/healthz", "The destination is blocked: ");
        assert(await observed.value('destination_errors_total{reason="no_space"}') > 0);
        Deno.removeSync(ballast);
        await observed.becomes("/healthz", 200);
      } finally {
        await program.kill(); // Or the file system would be in use.
      }
    });
  },
));

Deno.test(needing(
  mount,
  MOUNT_HOW,
  "/healthz says that commits stand still: a state folder without room for a generation",
  async () => {
    await withFakeScene(async (scene) => {
      using _ = Mount.tmpfs(scene.state, 1024);
      const program = scene.start(...IMPATIENT, "--filter-capacity", "100");
      try {
        const observed = await Observed.of(program);
        create(scene, 0, 10);
        await observed.reaches("generations", (count) => count === 1);
        const ballast = fill(scene.state);
        create(scene, 10, 200);
        await observed.says("/healthz", "Commits stand still: a sync of the destination is ");
        assert(await observed.value("commit_lag_seconds") > 1);
        assertEquals(linesIn(scene.destination), 200);
        Deno.removeSync(ballast);
        await observed.becomes("/healthz", 200);
      } finally {
        await program.kill(); // Or the file system would be in use.
      }
    });
  },
));

const isLong = Deno.env.get("KEP_LONG") === "1";

Deno.test(needing(
  isLong ? true : null,
  "set KEP_LONG=1 (it takes two minutes)",
  "/healthz says that an open WATCH is silent, and that a quiet one is well",
  async () => {
    await withFakeScene(async (scene) => {
      const { server } = scene;
      create(scene, 0, 3);
      const observed = await Observed.of(scene.start(...IMPATIENT));
      await observed.becomes("/readyz", 200);
      // A quiet cluster: the question is asked, answered, and all is well.
      for (const isSo of [(s: number) => s > 30, (s: number) => s < 10]) {
        await observed.reaches("watch_silence_seconds", isSo, 80_000);
        assertEquals((await observed.page("/healthz")).status, 200);
      }
      server.connections = "silent";
      const text = await observed.says("/healthz", "The WATCH of ", 90_000);
      assert(/^The WATCH of \/api\/v1\/events has shown no sign of life for 6\d s\.$/.test(text));
      server.connections = "served";
      server.dropConnections("reset");
      await observed.becomes("/healthz", 200, 90_000);
    });
  },
));

Deno.test("An address that cannot be listened on ends the program: 74, and 64 where it is none", async () => {
  await withFakeScene(async (scene) => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = taken.addr as Deno.NetAddr;
    const failed = async (address: string) => {
      const program = scene.start("--metrics-address", address);
      const { code } = await program.end(30_000);
      return { code, says: program.stderr.trimEnd().split("\n").at(-1)!.replace(/^\S+ /, "") };
    };
    assertEquals(await failed(`127.0.0.1:${port}`), {
      code: 74,
      says:
        `CRITICAL Cannot listen on 127.0.0.1:${port} (--metrics-address): the port is in use. ` +
        "Stop whoever listens there, or choose another port.",
    });
    assertEquals(await failed("192.0.2.1:9090"), {
      code: 74,
      says:
        "CRITICAL Cannot listen on 192.0.2.1:9090 (--metrics-address): no network interface of " +
        "this machine has that address. Choose another one.",
    });
    assertEquals((await failed("no-such-host.invalid:9090")).code, 74);
    assertEquals((await failed("9090")).code, 64);
  });
});

Deno.test("A connection that somebody holds open does not hold up the stop", async () => {
  await withFakeScene(async (scene) => {
    const program = scene.start(...OBSERVED);
    const observed = await Observed.of(program);
    await observed.becomes("/readyz", 200);
    const { hostname, port } = new URL(observed.url);
    using idle = await Deno.connect({ hostname, port: Number(port) });
    await idle.write(new TextEncoder().encode("GET /metrics HTT"));
    assertEquals((await program.stop()).code, 0);
  });
});

Deno.test("Without --metrics-address nothing is listened on", async () => {
  await withFakeScene(async (scene) => {
    const program = scene.start();
    await program.says("Connected to");
    const { stdout } = new Deno.Command("sh", {
      args: ["-c", `ls -l /proc/${program.pid}/fd | grep -o "socket:.[0-9]*" | tr -dc "0-9\\n"`],
    }).outputSync();
    const sockets = new TextDecoder().decode(stdout).split("\n").filter(Boolean);
    assert(sockets.length > 0);
    const listening = ["tcp", "tcp6"].flatMap((file) =>
      Deno.readTextFileSync(`/proc/net/${file}`).split("\n")
    ).map((line) => line.trim().split(/\s+/)).filter((fields) => fields[3] === "0A");
    assertEquals(listening.filter((fields) => sockets.includes(fields[9] ?? "")), []);
  });
});
