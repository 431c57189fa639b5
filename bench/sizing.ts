/** What a cluster of so many events an hour needs: computed from the shapes that are shipped. */

import { expectedFalsePositives, SECTOR_BYTES, shapeFor } from "../lib/bloom.ts";
import { generationsBudgeted } from "../lib/ring.ts";
import { DEFAULTS } from "../lib/settings.ts";
import { lineBytes } from "./feed.ts";
import type { Row } from "./report.ts";

const GENERATION_HEAD_BYTES = 8192;

/** Rows for a few sizes of clusters. */
export function sizing(): Row[] {
  const { filterCapacity, filterErrorRate, batchCount } = DEFAULTS;
  const errorRate = filterErrorRate / generationsBudgeted(batchCount);
  const shape = shapeFor(filterCapacity, errorRate);
  const bytes = shape.sectors * SECTOR_BYTES + GENERATION_HEAD_BYTES;
  const lineMean = lineBytes(1000) / 1000;
  return [10_000, 100_000, 1_000_000, 10_000_000].map((hourly) => {
    // By age one each hour; a full one is followed by another. Beside the kept ones the current
    // one, and one that waits for the LIST before it is dropped.
    const perHour = Math.max(1, hourly / filterCapacity);
    const generations = Math.ceil(perHour * batchCount) + 2;
    const keys = Math.min(hourly, filterCapacity);
    const rate = generations * expectedFalsePositives(shape, keys);
    return {
      what: `${hourly.toLocaleString("en-US")} events/h`,
      figure: `destination ${(hourly * lineMean / 1e6).toFixed(0)} MB/h, ring ${
        (generations * bytes / 1e6).toFixed(0)
      } MB on disk and in memory`,
      reference: `${generations} generations; false positives ${rate.toExponential(1)}`,
    };
  });
}
