import { assert, assertEquals, assertGreater } from "@std/assert";
import { isExact, tallyText } from "../fake/tally.ts";
import { programCommand } from "../support/binary.ts";
import { needing } from "../support/skip.ts";
import { randomUint32, testSeed, withTempFolder } from "../support/temp.ts";
import { sharedApiServer } from "./api_server.ts";
import { API_SERVER_HOW } from "./assets.ts";
import { planLives, SET_LIVES } from "./kill_plan.ts";
import { START_MS } from "./kill_victim.ts";
import { killUnderLoad } from "./kills.ts";

// The long form is `deno task torture`.
Deno.test(needing(
  sharedApiServer(),
  API_SERVER_HOW,
  "killed with -9 under load and rotated in between, the program loses and repeats nothing (fault 47)",
  async (server) => {
    const seed = testSeed();
    const next = randomUint32(seed);
    const random = () => next() / 2 ** 32;
    await withTempFolder(async (folder) => {
      const { tally, victim, check, ...report } = await killUnderLoad(server, {
        folder,
        namespace: `kills-${seed}`,
        lives: planLives(SET_LIVES, random, {
          startMs: START_MS[programCommand().kind],
          patient: false,
        }),
      });
      const perSecond = Math.round(report.writesPerSecond);
      console.log(`${tallyText(tally)}; ${victim.rotated.length} rotations, ${perSecond} writes/s`);
      const { lost, repeated, unexpected, torn } = tally;
      assert(isExact(tally), JSON.stringify({ lost, repeated, unexpected, torn }));
      assertEquals(victim.ownEnds, []);
      assertEquals(check.code, 0, check.said);
      assertGreater(victim.rotated.length, 4);
      assertGreater(tally.occurrences, 500);
    });
  },
));
