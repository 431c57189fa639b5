/** FIFOs and standard output without a reader, full, or closed. */

import { FifoReader } from "../support/fifo_reader.ts";
import { type Scene, troubleTest } from "./trouble_scene.ts";

/** Lines of these fill a pipe (64 KiB), each of them going into it as a whole. */
const FULL = { events: 200, messageBytes: 300 };

const fifoTest = (name: string, body: (scene: Scene, reader: FifoReader) => Promise<void>) =>
  troubleTest(name, true, "", async (scene) => {
    using reader = new FifoReader(`${scene.folder}/fifo`);
    await body(scene, reader);
  });

fifoTest(
  "A FIFO without a reader, at the start and later, holds the watch back until one comes",
  async (scene, reader) => {
    const program = await scene.start(reader.path);
    await scene.create(10);
    let from = await program.says(`Nobody reads the FIFO ${reader.path}. Events wait.`);
    await scene.flood(program);
    reader.come();
    await scene.goesOn(() => reader.read());
    from = await program.says(`Lines go to the FIFO ${reader.path} again, after `, from);
    reader.leave();
    await scene.create(10);
    from = await program.says(`Nobody reads the FIFO ${reader.path}. Events wait.`, from);
    reader.come();
    await scene.goesOn(() => reader.read());
    await program.says(`Lines go to the FIFO ${reader.path} again, after `, from);
  },
);

fifoTest(
  "A full FIFO holds the watch back, also through a SIGHUP, until its reader goes on",
  async (scene, reader) => {
    reader.come();
    const program = await scene.start(reader.path);
    await scene.create(FULL.events, FULL.messageBytes);
    await program.says(`The FIFO ${reader.path} is full: its reader does not read. Events wait.`);
    await scene.flood(program);
    program.signal("SIGHUP");
    await program.says("SIGHUP: reopening the destination.");
    await scene.create(10);
    await scene.goesOn(() => reader.read());
    await scene.stop(program);
    await scene.start(reader.path);
    await scene.goesOn(() => reader.read());
  },
);

fifoTest(
  "Stopped while its FIFO is full or has no reader, it ends in time, and the next start is exact",
  async (scene, reader) => {
    reader.come();
    const first = await scene.start(reader.path);
    await scene.create(FULL.events, FULL.messageBytes);
    await first.says("is full");
    await scene.stop(first);
    reader.read();
    reader.leave();
    const second = await scene.start(reader.path);
    await second.says("Nobody reads the FIFO");
    second.signal("SIGHUP");
    await second.says("Reopened");
    await scene.stop(second);
    const third = await scene.start(reader.path);
    reader.come();
    await scene.goesOn(() => reader.read());
    await scene.stop(third);
  },
);

fifoTest(
  "Standard output that is closed ends it with 74, and the next start writes what did not go",
  async (scene, reader) => {
    const stdout = { path: reader.path };
    reader.come();
    const program = await scene.start("-", { stdout });
    await scene.create(20);
    await scene.goesOn(() => reader.read());
    reader.leave();
    await scene.create(20);
    await scene.endsWith74(program, /Cannot write to standard output: Broken pipe \(os error 32\)/);
    reader.come();
    await scene.start("-", { stdout });
    await scene.goesOn(() => reader.read());
  },
);

fifoTest(
  "Standard output that is full holds the watch back; stopped then, it ends in time, and all is exact",
  async (scene, reader) => {
    const stdout = { path: reader.path };
    const full = "Standard output is full: nobody reads what is in it. Events wait.";
    reader.come();
    const program = await scene.start("-", { stdout });
    await scene.create(FULL.events, FULL.messageBytes);
    await program.says(full);
    await scene.flood(program);
    await scene.stop(program);
    const next = await scene.start("-", { stdout });
    await next.says(full);
    await scene.goesOn(() => reader.read());
    await next.says("Lines go to standard output again, after ");
  },
);
