/**
 * How long a line is in a pipe and not yet in the ring's files: a kill -9 in between repeats it.
 *
 * `deno run -A bench/pipe_window.ts [seconds of each measurement]`. The shipped classes write lines
 * of the corpus (of events that a real API server sent) into a FIFO and into a pipe as standard
 * output. The time runs from the return of the write to that of the last write to the ring's files;
 * for standard output, which is written on another thread, also from the call, since the return is
 * noticed later than it happens: the truth is between the two.
 */

import type { Io } from "../lib/io.ts";
import { realIo } from "../lib/real_io.ts";
import { makeFifo } from "../tests/support/fifo.ts";
import { Rig } from "../tests/support/rig.ts";

/** One write to the pipe. Times are ms. */
interface Write {
  lines: number;
  bytes: number;
  called: number;
  returned: number;
  /** When the ring's files had it. */
  remembered: number;
  /** A new generation was made in between. */
  withGeneration: boolean;
}

/** What is written with one feed: `lines` at once. */
const FEEDS = [{ what: "one line", lines: 1 }, { what: "a run of lines", lines: 256 }];

const corpus = Deno.readTextFileSync(new URL("../tests/corpus/events.jsonl", import.meta.url))
  .trim().split("\n").map((frame) => JSON.parse(frame).object)
  .filter((event) => event !== undefined && JSON.stringify(event).length < 4096);

/** A line of the corpus, as an occurrence of its own. */
function line(n: number): string {
  const event = corpus[n % corpus.length];
  const metadata = { ...event.metadata, name: `pod-1.${n.toString(16)}` };
  return JSON.stringify({ ...event, metadata });
}

/** The operating system's files, with a note of each write to the pipe and to the ring. */
function noting(stdout: Deno.FsFile | null, writes: Write[]): Io {
  const begin = (bytes: Uint8Array, called: number) => {
    const lines = bytes.reduce((sum, byte) => sum + (byte === 0x0a ? 1 : 0), 0);
    const returned = performance.now();
    const time = { called, returned, remembered: returned };
    writes.push({ lines, bytes: bytes.length, ...time, withGeneration: false });
  };
  return {
    ...realIo,
    open(path, options) {
      const file = realIo.open(path, options);
      if (!path.includes(".bloom")) return file;
      const last = writes.at(-1);
      if (last !== undefined) last.withGeneration = true;
      const writeAt = file.writeAt.bind(file);
      file.writeAt = (bytes, offset) => {
        writeAt(bytes, offset);
        const last = writes.at(-1);
        if (last !== undefined) last.remembered = performance.now();
      };
      return file;
    },
    openPipe(path) {
      const pipe = realIo.openPipe(path);
      const write = pipe.write.bind(pipe);
      pipe.write = (bytes) => {
        const called = performance.now();
        const written = write(bytes);
        begin(bytes, called);
        return written;
      };
      return pipe;
    },
    async writeStdout(bytes) {
      const called = performance.now();
      const written = await stdout!.write(bytes);
      begin(bytes, called);
      return written;
    },
  };
}

async function measure(isStdout: boolean, lines: number, seconds: number): Promise<Write[]> {
  const folder = Deno.makeTempDirSync({ prefix: "kube-event-pipe-bench-" });
  const fifo = `${folder}/fifo`;
  makeFifo(fifo);
  const reader = new Deno.Command("cat", { args: [fifo], stdout: "null" }).spawn();
  const stdout = isStdout ? Deno.openSync(fifo, { write: true }) : null;
  const writes: Write[] = [];
  const rig = await Rig.start(folder, {
    io: noting(stdout, writes),
    destination: isStdout ? "-" : fifo,
    filterCapacity: 1_000_000,
    syncIntervalMs: 100,
  });
  const end = performance.now() + 1000 * seconds;
  for (let n = 0; performance.now() < end; n += lines) {
    await rig.feed(Array.from({ length: lines }, (_, index) => line(n + index)));
  }
  await rig.stop();
  stdout?.close();
  reader.kill("SIGTERM");
  await reader.status;
  Deno.removeSync(folder, { recursive: true });
  return writes;
}

function report(what: string, writes: Write[]): void {
  const spread = (values: number[]) => {
    const sorted = values.toSorted((a, b) => a - b);
    const at = (part: number) => Math.round(sorted[Math.floor(part * (sorted.length - 1))] ?? 0);
    return `median ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}`;
  };
  const plain = writes.filter(({ withGeneration }) => !withGeneration);
  const micros = (from: "called" | "returned") =>
    spread(plain.map((write) => 1000 * (write.remembered - write[from])));
  console.log(`${what}: ${writes.length} writes`);
  console.log(`  lines a write: ${spread(writes.map(({ lines }) => lines))}`);
  console.log(`  bytes a write: ${spread(writes.map(({ bytes }) => bytes))}`);
  console.log(`  us from the return of the write: ${micros("returned")}`);
  console.log(`  us from the call of the write:   ${micros("called")}`);
  for (const { returned, remembered } of writes.filter(({ withGeneration }) => withGeneration)) {
    console.log(`  us where a generation was made:  ${Math.round(1000 * (remembered - returned))}`);
  }
}

const seconds = Number(Deno.args[0] ?? 5);
for (const isStdout of [false, true]) {
  for (const { what, lines } of FEEDS) {
    const name = isStdout ? "standard output" : "FIFO";
    report(`${name}, ${what}`, await measure(isStdout, lines, seconds));
  }
}
Deno.exit(0);
