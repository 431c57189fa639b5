/** What giant lines cost the real program. */

import { assert, assertEquals } from "@std/assert";
import { sampleEvent } from "../fake/sample.ts";
import { isExact, linesOf, tally, tallyText } from "../fake/tally.ts";
import { withServer } from "../fake/testing.ts";
import { Program } from "../support/program.ts";
import { until, withTempFolder } from "../support/temp.ts";

/** Most that the program may have held at once, MiB. Measured: 84 before, 218 behind the giants. */
const PEAK_MIB_MAX = 400;

/** The most memory that a process has had, MiB. */
function peakMib(pid: number): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`)) ?? [];
  return Number(kib) / 1024;
}

Deno.test("fault 34: lines of 9 MiB, and one of 40 MiB, leave the real program's memory bounded", async () => {
  await withServer({}, async (server) => {
    await withTempFolder(async (folder) => {
      const config = `${folder}/kubeconfig`;
      const output = `${folder}/events.jsonl`;
      await server.writeKubeconfig(config);
      Deno.mkdirSync(`${folder}/state`);
      const program = Program.start({
        args: [
          "--kubeconfig",
          config,
          "--destination",
          output,
          "--persistence-path",
          `${folder}/state`,
        ],
      });
      try {
        await program.says("Connected to");
        const lines = () => [...linesOf(Deno.readTextFileSync(output))];
        server.store.create(sampleEvent("a", "small"));
        await until("a line", () => lines().length === 1);
        const before = peakMib(program.pid);
        for (let i = 0; i < 2; i++) {
          // As JSON six times as long.
          const message = `${i}${"\u0001".repeat(1.5 * 1024 * 1024)}`;
          server.store.create(sampleEvent("a", `giant${i}`, { message }));
        }
        await until("their lines", () => lines().length === 3, 60_000);
        const endless = `{"type":"ADDED","object":{"message":"${"x".repeat(40 * 1024 * 1024)}`;
        void server.watches[0]!.answer.send(endless);
        await program.says("A line of the watch is longer than 16777216 bytes", 0, 60_000);
        server.store.create(sampleEvent("a", "last"));
        await until("the last line", () => lines().length >= 4, 60_000);
        const peak = peakMib(program.pid);
        console.log(`peak ${before.toFixed(0)} MiB before, ${peak.toFixed(0)} MiB after`);
        assert(peak < PEAK_MIB_MAX, `${peak} MiB`);
        const result = tally(lines(), server.oracle().keys());
        assert(isExact(result), tallyText(result));
        assertEquals((await program.stop()).code, 0);
      } finally {
        await program.kill();
      }
    });
  });
});
