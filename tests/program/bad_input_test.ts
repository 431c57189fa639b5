/** Bad input: the exact message that the real program closes with, and its exit status. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { startFakeApiServer } from "../fake/server.ts";
import { sampleEvent } from "../fake/sample.ts";
import { BINARY_HOW, compiledBinary } from "../support/binary.ts";
import { writeKubeconfig } from "../support/kubeconfig.ts";
import { Pki } from "../support/pki.ts";
import { Program, type ProgramOptions } from "../support/program.ts";
import { needing } from "../support/skip.ts";
import { until, withTempFolder } from "../support/temp.ts";

/** The message of the last line of a log, without time and level. */
function lastWords(program: Program): string {
  return (program.stderr.trimEnd().split("\n").at(-1) ?? "").replace(/^\S+ CRITICAL /, "");
}

async function refused(
  options: ProgramOptions,
  expected: { code: number; message: string },
): Promise<void> {
  const program = await Program.run(options);
  assertEquals({ code: program.code, message: lastWords(program) }, expected);
  assertEquals(program.stdout, "");
  assert(!program.stderr.includes("    at "), `a stack trace: ${program.stderr}`);
}

/** A folder with a kubeconfig of a server that nobody is. */
async function withKubeconfig(body: (folder: string, kubeconfig: string) => Promise<void>) {
  await withTempFolder(async (folder) => {
    const kubeconfig = `${folder}/kubeconfig`;
    await writeKubeconfig(kubeconfig, {});
    await body(folder, kubeconfig);
  });
}

Deno.test("Wrong flags and variables are named with their value and the remedy, status 64", async () => {
  await refused({ args: ["--destinaton=x"] }, {
    code: 64,
    message: 'Unknown flag "--destinaton". Did you mean --destination? See kube-event-pipe --help.',
  });
  const cases: [ProgramOptions, string, string][] = [
    [{ env: { KUBE_EVENT_PIPE_BATCH_COUNT: "0" } }, "KUBE_EVENT_PIPE_BATCH_COUNT", '"0"'],
    [{ args: ["--batch-count=-3"] }, "--batch-count", '"-3"'],
    [{ args: ["--filter-capacity", "many"] }, "--filter-capacity", '"many"'],
    [{ env: { KUBE_EVENT_PIPE_BATCH_DURATION_SEC: "1.5" } }, "BATCH_DURATION_SEC", '"1.5"'],
    [{ args: ["--filter-error-rate=0"] }, "--filter-error-rate", '"0"'],
    [{ args: ["--log-level=loud"] }, "--log-level", '"loud"'],
    [{ args: ["--identity=uid"] }, "--identity", '"uid"'],
  ];
  for (const [options, name, value] of cases) {
    const program = await Program.run(options);
    assertEquals(program.code, 64);
    assertStringIncludes(lastWords(program), name);
    assertStringIncludes(lastWords(program), value);
  }
});

Deno.test("A persistence folder that is missing or in use is refused", async () => {
  await withKubeconfig(async (folder, kubeconfig) => {
    await refused({ args: ["--kubeconfig", kubeconfig, "--persistence-path", `${folder}/none`] }, {
      code: 64,
      message: `The persistence path "${folder}/none" does not exist. Make the folder, or change ` +
        "--persistence-path (KUBE_EVENT_PIPE_PERSISTENCE_PATH).",
    });
    const args = ["--kubeconfig", kubeconfig, "--persistence-path", folder];
    const first = Program.start({ args });
    await first.says("State in");
    await refused({ args }, {
      code: 65,
      message:
        `The persistence path "${folder}" is in use by process ${first.pid}. Two instances ` +
        "cannot share one state: stop that one, or give this one another --persistence-path and " +
        "--destination.",
    });
    await first.stop();
  });
});

Deno.test(needing(
  compiledBinary(),
  BINARY_HOW,
  "A persistence folder without write permission is refused",
  () =>
    withKubeconfig(async (folder, kubeconfig) => {
      const state = `${folder}/state`;
      await Deno.mkdir(state);
      for (const path of [folder, state]) await Deno.chmod(path, 0o555);
      // Root may write anywhere; 65534 is nobody.
      const asWho = Deno.uid() === 0 ? { uid: 65534 } : {};
      await refused({ args: ["--kubeconfig", kubeconfig, "--persistence-path", state], ...asWho }, {
        code: 65,
        message:
          `The persistence path "${state}" cannot be used: Permission denied (os error 13): ` +
          `open '${state}/lock'. Give the user of this process read and write permission on it, ` +
          "or change --persistence-path.",
      });
      for (const path of [folder, state]) await Deno.chmod(path, 0o755);
    }),
));

