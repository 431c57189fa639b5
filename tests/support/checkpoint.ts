/** What tests want to know of the checkpoint of a program that runs. */

import { until } from "./temp.ts";

/**
 * Waits until a checkpoint says where a watch stands. A kill before that one leaves a LIST alone to
 * go on from, and what was overwritten meanwhile is nobody's promise.
 */
export async function hasPosition(state: string): Promise<void> {
  await until("the first position is stored", () => {
    try {
      return Deno.readTextFileSync(`${state}/checkpoint`).includes('"rv":"');
    } catch {
      return false; // Not made yet.
    }
  });
}
