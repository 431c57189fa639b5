/** The verdict of /healthz and /readyz: from facts to null or one sentence. */

import { assertEquals } from "@std/assert";
import { type HealthFacts, unhealthyReason, unreadyReason } from "../../lib/health.ts";

const AFTER_MS = 120_000;

/** All is well on a quiet cluster, just before the silent watch is asked about. */
const WELL: HealthFacts = {
  syncLateMs: 0,
  checkpointLateMs: 0,
  blockedMs: 0,
  destination: "/var/log/events.jsonl",
  watches: [{ path: "/api/v1/events", isOpen: true, silentMs: 60_000, isComplete: true }],
};

/** One watch that is so. */
function watch(isOpen: boolean, silentMs: number, path = "/api/v1/events"): Partial<HealthFacts> {
  return { watches: [{ path, isOpen, silentMs, isComplete: true }] };
}

/** Facts and what is said of them: first at the bound, where all is well, then just behind it. */
const CASES: {
  name: string;
  at: Partial<HealthFacts>;
  behind: Partial<HealthFacts>;
  says: string;
}[] = [
  {
    name: "a sync is late",
    at: { syncLateMs: AFTER_MS },
    behind: { syncLateMs: AFTER_MS + 1 },
    says: "Commits stand still: a sync of the destination is 120 s late.",
  },
  {
    name: "a checkpoint is late",
    at: { checkpointLateMs: AFTER_MS },
    behind: { checkpointLateMs: AFTER_MS + 1 },
    says: "Commits stand still: a checkpoint is 120 s late.",
  },
  {
    name: "the destination is blocked",
    at: { blockedMs: AFTER_MS },
    behind: { blockedMs: AFTER_MS + 1 },
    says: "The destination is blocked: events have been waiting for 120 s, and no line went to " +
      "/var/log/events.jsonl.",
  },
  {
    name: "standard output is blocked",
    at: { destination: "-" },
    behind: { blockedMs: 200_000, destination: "-" },
    says: "The destination is blocked: events have been waiting for 200 s, and no line went to " +
      "standard output.",
  },
  {
    name: "no WATCH is open",
    at: watch(false, AFTER_MS),
    behind: watch(false, AFTER_MS + 1),
    says: "No WATCH of /api/v1/events has got going for 120 s; the log says why.",
  },
  {
    name: "an open WATCH is silent for longer than a check takes",
    at: watch(true, AFTER_MS + 60_000),
    behind: watch(true, AFTER_MS + 60_001),
    says: "The WATCH of /api/v1/events has shown no sign of life for 180 s.",
  },
];

for (const { name, at, behind, says } of CASES) {
  Deno.test(`unhealthyReason() and unreadyReason() tell that ${name}, not before its bound`, () => {
    assertEquals(unhealthyReason({ ...WELL, ...at }, AFTER_MS), null);
    assertEquals(unreadyReason({ ...WELL, ...at }, AFTER_MS), null);
    assertEquals(unhealthyReason({ ...WELL, ...behind }, AFTER_MS), says);
    assertEquals(unreadyReason({ ...WELL, ...behind }, AFTER_MS), says);
  });
}

Deno.test("unhealthyReason() tells of the watch that is silent longest", () => {
  const watches = [130_000, 150_000, 140_000, 0].map((silentMs, index) => ({
    path: `/api/v1/namespaces/n${index}/events`,
    isOpen: false,
    silentMs,
    isComplete: true,
  }));
  assertEquals(
    unhealthyReason({ ...WELL, watches }, AFTER_MS),
    "No WATCH of /api/v1/namespaces/n1/events has got going for 150 s; the log says why.",
  );
});

Deno.test("unhealthyReason() tells the cause alone: the sync before the destination, it before the watch", () => {
  const { watches } = watch(false, 300_000);
  const facts: HealthFacts = {
    ...WELL,
    watches: watches!,
    blockedMs: 300_000,
    syncLateMs: 300_000,
  };
  assertEquals(unhealthyReason(facts, AFTER_MS)?.split(":")[0], "Commits stand still");
  const blocked = unhealthyReason({ ...facts, syncLateMs: 0 }, AFTER_MS);
  assertEquals(blocked?.split(":")[0], "The destination is blocked");
});

Deno.test("unreadyReason() tells of the first LIST that is not complete; that alone is healthy", () => {
  const watches = [true, false].map((isComplete, index) => ({
    path: `/api/v1/namespaces/n${index}/events`,
    isOpen: true,
    silentMs: 0,
    isComplete,
  }));
  assertEquals(unhealthyReason({ ...WELL, watches }, AFTER_MS), null);
  assertEquals(
    unreadyReason({ ...WELL, watches }, AFTER_MS),
    "Not ready: the first LIST of /api/v1/namespaces/n1/events is not complete.",
  );
});
