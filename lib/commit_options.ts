/** What lib/commit.ts is told at its start. */

import type { WatchState } from "./checkpoint.ts";
import type { Destination } from "./destination.ts";
import type { IdentityMode, Position } from "./protocol.ts";

/** What a commit needs to know. */
export interface CommitOptions {
  identity: IdentityMode;
  syncIntervalMs: number;
  /** Keys that are remembered, and sectors of the ring that are written, while events wait. */
  atOnce: { keys: number; sectors: number };
  /** Names of the watches, in the order of their positions. */
  watches: Omit<WatchState, "position">[];
  /** Where they stand at the start; null = nothing is known yet. */
  positions: (Position | null)[];
  /** Opens the destination as its path is now. */
  openDestination: () => Promise<Destination>;
  /** Called with what ends the process. */
  onFatal: (error: unknown) => void;
  /** Called when a new occurrence closed a generation. */
  onGenerationClosed: () => void;
}