Deno.test(needing(
  compiledBinary(),
  BINARY_HOW,
  "A destination without write permission is refused with what to do",
  () =>
    withKubeconfig(async (folder, kubeconfig) => {
      const [state, path] = [`${folder}/state`, `${folder}/events.jsonl`];
      await Deno.mkdir(state);
      await Deno.writeTextFile(path, "");
      await Deno.chmod(folder, 0o555);
      for (const name of [state, kubeconfig]) await Deno.chmod(name, 0o777);
      await Deno.chmod(path, 0o444);
      const asWho = Deno.uid() === 0 ? { uid: 65534 } : {};
      const args = ["--kubeconfig", kubeconfig, "--persistence-path", state];
      for (const name of [path, `${folder}/new.jsonl`]) {
        await refused({ args: [...args, "--destination", name], ...asWho }, {
          code: 65,
          message: `Cannot open the destination "${name}": Permission denied (os error 13): open ` +
            `'${name}'. Give the user of this process read and write permission on the file and ` +
            "in its folder, or change --destination.",
        });
      }
      await Deno.chmod(folder, 0o755);
    }),
));

Deno.test("A destination in a missing folder, or a directory as one, is refused", async () => {
  await withKubeconfig(async (folder, kubeconfig) => {
    const args = ["--kubeconfig", kubeconfig, "--persistence-path", folder, "--destination"];
    await refused({ args: [...args, `${folder}/none/events.jsonl`] }, {
      code: 64,
      message: `Cannot open the destination "${folder}/none/events.jsonl": the folder ` +
        `"${folder}/none" does not exist. Make it, or change --destination; folders are not made ` +
        "by this program.",
    });
    await refused({ args: [...args, folder] }, {
      code: 64,
      message: `Cannot open the destination "${folder}": it is a directory. Name a file in it.`,
    });
  });
});

Deno.test("A destination with a name of the state's own files is refused, and left alone", async () => {
  await withKubeconfig(async (folder, kubeconfig) => {
    const path = `${folder}/checkpoint`;
    const args = ["--kubeconfig", kubeconfig, "--persistence-path", folder, "--destination", path];
    await refused({ args }, {
      code: 64,
      message: `The destination "${path}" bears a name of the state's own files in "${folder}". ` +
        "Give it another name, or another folder: --destination.",
    });
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["kubeconfig"]);
  });
});

Deno.test("A destination that another instance appends to is refused", async () => {
  await withKubeconfig(async (folder, kubeconfig) => {
    const output = `${folder}/events.jsonl`;
    const start = ["--kubeconfig", kubeconfig, "--destination", output, "--persistence-path"];
    for (const name of ["a", "b"]) await Deno.mkdir(`${folder}/${name}`);
    const first = Program.start({ args: [...start, `${folder}/a`] });
    await first.says("Lines go to");
    await refused({ args: [...start, `${folder}/b`] }, {
      code: 65,
      message:
        `Cannot use the destination "${output}": another process holds its lock. Stop that ` +
        "instance, or give this one another --destination.",
    });
    await first.stop();
  });
});

