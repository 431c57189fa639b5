import { assertEquals, assertGreater } from "@std/assert";
import { tallyText } from "../fake/tally.ts";
import { needing } from "../support/skip.ts";
import { randomUint32, testSeed, withTempFolder } from "../support/temp.ts";
import { sharedApiServer } from "./api_server.ts";
import { API_SERVER_HOW } from "./assets.ts";
import { killUnderLoad } from "./kills.ts";

Deno.test(needing(
  sharedApiServer(),
  API_SERVER_HOW,
  "killed with -9 under load and rotated in between, the program loses and repeats nothing",
  async (server) => {
    const seed = testSeed();
    const next = randomUint32(seed);
    await withTempFolder(async (folder) => {
      const { tally, ...report } = await killUnderLoad(server, {
        folder,
        namespace: `kills-${seed}`,
        kills: 16,
        random: () => next() / 2 ** 32,
      });
      console.log(tallyText(tally), JSON.stringify(report));
      assertEquals({ lost: tally.lost, repeated: tally.repeated, torn: tally.torn }, {
        lost: [],
        repeated: [],
        torn: 0,
      });
      assertEquals(tally.unexpected, []);
      assertGreater(tally.occurrences, 500);
    });
  },
));
