/** `kube-event-pipe status`: what the state folder tells, without the lock and without a write. */

import type { Io } from "./io.ts";
import { readState, type StateReport } from "./state_report.ts";
import { stateLines } from "./state_text.ts";

/** What the command line says. */
export interface StatusOptions {
  /** The state folder. */
  persistencePath: string;
  /** Print a {@linkcode StateReport} as JSON. */
  json: boolean;
}

/** What a command prints to standard output, and whether its exit status is 0 or 1. */
export interface Outcome {
  text: string;
  isWell: boolean;
}

/** Reads the state folder. @throws as {@linkcode readState} */
export async function status(io: Io, options: StatusOptions): Promise<Outcome> {
  const state = await readState(io, options.persistencePath);
  const text = options.json ? JSON.stringify(state) : statusText(state);
  return { text, isWell: state.isWell };
}

/** The report for people; its last line is the verdict. */
export function statusText(state: StateReport): string {
  const verdict = state.isWell ? "No damage." : `NOT WELL: ${state.problems.join(", ")}`;
  return [...stateLines(state), verdict].join("\n");
}
