/** What is logged while something runs. */

import { setupLog } from "../../lib/log.ts";

/** What came out, and the texts of the WARNINGs on the way; they are not shown. */
export async function loggedBy<T>(
  body: () => Promise<T>,
): Promise<{ result: T; warnings: string[] }> {
  let text = "";
  const decoder = new TextDecoder();
  setupLog("WARNING", (bytes) => {
    text += decoder.decode(bytes);
    return bytes.length;
  });
  try {
    const result = await body();
    return {
      result,
      warnings: text.split("\n").filter(Boolean).map((line) =>
        line.slice(line.indexOf("WARNING ") + 8)
      ),
    };
  } finally {
    setupLog("INFO");
  }
}
