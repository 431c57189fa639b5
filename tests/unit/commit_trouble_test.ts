/** Trouble in the middle of a commit: each of these once lost, repeated or tore a line. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { IoError } from "../../lib/errors.ts";
import type { Io, IoFile } from "../../lib/io.ts";
import { FifoDestination } from "../../lib/pipe_destination.ts";
import { realIo } from "../../lib/real_io.ts";
import { closeReader, makeFifo, openReader, readAvailable } from "../support/fifo.ts";
import { linesOf, Rig, sampleEvent } from "../support/rig.ts";
import { until, withTempFolder } from "../support/temp.ts";

const events = (...numbers: number[]) => numbers.map((n) => sampleEvent(n));

/** The real disk, except for what `change` does to the destination's file. */
function withDestination(change: (file: IoFile) => void): Io {
  return {
    ...realIo,
    open(path, options) {
      const file = realIo.open(path, options);
      if (path.endsWith("events.jsonl")) change(file);
      return file;
    },
  };
}

function failure(code: string): Error {
  return Object.assign(new Error(`${code} (of the test)`), { code });
}

Deno.test("A failed sync is never followed by one that counts: its lines are written again (check 4.2.3)", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    let failing = false;
    const io = withDestination((file) => {
      const sync = file.sync.bind(file);
      // The kernel reports the error once; the next sync succeeds, and the pages are gone.
      file.sync = () => {
        if (!failing) return sync();
        failing = false;
        return Promise.reject(failure("EIO"));
      };
    });
    const rig = await Rig.start(folder, { io });
    await until("the start's checkpoint", () => rig.commit.isReady);
    failing = true;
    await rig.feed(events(1, 2, 3));
    await until("it is fatal", () => rig.fatal.length > 0);
    assert(rig.fatal[0] instanceof IoError);
    await assertRejects(() => rig.commit.stop(), IoError, "Cannot sync the destination");
    await rig.kill();
    Deno.truncateSync(path, 0);
    const again = await Rig.start(folder);
    await again.feed(events(1, 2, 3));
    await again.stop();
    assertEquals(linesOf(path), events(1, 2, 3));
  });
});

Deno.test("Lines that a failed cut left half-written are not taken for written", async () => {
  await withTempFolder(async (folder) => {
    let failing = false;
    const io = withDestination((file) => {
      const append = file.append.bind(file);
      const truncate = file.truncate.bind(file);
      let calls = 0;
      file.append = (bytes) => {
        if (!failing) return append(bytes);
        if (calls++ > 0) throw failure("ENOSPC");
        return append(bytes.subarray(0, 50));
      };
      file.truncate = (size) => {
        if (failing) throw failure("EPERM");
        truncate(size);
      };
    });
    const rig = await Rig.start(folder, { io });
    await rig.feed(events(1));
    failing = true;
    await assertRejects(() => rig.feed(events(2, 3, 4)), IoError, "Cannot cut the destination");
    await assertRejects(() => rig.commit.stop(), IoError, "Cannot cut the destination");
    await rig.kill();
    const again = await Rig.start(folder);
    await again.feed(events(1, 2, 3, 4));
    await again.stop();
    assertEquals(linesOf(`${folder}/events.jsonl`), events(1, 2, 3, 4));
  });
});

Deno.test("A stop while lines of a deleted file wait for room loses none of them", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    let isFull = false;
    const io = withDestination((file) => {
      const append = file.append.bind(file);
      file.append = (bytes) => {
        if (isFull) throw failure("ENOSPC");
        return append(bytes);
      };
    });
    const rig = await Rig.start(folder, { io });
    await rig.feed(events(1));
    await rig.commit.sync();
    Deno.removeSync(path);
    await rig.feed(events(2, 3));
    isFull = true;
    const switched = rig.commit.switchFile().catch((error: unknown) => error);
    await until("the new file is there", () => realIo.stat(path) !== null);
    await realIo.sleep(50);
    await assertRejects(() => rig.commit.stop());
    await switched;
    await rig.kill();
    const again = await Rig.start(folder);
    await again.feed(events(2, 3));
    await again.stop();
    assertEquals(linesOf(path), events(2, 3));
  });
});

