import { assertEquals, assertMatch } from "@std/assert";
import { objectText, type StoredEvent } from "../fake/event.ts";
import { sampleEvent } from "../fake/sample.ts";
import { statusAnswer } from "../fake/faults.ts";
import type { FakeApiServer } from "../fake/server.ts";
import { until, withServer } from "../fake/testing.ts";
import { Ledger } from "./ledger.ts";
import { Oracle, type Span, type Verdict } from "./oracle.ts";
import { ServerRecord } from "./record.ts";

/** Long enough for whatever was shown to be written, ms. */
const LIFE_MS = 60_000;

/** A server with an event that a program was shown, and a second state of it. */
function oracleTest(
  name: string,
  body: (
    server: FakeApiServer,
    judge: (ledger?: Ledger) => Verdict,
    kill: () => void,
  ) => Promise<void>,
): void {
  Deno.test(`oracle: ${name}`, () =>
    withServer({}, async (server) => {
      const record = new ServerRecord(server);
      const lives: Span[] = [{ fromMs: 0, toMs: performance.now() + LIFE_MS }];
      const kill = () => {
        const nowMs = performance.now();
        lives.at(-1)!.toMs = nowMs;
        lives.push({ fromMs: nowMs, toMs: nowMs + LIFE_MS });
      };
      const judge = (ledger = new Ledger()) => new Oracle(record, lives, []).judge(ledger);
      await body(server, judge, kill);
    }));
}

/** Asks for a WATCH and waits until it was answered and has had so many lines. */
async function watch(server: FakeApiServer, from: bigint, lines: number): Promise<() => void> {
  const abort = new AbortController();
  const url = `${server.url}/api/v1/events?watch=1&resourceVersion=${from}`;
  const response = await fetch(url, { signal: abort.signal });
  const log = server.log.at(-1)!;
  await until(() => log.status > 0 && log.events >= lines);
  return () => {
    abort.abort();
    void response.body?.cancel().catch(() => {});
  };
}

function ledgerOf(...texts: string[]): Ledger {
  const ledger = new Ledger();
  texts.forEach((text, index) => ledger.add(`file ${index}`, text, false));
  return ledger;
}

oracleTest("what lives at the end is lost where no line tells it", async (server, judge) => {
  const event = server.store.create(sampleEvent("default", "a"));
  const { lost, wrong } = judge();
  assertEquals(lost, 1);
  assertMatch(wrong[0]!, /lives at the end/);
  assertEquals(judge(ledgerOf(`${objectText(event)}\n`)).lost, 0);
  await Promise.resolve();
});

oracleTest("what an open watch showed is lost, also compacted since", async (server, judge) => {
  const end = await watch(server, server.store.revision, 0);
  server.store.create(sampleEvent("default", "a"));
  await until(() => server.log.at(-1)!.events === 1);
  server.store.delete("default", "a");
  server.store.compact();
  const { lost, wrong } = judge();
  end();
  assertEquals(lost, 1);
  assertMatch(wrong[0]!, /shown by watch/);
});

oracleTest("a watch that begins behind a state must have been refused", async (server, judge) => {
  const before = server.store.revision;
  server.store.create(sampleEvent("default", "a"));
  server.store.delete("default", "a");
  const end = await watch(server, server.store.revision, 0);
  const { lost, wrong } = judge();
  end();
  assertEquals(lost, 1);
  assertMatch(wrong[0]!, /began behind it without a refusal/);

  server.store.create(sampleEvent("default", "b"));
  server.store.delete("default", "b");
  server.store.compact();
  (await watch(server, before, 1))();
  const again = await watch(server, server.store.revision, 0);
  const { excused, lost: stillLost } = judge();
  again();
  assertEquals([...excused], [["not shown by any watch", 1]]);
  assertEquals(stillLost, 1, "a was skipped before any refusal");
});

oracleTest("a program that was killed may go back before what it had come past", async (
  server,
  judge,
  kill,
) => {
  const before = server.store.revision;
  server.store.create(sampleEvent("default", "a"));
  server.store.delete("default", "a");
  // It holds a back, since its destination has no name, and comes past it.
  (await watch(server, before, 2))();
  (await watch(server, server.store.revision, 0))();
  assertEquals(judge().lost, 1);
  kill();
  (await watch(server, before, 2))();
  (await watch(server, server.store.revision, 0))();
  assertEquals(judge().lost, 1, "it was shown again");
  kill();
  server.store.compact();
  (await watch(server, before, 1))();
  const end = await watch(server, server.store.revision, 0);
  const { excused, lost } = judge();
  end();
  assertEquals({ lost, excused: [...excused] }, {
    lost: 0,
    excused: [["not shown by any watch", 1]],
  });
});

oracleTest("what was skipped before a program was killed is lost, whatever came later", async (
  server,
  judge,
  kill,
) => {
  const before = server.store.revision;
  server.store.create(sampleEvent("default", "a"));
  server.store.delete("default", "a");
  (await watch(server, server.store.revision, 0))();
  kill();
  server.store.compact();
  (await watch(server, before, 1))();
  const end = await watch(server, server.store.revision, 0);
  const { lost } = judge();
  end();
  assertEquals(lost, 1);
});

