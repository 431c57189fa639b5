import { assert, assertEquals } from "@std/assert";
import { ClusterError, UsageError } from "../../lib/errors.ts";
import { type ExecSpec, runPlugin } from "../../lib/exec_plugin.ts";
import { withTempFolder } from "../support/temp.ts";

const V1 = "client.authentication.k8s.io/v1";

/** A plugin that is this shell script. */
function plugin(folder: string, script: string, more: Partial<ExecSpec> = {}): ExecSpec {
  const command = `${folder}/plugin`;
  Deno.writeTextFileSync(command, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const parentEnv = { PATH: Deno.env.get("PATH") ?? "" };
  return {
    ...{ command, args: [], env: [], apiVersion: V1, installHint: null, cluster: null, parentEnv },
    ...more,
  };
}

/** A script that prints an ExecCredential with this status. */
function prints(status: Record<string, unknown>, apiVersion = V1): string {
  return `echo '${JSON.stringify({ kind: "ExecCredential", apiVersion, status })}'`;
}

async function failure(spec: ExecSpec, timeoutMs?: number): Promise<string> {
  try {
    await runPlugin(spec, timeoutMs);
  } catch (error) {
    assert(error instanceof ClusterError, String(error));
    assertEquals(error.exitCode, 69);
    return error.message.replace(/"[^"]*\/plugin"/, "P");
  }
  throw new Error("It did not fail");
}

Deno.test("runPlugin() gives the token, the certificate and the time at which they end", () =>
  withTempFolder(async (folder) => {
    const nothing = { token: null, cert: null, key: null, expiresMs: null };
    assertEquals(await runPlugin(plugin(folder, prints({ token: "t" }))), {
      ...nothing,
      token: "t",
    });
    const status = {
      clientCertificateData: "CERT",
      clientKeyData: "KEY",
      expirationTimestamp: "2026-11-23T20:00:00Z",
    };
    assertEquals(await runPlugin(plugin(folder, prints(status))), {
      ...nothing,
      cert: "CERT",
      key: "KEY",
      expiresMs: Date.UTC(2026, 10, 23, 20),
    });
  }));

Deno.test("runPlugin() hands over arguments, variables and the task, and nothing of ours", () =>
  withTempFolder(async (folder) => {
    const script = `printf '%s|' "$@" "$A" "$B" "$KUBERNETES_EXEC_INFO" > ${folder}/seen\n` +
      `env | grep -c DENO_ >> ${folder}/seen\n${prints({ token: "t" })}`;
    Deno.env.set("DENO_TEST_OF_OURS", "1");
    try {
      await runPlugin(plugin(folder, script, {
        args: ["one two", "$HOME"],
        env: [{ name: "B", value: "own" }],
        parentEnv: { PATH: Deno.env.get("PATH") ?? "", A: "inherited", B: "overruled" },
        cluster: { server: "https://s" },
      }));
    } finally {
      Deno.env.delete("DENO_TEST_OF_OURS");
    }
    const info = {
      kind: "ExecCredential",
      apiVersion: V1,
      spec: { interactive: false, cluster: { server: "https://s" } },
    };
    assertEquals(
      Deno.readTextFileSync(`${folder}/seen`),
      `one two|$HOME|inherited|own|${JSON.stringify(info)}|0\n`,
    );
  }));

Deno.test("runPlugin() finds a command in the PATH that the plugin inherits", () =>
  withTempFolder(async (folder) => {
    plugin(folder, prints({ token: "found" }));
    const spec = plugin(folder, prints({ token: "found" }), { command: "plugin" });
    const parentEnv = { PATH: `${folder}:${Deno.env.get("PATH")}` };
    assertEquals((await runPlugin({ ...spec, parentEnv })).token, "found");
  }));

Deno.test("runPlugin() says where a command does not exist, with the plugin's own hint", () =>
  withTempFolder(async (folder) => {
    const spec = plugin(folder, "", {
      command: `${folder}/none`,
      installHint: "\nInstall it from example.com.\n",
    });
    let thrown: unknown;
    await runPlugin(spec).catch((error) => thrown = error);
    assert(thrown instanceof UsageError, String(thrown));
    assertEquals(
      thrown.message,
      `The credential plugin "${folder}/none" does not exist. Install it, or give its full path ` +
        "as command in the kubeconfig. Install it from example.com.",
    );
  }));

Deno.test("runPlugin() says when a file cannot be run", () =>
  withTempFolder(async (folder) => {
    const spec = plugin(folder, "");
    await Deno.chmod(spec.command, 0o644);
    assert((await failure(spec)).startsWith("The credential plugin P cannot be started: "));
  }));

Deno.test("runPlugin() repeats the last line of a plugin that fails, without what may be a token", () =>
  withTempFolder(async (folder) => {
    const script = `echo first >&2; echo "cannot use ${"eyJ".repeat(20)} at ${folder}" >&2; exit 3`;
    assertEquals(
      await failure(plugin(folder, script)),
      `The credential plugin P ended with status 3 and said: cannot use ... at ${folder}.`,
    );
    assertEquals(
      await failure(plugin(folder, "exit 1")),
      "The credential plugin P ended with status 1.",
    );
  }));

Deno.test("runPlugin() refuses what is no credential, and never quotes it", () =>
  withTempFolder(async (folder) => {
    const time = "2026-99-99";
    const cases: [script: string, what: string][] = [
      ["echo '{\"token\": secret}'", "printed no JSON"],
      ["echo '\"secret\"'", "printed no ExecCredential"],
      ["echo null", "printed no ExecCredential"],
      [prints({ token: "secret" }).replace("ExecCredential", "Other"), "printed no ExecCredential"],
      [
        prints({ token: "secret" }, "client.authentication.k8s.io/v1alpha1"),
        `speaks client.authentication.k8s.io/v1alpha1, but the kubeconfig asks for ${V1}`,
      ],
      [prints({}), "gave neither a token nor a certificate"],
      [prints({ token: 5 }), "gave neither a token nor a certificate"],
      [
        prints({ token: "secret", clientKeyData: "secret" }),
        "gave a certificate without its key, or a key without its certificate",
      ],
      [
        prints({ token: "secret", expirationTimestamp: time }),
        "gave an expirationTimestamp that is no time",
      ],
    ];
    for (const [script, what] of cases) {
      assertEquals(await failure(plugin(folder, script)), `The credential plugin P ${what}.`);
    }
  }));

Deno.test({
  name: "runPlugin() kills a plugin that takes too long, also where its child holds the pipe",
  // Deno cannot take back a read of a pipe: it ends a moment after the child that holds it.
  sanitizeOps: false,
  fn: () =>
    withTempFolder(async (folder) => {
      const start = performance.now();
      // The pipe stays open in the hands of `sleep`; what it would print comes too late.
      const script = `sleep 20 & echo $! > ${folder}/pid; wait; ${prints({ token: "t" })}`;
      assertEquals(
        await failure(plugin(folder, script), 1_000),
        "The credential plugin P did not end within 1 s and was killed.",
      );
      assert(performance.now() - start < 10_000);
      Deno.kill(Number(Deno.readTextFileSync(`${folder}/pid`)), "SIGKILL");
      // Better not in the next test, which would count it.
      await new Promise((resolve) => setTimeout(resolve, 300));
    }),
});

Deno.test("runPlugin() lets a plugin end that prints more than anybody reads", () =>
  withTempFolder(async (folder) => {
    const script = "head -c 3000000 /dev/zero";
    assertEquals(await failure(plugin(folder, script)), "The credential plugin P printed no JSON.");
  }));
