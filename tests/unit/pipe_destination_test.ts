import { assert, assertEquals, assertRejects } from "@std/assert";
import { IoError } from "../../lib/errors.ts";
import { FifoDestination, PIPE_BUF, StdoutDestination } from "../../lib/pipe_destination.ts";
import { realIo } from "../../lib/real_io.ts";
import { closeReader, makeFifo, openReader, readAvailable } from "../support/fifo.ts";
import { until, withTempFolder } from "../support/temp.ts";

const NEVER = new AbortController().signal;

Deno.test("A FIFO without a reader holds lines back until one comes", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/fifo`;
    makeFifo(path);
    const destination = new FifoDestination(realIo, path);
    const written = destination.write(new TextEncoder().encode("line\n"), NEVER);
    await realIo.sleep(150);
    const reader = openReader(path);
    assert(await written);
    assertEquals(new TextDecoder().decode(readAvailable(reader)), "line\n");
    closeReader(reader);
    destination.release();
  });
});

Deno.test("A full FIFO takes everything once its reader goes on, and whole writes only", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/fifo`;
    makeFifo(path);
    const reader = openReader(path);
    const destination = new FifoDestination(realIo, path);
    const line = new Uint8Array(PIPE_BUF).fill(0x61);
    line[PIPE_BUF - 1] = 0x0a;
    let writes = 0;
    const writer = (async () => {
      for (; writes < 40; writes++) await destination.write(line, NEVER);
    })();
    await until("the pipe is full", () => writes === 16); // 64 KiB
    let bytes = 0;
    await until("all is read", () => (bytes += readAvailable(reader).length) === 40 * PIPE_BUF);
    await writer;
    closeReader(reader);
    destination.release();
  });
});

Deno.test("Readers of a FIFO may come and go; the descriptor stays and no line is lost", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/fifo`;
    makeFifo(path);
    const destination = new FifoDestination(realIo, path);
    const first = openReader(path);
    assert(await destination.write(new TextEncoder().encode("1\n"), NEVER));
    assertEquals(new TextDecoder().decode(readAvailable(first)), "1\n");
    closeReader(first);
    const written = destination.write(new TextEncoder().encode("2\n"), NEVER);
    await realIo.sleep(100);
    const second = openReader(path);
    assert(await written);
    assertEquals(new TextDecoder().decode(readAvailable(second)), "2\n");
    closeReader(second);
    destination.release();
  });
});

Deno.test("A write to a FIFO that waits is abandoned at once when told", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/fifo`;
    makeFifo(path);
    const destination = new FifoDestination(realIo, path);
    const abandon = new AbortController();
    const written = destination.write(new TextEncoder().encode("line\n"), abandon.signal);
    await realIo.sleep(60);
    abandon.abort();
    assertEquals(await written, false);
    destination.release();
  });
});

Deno.test("A regular file in the place of a FIFO is never written to as if it were one", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/fifo`;
    Deno.writeTextFileSync(path, "somebody's data\n");
    const destination = new FifoDestination(realIo, path);
    await assertRejects(
      () => destination.write(new TextEncoder().encode("line\n"), NEVER),
      IoError,
      "it is no FIFO any more",
    );
    assertEquals(Deno.readTextFileSync(path), "somebody's data\n");
  });
});

Deno.test("Standard output takes short writes and EAGAIN, and its end is an error with a sentence", async () => {
  const taken: number[] = [];
  let refuse = 2;
  const io = {
    ...realIo,
    writeStdout(bytes: Uint8Array): Promise<number> {
      if (refuse-- > 0) {
        return Promise.reject(Object.assign(new Error("again"), { code: "EAGAIN" }));
      }
      taken.push(bytes[0]!);
      return Promise.resolve(1);
    },
  };
  assert(await new StdoutDestination(io).write(Uint8Array.of(1, 2, 3), NEVER));
  assertEquals(taken, [1, 2, 3]);
  const closed = {
    ...realIo,
    writeStdout: () => Promise.reject(Object.assign(new Error("Broken pipe"), { code: "EPIPE" })),
  };
  await assertRejects(
    () => new StdoutDestination(closed).write(Uint8Array.of(1), NEVER),
    IoError,
    "Cannot write to standard output: Broken pipe",
  );
});
