/** What `import` did, as text for people. Pure. */

import { findingLines, oddText } from "./check_text.ts";
import type { ImportReport } from "./import.ts";
import { escapeControls } from "./log.ts";
import { shownCount } from "./state_text.ts";

/** The report for people; its last line is the verdict. */
export function importText(report: ImportReport): string {
  const { files, lines, added, known, reshaped, notUnderstood, ring } = report;
  const body = [
    `Lines of ${files.length} file(s): ${shownCount(lines)} line(s), ` +
    `${shownCount(added + known)} event(s), ${shownCount(added)} of them new, ` +
    `${shownCount(known)} known already, ${shownCount(notUnderstood.count)} line(s) not understood`,
    ...files.map(({ path, isGzip, bytes, lines }) =>
      `  ${path}: ${shownCount(lines)} line(s), ${shownCount(bytes)} bytes` +
      (isGzip ? " of gzip" : "")
    ),
    ...(reshaped.count === 0 ? [] : [
      `Known with and without fields that no Event has: ${shownCount(reshaped.count)} line(s); ` +
      reshaped.fields.join(", "),
    ]),
    ...findingLines("Not understood", notUnderstood, oddText),
    `The ring in ${ring.folder} holds ${ring.generations} generation(s) with ` +
    `${shownCount(ring.keys)} key(s), all of them durable`,
    verdict(report),
  ];
  return body.map(escapeControls).join("\n");
}

function verdict({ added, known, notUnderstood: { count } }: ImportReport): string {
  if (count > 0) {
    return `NOT ALL: what ${
      shownCount(count)
    } line(s) tell was not understood and may be written ` +
      "again";
  }
  return `All is imported: ${shownCount(added + known)} event(s) will not be written again`;
}
