/** The rows of the bench, as a table for people. */

/** One figure, beside what it is compared with. */
export interface Row {
  what: string;
  figure: string;
  /** What the figure is held against in the same run, with its own figure. */
  reference?: string;
  ratio?: number;
  /** As the project asks for it; `isMet` tells whether the figure is within. */
  target?: string;
  isMet?: boolean;
}

/** The middle one of a few values. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** The value that this part (0 to 1) of them does not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}

/** Thousands separated, no fraction. */
export function whole(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Rows as a Markdown table, its columns aligned. */
export function table(rows: readonly Row[]): string {
  const head = ["what", "figure", "reference", "ratio", "target", ""];
  const cells = rows.map(({ what, figure, reference, ratio, target, isMet }) => [
    what,
    figure,
    reference ?? "",
    ratio === undefined ? "" : ratio.toFixed(2),
    target ?? "",
    isMet === undefined ? "" : isMet ? "met" : "MISSED",
  ]);
  const widths = head.map((name, column) =>
    Math.max(name.length, 1, ...cells.map((row) => row[column]!.length))
  );
  const line = (row: string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  const rule = `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`;
  return [line(head), rule, ...cells.map(line)].join("\n");
}