oracleTest("what a page of a LIST showed was read if the pages before it were", async (
  server,
  judge,
) => {
  for (const name of ["a", "b"]) server.store.create(sampleEvent("default", name));
  const list = async (token: string) => {
    const query = `limit=1${token === "" ? "" : `&continue=${encodeURIComponent(token)}`}`;
    const response = await fetch(`${server.url}/api/v1/events?${query}`);
    const text = await response.text().catch(() => "");
    await until(() => server.log.at(-1)!.ended !== "open");
    return /"continue":"([^"]+)"/.exec(text)?.[1] ?? "";
  };
  const token = await list("");
  server.faults.push({ match: { verb: "list" }, action: { cut: { bytes: 300, how: "reset" } } });
  await list("");
  await list(token); // Asked for ahead, and forgotten since the page before it was cut.
  for (const name of ["a", "b"]) server.store.delete("default", name);
  const end = await watch(server, server.store.revision, 0);
  const { wrong } = judge();
  end();
  assertMatch(wrong[0]!, /shown by list.*"a"/);
  assertMatch(wrong[1]!, /began behind it without a refusal.*"b"/);
});

oracleTest("a refusal by status 410 counts as well", async (server, judge) => {
  const before = server.store.revision;
  server.store.create(sampleEvent("default", "a"));
  server.store.delete("default", "a");
  server.faults.push({ match: { verb: "watch" }, action: statusAnswer(410, "Expired", "old") });
  (await watch(server, before, 0))();
  const end = await watch(server, server.store.revision, 0);
  const { excused, lost } = judge();
  end();
  assertEquals({ lost, excused: [...excused] }, {
    lost: 0,
    excused: [["not shown by any watch", 1]],
  });
});

oracleTest("what a restore took back is excused, unless it was read", async (server, judge) => {
  const to = server.store.revision;
  const end = await watch(server, to, 0);
  const [a, b, c, d] = ["a", "b", "c", "d"].map((name) =>
    server.store.create(sampleEvent("default", name))
  ) as [StoredEvent, StoredEvent, StoredEvent, StoredEvent];
  await until(() => server.log.at(-1)!.events === 4);
  server.store.rewindTo(to);
  end();
  await until(() => server.log.at(-1)!.ended !== "open");
  const lines = (...events: StoredEvent[]) =>
    ledgerOf(events.map((each) => `${objectText(each)}\n`).join(""));
  // As in a soak: what was shown in the last seconds may not have been written.
  await until(() => server.log.at(-1)!.ended !== "open");
  assertEquals(judge().excused.get("taken back by a restore"), 4);
  // What is behind a in the same watch was written: a was read before it.
  const { excused, lost, wrong, noticeable } = judge(lines(b, c, d));
  assertEquals({ lost, excused: excused.size }, { lost: 1, excused: 0 });
  assertMatch(wrong[0]!, /shown by watch.*"a"/);
  assertEquals(noticeable, 1, "b: behind it two others were written");
  assertEquals(judge(lines(a, b, c)).excused.get("taken back by a restore"), 1);
});

oracleTest("what a restore took back is lost where a watch began behind it", async (
  server,
  judge,
) => {
  const to = server.store.revision;
  server.store.create(sampleEvent("default", "a"));
  const end = await watch(server, server.store.revision, 0);
  server.store.rewindTo(to);
  const { lost, wrong } = judge();
  end();
  assertEquals(lost, 1);
  assertMatch(wrong[0]!, /began behind it without a refusal/);
});

oracleTest("a restore hides old numbers until a LIST, and nothing else", async (server, judge) => {
  const to = server.store.revision;
  const end = await watch(server, to, 0);
  for (const name of ["a", "b", "c"]) server.store.create(sampleEvent("default", name));
  await until(() => server.log.at(-1)!.events === 3);
  server.store.rewindTo(to);
  end();
  const brief = (name: string) => {
    server.store.create(sampleEvent("default", name));
    server.store.delete("default", name);
  };
  brief("old-number");
  await (await fetch(`${server.url}/api/v1/events?limit=500`)).text();
  brief("behind-the-list"); // Its number is one that was shown before.
  brief("new-number");
  server.store.create(sampleEvent("default", "alive"));
  const { excused, wrong, lost } = judge();
  assertEquals(excused.get("hidden by a restore"), 1);
  assertEquals(excused.get("taken back by a restore"), 3);
  assertEquals(lost, 3);
  assertMatch(wrong[0]!, /no watch began behind it.*"behind-the-list"/);
  assertMatch(wrong[1]!, /no watch began behind it.*"new-number"/);
  assertMatch(wrong[2]!, /lives at the end.*"alive"/);
});

oracleTest("a line that comes again is repeated, whatever was restored", async (server, judge) => {
  const to = server.store.revision;
  const event = server.store.create(sampleEvent("default", "a"));
  server.store.rewindTo(to);
  const again = server.store.create(sampleEvent("default", "a"));
  const { repeated } = judge(ledgerOf(`${objectText(event)}\n${objectText(again)}\n`));
  assertEquals(repeated, 1);
  await Promise.resolve();
});

Deno.test("ledger: lines twice, torn lines, and those of deleted files", () => {
  const line = (name: string) => `${JSON.stringify({ metadata: { name } })}\n`;
  const ledger = ledgerOf(line("a") + line("b"), line("a") + '{"metadata":{"na');
  ledger.add("deleted", line("b") + line("c") + '{"meta', true);
  const { lines, repeated, torn } = ledger;
  assertEquals({ lines, repeated, torn }, { lines: 7, repeated: 1, torn: 1 });
  assertMatch(ledger.wrong[0]!, /^repeated, file 0:1 and file 1:1/);
});