Deno.test("What is wrong with a kubeconfig is said with its file, status 64", async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/kubeconfig`;
    const args = ["--kubeconfig", path, "--persistence-path", folder];
    const says = async (...texts: string[]) => {
      const program = await Program.run({ args });
      assertEquals(program.code, 64, program.stderr);
      for (const text of texts) assertStringIncludes(lastWords(program), text);
    };
    await Deno.writeTextFile(path, "clusters:\n  - name: [unclosed\n");
    await says(path, "YAML", "line");
    await writeKubeconfig(path, { cluster: { "insecure-skip-tls-verify": true } });
    await says(path, "insecure-skip-tls-verify");
    await writeKubeconfig(path, { cluster: { "certificate-authority": `${folder}/missing.crt` } });
    await says(`Cannot read "${folder}/missing.crt": there is no such file.`);
    const pki = new Pki("test-ca");
    const [one, two] = [pki.issue({ name: "one" }), pki.issue({ name: "two" })];
    await writeKubeconfig(path, {
      user: { "client-certificate-data": btoa(one.cert), "client-key-data": btoa(two.key) },
    });
    await says("does not match");
    await writeKubeconfig(path, {});
    const unknown = await Program.run({ args: [...args, "--context", "prod"] });
    assertEquals(unknown.code, 64);
    for (const text of ['"prod"', '"test"']) assertStringIncludes(lastWords(unknown), text);
  });
});

Deno.test("No cluster configuration at all is status 69, and says where it was looked for", async () => {
  await withTempFolder(async (folder) => {
    const program = await Program.run({
      args: ["--persistence-path", folder],
      env: { HOME: folder },
    });
    assertEquals(program.code, 69);
    for (const text of ["KUBECONFIG", `${folder}/.kube/config`, "KUBERNETES_SERVICE_HOST"]) {
      assertStringIncludes(lastWords(program), text);
    }
  });
});

Deno.test("A server that cannot be reached is tried again, said once a step, until the time is up", async () => {
  await withKubeconfig(async (folder, kubeconfig) => {
    const state = ["--kubeconfig", kubeconfig, "--persistence-path", folder];
    const program = Program.start({ args: state });
    const first = await program.says("Next attempt in");
    await program.says("Next attempt in", first);
    assert(!program.stderr.includes("    at "));
    assertEquals((await program.stop()).code, 0);
    await refused({ args: [...state, "--start-timeout-sec=1"] }, {
      code: 69,
      message: "No API server let us in at https://127.0.0.1:1 within 1 s (--start-timeout-sec). " +
        "The lines above say what it answered.",
    });
  });
});

Deno.test("401 is tried again with the token as it is by then; the token is in no message (fault 13)", async () => {
  await withTempFolder(async (folder) => {
    const pki = new Pki("test-ca");
    const server = await startFakeApiServer({
      tls: { ...pki.server({ name: "kube-apiserver" }), ca: pki.ca },
      tokens: { "right-secret": "admin" },
    });
    try {
      server.store.create(sampleEvent("default", "one.1"));
      const kubeconfig = `${folder}/kubeconfig`;
      await Deno.writeTextFile(`${folder}/token`, "wrong-secret");
      await server.writeKubeconfig(kubeconfig, { tokenFile: `${folder}/token` });
      const program = Program.start({
        args: ["--kubeconfig", kubeconfig, "--persistence-path", folder, "--log-level=DEBUG"],
      });
      await program.says("401");
      await Deno.writeTextFile(`${folder}/token`, "right-secret");
      await until("the event's line", () => program.stdout.includes('"one.1"'));
      await program.says("DEBUG Written: default/one.1 at 101, count 1: Container image");
      await program.stop();
      assert(!program.stderr.includes("secret"), program.stderr);
    } finally {
      await server.close();
    }
  });
});

Deno.test("Foreign and damaged .bloom files are said and do no harm", async () => {
  await withTempFolder(async (folder) => {
    const server = await startFakeApiServer();
    try {
      server.store.create(sampleEvent("default", "one.1"));
      const kubeconfig = `${folder}/kubeconfig`;
      await server.writeKubeconfig(kubeconfig);
      await Deno.writeTextFile(`${folder}/1600000000.bloom`, "the Python tool's");
      const args = ["--kubeconfig", kubeconfig, "--persistence-path", folder];
      const first = Program.start({ args });
      await until("the event's line", () => first.stdout.includes('"one.1"'));
      await first.says("Left alone: 1 .bloom file(s)");
      await first.stop();
      const [ours] = [...Deno.readDirSync(folder)].map(({ name }) => name)
        .filter((name) => name.endsWith(".bloom") && name !== "1600000000.bloom");
      const bytes = await Deno.readFile(`${folder}/${ours}`);
      bytes[8192 + 300]! ^= 1;
      await Deno.writeFile(`${folder}/${ours}`, bytes);
      const checkpoint = await Deno.readFile(`${folder}/checkpoint`);
      checkpoint[100]! ^= 1;
      checkpoint[64 * 1024 + 100]! ^= 1;
      await Deno.writeFile(`${folder}/checkpoint`, checkpoint);
      const second = Program.start({ args });
      await second.says(`2 damaged slot(s) in ${folder}/checkpoint. No checkpoint is left`);
      await second.says(`1 damaged place(s) in ${folder}/${ours}: emptied.`);
      await second.says("Connected to");
      await second.stop();
      assertEquals(second.code, 0);
      assertEquals(await Deno.readTextFile(`${folder}/1600000000.bloom`), "the Python tool's");
    } finally {
      await server.close();
    }
  });
});
