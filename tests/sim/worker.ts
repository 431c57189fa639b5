/** One thread of `deno task sim`: explores the scenario of each seed that it is sent. */

import { explore } from "./explore.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<{ seed: number; failing: number }>) => void;
  postMessage: (message: unknown) => void;
};

scope.onmessage = async ({ data: { seed, failing } }) => {
  try {
    scope.postMessage({ exploration: await explore(seed, { failing }) });
  } catch (error) {
    scope.postMessage({
      error: `Scenario ${seed}: ${error instanceof Error ? error.stack : error}`,
    });
  }
};
