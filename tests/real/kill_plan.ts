/**
 * When the program is killed, and what becomes of its destination before: drawn from a seed, so
 * that a run can be repeated. What the machine makes of it differs each time.
 */

/** One life of the program: from its start to its kill -9. */
export interface Life {
  /** What `afterMs` counts from: the start of the process, or the first line that it appends. */
  from: "start" | "first line";
  afterMs: number;
  /** What happens then; null = the kill. */
  rotation: Rotation | null;
}

/** The destination is renamed, as logrotate does. */
export interface Rotation {
  /** While the program runs, or between its kill and the next start. */
  when: "running" | "killed";
  /** logrotate's `create`: an empty file takes the place at once. */
  create: boolean;
  /** Whether SIGHUP follows. */
  hangup: boolean;
  /** From there to the kill, ms. */
  thenMs: number;
}

/** Lives of which each set of so many has every kind of death. */
export const SET_LIVES = 20;

/** A checkpoint comes after CHECKPOINT_MS of lib/limits.ts, 10,000: the kill may hit it. */
const CHECKPOINT_FROM_MS = 9_700;
/** A path that vanished is made again after VANISHED_WAIT_MS there, 5,000: the kill may hit it. */
const VANISHED_FROM_MS = 4_800;

/**
 * The lives of a run, in sets of {@linkcode SET_LIVES} that are shuffled each.
 *
 * @param random numbers from 0 to 1
 * @param options.startMs about what a start takes: the kills that are to hit it come by then
 * @param options.patient whether a set has a life that reaches the checkpoint of every 10 s and one
 * that reaches the end of the 5 s for which a vanished path is waited for
 */
export function planLives(
  count: number,
  random: () => number,
  options: { startMs: number; patient: boolean },
): Life[] {
  const lives: Life[] = [];
  while (lives.length < count) lives.push(...shuffled(set(random, options), random).flat());
  return lives.slice(0, count);
}

/** For people: `killed 212 ms after the start`. */
export function lifeText({ from, afterMs, rotation }: Life): string {
  const start = `${afterMs} ms after the ${from}`;
  if (rotation === null) return `killed ${start}`;
  const { when, create, hangup, thenMs } = rotation;
  const renamed = create ? "renamed and made anew" : "renamed";
  if (when === "killed") return `killed ${start}, then ${renamed}`;
  return `${renamed} ${start}${hangup ? ", SIGHUP" : ""}, killed ${thenMs} ms after that`;
}

/** One set; the lives of a group stay in a row. */
function set(random: () => number, options: { startMs: number; patient: boolean }): Life[][] {
  const upTo = (ms: number) => Math.round(ms * random());
  /** Mostly within a few ms, at times later: a file switch is over soon. */
  const soonMs = () => Math.round(60 * random() ** 3);
  const early = (): Life => {
    // A start that recovers much, or on a busy machine, takes longer.
    const startMs = random() < 0.5 ? options.startMs : 3 * options.startMs;
    return { from: "start", afterMs: upTo(startMs), rotation: null };
  };
  const underLoad = (afterMs: number, rotation: Rotation | null): Life[] => [
    { from: "first line", afterMs, rotation },
  ];
  const rotated = (create: boolean, hangup: boolean, thenMs: number): Life[] =>
    underLoad(upTo(500), { when: "running", create, hangup, thenMs });
  const later = (): Life[] => underLoad(upTo(800), null);
  return [
    [early()],
    [early(), early()],
    [early(), early(), early()],
    [{
      ...early(),
      rotation: { when: "running", create: random() < 0.5, hangup: true, thenMs: soonMs() },
    }],
    later(),
    later(),
    later(),
    later(),
    options.patient ? underLoad(CHECKPOINT_FROM_MS + upTo(600), null) : later(),
    rotated(false, false, soonMs()),
    rotated(false, true, soonMs()),
    rotated(true, false, soonMs()),
    rotated(true, true, soonMs()),
    rotated(false, true, upTo(1_000)),
    rotated(true, true, upTo(1_000)),
    rotated(false, false, options.patient ? VANISHED_FROM_MS + upTo(500) : upTo(1_000)),
    underLoad(upTo(800), { when: "killed", create: random() < 0.5, hangup: false, thenMs: 0 }),
  ];
}

function shuffled<T>(items: T[], random: () => number): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor((last + 1) * random());
    [result[last], result[other]] = [result[other]!, result[last]!];
  }
  return result;
}
