import { assert, assertEquals, assertMatch } from "@std/assert";
import { escapeControls, LineWriter, log, setupLog } from "../../lib/log.ts";
import type { LogLevel } from "../../lib/settings.ts";

/** Runs `work` with the log at a level, and gives back the lines. */
function linesOf(level: LogLevel, work: () => void): string[] {
  let text = "";
  setupLog(level, (bytes) => {
    text += new TextDecoder().decode(bytes);
    return bytes.length;
  });
  try {
    work();
  } finally {
    setupLog("INFO");
  }
  assert(text === "" || text.endsWith("\n"));
  return text.split("\n").slice(0, -1);
}

function atEveryLevel(): void {
  log.debug("d");
  log.info("i");
  log.warning("w");
  log.error("e");
  log.critical("c");
}

function levelsOf(lines: string[]): string[] {
  return lines.map((line) => line.split(" ")[1]!);
}

Deno.test("log writes time, Python's level name and text on one line", () => {
  const [line] = linesOf("INFO", () => log.warning("the disk is full"));
  assertMatch(line!, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING the disk is full$/);
  assert(Math.abs(Date.parse(line!.split(" ")[0]!) - Date.now()) < 60_000);
});

Deno.test("log shows its level and those above, and all at NOTSET", () => {
  const all = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];
  assertEquals(levelsOf(linesOf("NOTSET", atEveryLevel)), all);
  for (const [index, level] of all.entries()) {
    assertEquals(levelsOf(linesOf(level as LogLevel, atEveryLevel)), all.slice(index));
    linesOf(level as LogLevel, () => {
      assertEquals(all.map((each) => log.enabled(each as LogLevel)), all.map((_, i) => i >= index));
    });
  }
});

Deno.test("log.debug() does not make a text that nobody sees", () => {
  let made = 0;
  const text = () => `text ${++made}`;
  assertEquals(linesOf("INFO", () => log.debug(text)), []);
  assertEquals(made, 0);
  assertMatch(linesOf("DEBUG", () => log.debug(text))[0]!, / DEBUG text 1$/);
});

Deno.test("log.at() writes at a level known at run time", () => {
  const lines = linesOf("NOTSET", () => {
    for (const level of ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] as const) {
      log.at(level, () => level.toLowerCase());
    }
  });
  assertEquals(lines.map((line) => line.split(" ")[2]), [
    "debug",
    "info",
    "warning",
    "error",
    "critical",
  ]);
});

Deno.test("log keeps a text on its line and a terminal's cursor where it is", () => {
  const lines = linesOf("INFO", () => log.info("a\r\nb\tc\x1b[2Jd\x00\u2028\u202ee"));
  assertEquals(lines.length, 1);
  assert(lines[0]!.endsWith(String.raw` INFO a\r\nb\tc\u001b[2Jd\u0000\u2028\u202ee`), lines[0]);
});

Deno.test("escapeControls() leaves other text alone", () => {
  const text = "Größe 5 µm \\n 日本 🙂 \"quoted\" 'x' %s";
  assertEquals(escapeControls(text), text);
});

/** A stderr that takes what `rooms` says, call by call: bytes, or an error. */
function brokenStderr(rooms: (number | Error)[]): { write(b: Uint8Array): number; text(): string } {
  let text = "";
  return {
    write(bytes) {
      const room = rooms.shift() ?? bytes.length;
      if (room instanceof Error) throw room;
      text += new TextDecoder().decode(bytes.subarray(0, room));
      return Math.min(room, bytes.length);
    },
    text: () => text,
  };
}

Deno.test("LineWriter finishes a line that stderr takes in pieces", () => {
  const stderr = brokenStderr([2, 1]);
  new LineWriter(stderr.write).write("abcdef");
  assertEquals(stderr.text(), "abcdef\n");
});

Deno.test("LineWriter drops lines while stderr refuses them, and counts them afterwards", () => {
  const full = new Deno.errors.WouldBlock("Resource temporarily unavailable (os error 11)");
  const stderr = brokenStderr([3, full, full]);
  const writer = new LineWriter(stderr.write);
  for (const line of ["abcdef", "lost", "seen"]) writer.write(line);
  assertMatch(
    stderr.text(),
    /^abc\n\d{4}-\S+Z WARNING 2 log line\(s\) were lost here\.\nseen\n$/,
  );
});

Deno.test("LineWriter survives a stderr whose reader left, or that takes nothing", () => {
  const gone = new Deno.errors.BrokenPipe("Broken pipe (os error 32)");
  const stderr = brokenStderr([gone, 0]);
  const writer = new LineWriter(stderr.write);
  writer.write("a");
  writer.write("b");
  assertEquals(stderr.text(), "");
});

Deno.test("the log of a real process goes on when the reader of its stderr leaves", async () => {
  const script = `
    const { log } = await import(${JSON.stringify(new URL("../../lib/log.ts", import.meta.url))});
    log.info("first");
    await Deno.stdin.read(new Uint8Array(1));
    for (let i = 0; i < 1000; i++) log.info("nobody reads this " + i);
    await Deno.stdout.write(new TextEncoder().encode("done"));
  `;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, script);
    const map = new URL("../../closed/import_map.json", import.meta.url).pathname;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-lock", "--no-check", "--import-map", map, "--allow-read", file],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const reader = child.stderr.getReader();
    assert(!(await reader.read()).done);
    await reader.cancel(); // From here each write of the child gives EPIPE.
    const writer = child.stdin.getWriter();
    await writer.write(new Uint8Array(1));
    await writer.close();
    assertEquals(await new Response(child.stdout).text(), "done");
    assertEquals((await child.status).code, 0);
  } finally {
    await Deno.remove(file);
  }
});
