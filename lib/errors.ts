/**
 * The errors that end the process, each with its exit status.
 *
 * The numbers are those of BSD's sysexits.h, so that a supervisor can tell "do not restart, a
 * setting is wrong" (64) from "try again" (69, 74). Everything else that is thrown is our bug: 70.
 */

/** A failure whose message is meant for the operator, with the exit status that goes with it. */
export abstract class ExitError extends Error {
  /** The exit status of the process, as in sysexits.h. */
  abstract readonly exitCode: number;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** EX_USAGE: a wrong flag, variable or kubeconfig. Restarting does not help. */
export class UsageError extends ExitError {
  readonly exitCode = 64;
}

/** EX_DATAERR: the state folder or destination cannot be used as it is (in use, newer format). */
export class StateError extends ExitError {
  readonly exitCode = 65;
}

/** Says that a file of the state folder is of a format that this release does not know. */
export function newerFormat(path: string, found: string, known: string): StateError {
  return new StateError(
    `Cannot use the state file ${JSON.stringify(path)}: a newer release wrote it (${found}, this ` +
      `one knows ${known}). Run that release, or another --persistence-path.`,
  );
}

/** EX_UNAVAILABLE: no cluster configuration, or no API server within --start-timeout. */
export class ClusterError extends ExitError {
  readonly exitCode = 69;
}

/** EX_SOFTWARE: an assumption of ours does not hold. */
export class InternalError extends ExitError {
  readonly exitCode = 70;
}

/** EX_IOERR: the destination or the state could not be written, synced or read. */
export class IoError extends ExitError {
  readonly exitCode = 74;
}

/**
 * Stops the process when an assumption does not hold, also in production: wrong state is worse
 * than a restart.
 *
 * @throws InternalError with the text
 */
export function invariant(condition: boolean, text: string): asserts condition {
  if (!condition) throw new InternalError(`Broken assumption: ${text}. Please report this.`);
}

/**
 * The exit status for anything thrown: that of an {@linkcode ExitError}, 74 for an error of the
 * operating system, else 70.
 */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ExitError) return error.exitCode;
  return codeOf(error) === undefined ? 70 : 74;
}

/** The message of anything thrown, on one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s*\n\s*/g, " ").trim();
}

/** Errors of Linux that Deno gives a number but no code, as far as we act upon them. */
const CODES: Readonly<Record<string, string>> = { "122": "EDQUOT" };

/**
 * The operating system's error code (`"ENOSPC"`), where the error is one of its: `"errno 117"`
 * where Deno has no name for it.
 */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof ExitError) return undefined;
  const { code, message } = error as Error & { code?: unknown };
  if (typeof code === "string") return code;
  const [, number] = /\(os error (\d+)\)/.exec(message) ?? [];
  return number === undefined ? undefined : CODES[number] ?? `errno ${number}`;
}
