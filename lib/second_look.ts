/**
 * Looking again at what looks wrong. `check` and `status` take no lock, so that they work beside a
 * running instance; what that one is writing right now can look torn, and is whole a moment later.
 */

import type { Io } from "./io.ts";
import { LOOK_MS, LOOKS_AGAIN } from "./limits.ts";

/** What `look` sees: the first that is right, else the last after some tries. */
export async function lookAgain<T>(
  io: Io,
  look: () => T,
  isRight: (seen: T) => boolean,
): Promise<T> {
  let seen = look();
  for (let again = 0; again < LOOKS_AGAIN && !isRight(seen); again++) {
    await io.sleep(LOOK_MS);
    seen = look();
  }
  return seen;
}
