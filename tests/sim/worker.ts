/** One thread of `deno task sim`: explores the scenario of each seed that it is sent. */

import { explore } from "./explore.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<number>) => void;
  postMessage: (message: unknown) => void;
};

scope.onmessage = async ({ data: seed }) => {
  try {
    scope.postMessage({ exploration: await explore(seed) });
  } catch (error) {
    scope.postMessage({
      error: `Scenario ${seed}: ${error instanceof Error ? error.stack : error}`,
    });
  }
};