Deno.test("What somebody else writes into the file tears none of our lines", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const rig = await Rig.start(folder);
    await rig.feed(events(1, 2));
    await rig.commit.sync();
    Deno.writeTextFileSync(path, "# marker\n", { append: true });
    await rig.feed(events(3, 4));
    await rig.commit.sync();
    await rig.stop();
    const again = await Rig.start(folder);
    await again.feed(events(1, 2, 3, 4));
    await again.stop();
    assertEquals(linesOf(path), [...events(1, 2), "# marker", ...events(3, 4)]);
  });
});

Deno.test("A second SIGHUP while the first is dealt with leaves no line behind", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/events.jsonl`;
    const io = withDestination((file) => {
      const sync = file.sync.bind(file);
      file.sync = async () => {
        await sync();
        await realIo.sleep(40);
      };
    });
    const rig = await Rig.start(folder, { io });
    let fed = 0;
    let feeding = true;
    const feeder = (async () => {
      for (; feeding; fed++) {
        await rig.feed(events(fed));
        await realIo.sleep(2);
      }
    })();
    await until("some are fed", () => fed > 5);
    const first = rig.commit.switchFile();
    const second = rig.commit.switchFile();
    await first;
    Deno.renameSync(path, `${path}.1`);
    await second;
    feeding = false;
    await rig.kill();
    await feeder.catch(() => {});
    const again = await Rig.start(folder);
    const all = Array.from({ length: fed + 1 }, (_, n) => sampleEvent(n));
    await again.feed(all);
    await again.stop();
    const lines = [...linesOf(`${path}.1`), ...linesOf(path)];
    assertEquals(lines.toSorted(), all.toSorted());
  });
});

Deno.test("A folder that is moved away and back is found again", async () => {
  await withTempFolder(async (folder) => {
    const logs = `${folder}/logs`;
    Deno.mkdirSync(logs);
    const rig = await Rig.start(folder, { destination: `${logs}/events.jsonl` });
    await rig.feed(events(1));
    Deno.renameSync(logs, `${folder}/away`);
    const switched = rig.commit.switchFile();
    await realIo.sleep(150);
    Deno.renameSync(`${folder}/away`, logs);
    await switched;
    await rig.feed(events(2));
    await rig.stop();
    assertEquals(linesOf(`${logs}/events.jsonl`), events(1, 2));
  });
});

Deno.test("Syncs that a slow disk delays do not pile up before a checkpoint", async () => {
  await withTempFolder(async (folder) => {
    let syncs = 0;
    const io = withDestination((file) => {
      const sync = file.sync.bind(file);
      file.sync = async () => {
        syncs++;
        await sync();
        await realIo.sleep(50);
      };
    });
    const rig = await Rig.start(folder, { io, syncIntervalMs: 1 });
    for (let n = 0; n < 100; n++) {
      await rig.feed(events(n));
      await realIo.sleep(3);
    }
    const before = syncs;
    await rig.commit.checkpoint();
    assert(syncs - before <= 3, `${syncs - before} syncs came first`);
    await rig.stop();
  });
});

Deno.test("A line that is half in a FIFO goes on after SIGHUP: its reader gets it whole", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/fifo`;
    makeFifo(path);
    const reader = openReader(path);
    const destination = new FifoDestination(realIo, path);
    const line = new Uint8Array(200_000).fill(0x61);
    line[line.length - 1] = 0x0a;
    const reopen = new AbortController();
    const written = destination.write(line, reopen.signal);
    await realIo.sleep(30);
    reopen.abort();
    destination.release();
    let bytes = 0;
    await until("all of the line", () => (bytes += readAvailable(reader).length) === line.length);
    assertEquals(await written, true);
    closeReader(reader);
  });
});
