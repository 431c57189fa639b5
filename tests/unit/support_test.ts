/** What the tests themselves stand on. */

import { assertEquals, assertThrows } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { countTests } from "../support/junit.ts";
import { Pki } from "../support/pki.ts";
import { needing } from "../support/skip.ts";
import { filesMissing, testFiles, withImports } from "../support/test_files.ts";
import { withTempFolder } from "../support/temp.ts";

Deno.test("countTests() counts tests, not their steps, and takes a cancelled one for failed", () => {
  const xml = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="7" failures="2" errors="1" time="2.252">
    <testsuite name="./tests/a_test.ts" tests="6" disabled="1" errors="1" failures="2">
        <testcase name="fine" classname="./tests/a_test.ts" time="0.026" line="1" col="6">
        </testcase>
        <testcase name="has &lt;steps&gt;" classname="./tests/a_test.ts" time="0.0" line="2" col="6">
            <failure message="1 test step failed">1 test step failed.</failure>
        </testcase>
        <testcase name="has &lt;steps&gt; &gt; one" classname="./tests/a_test.ts" time="0.0">
        </testcase>
        <testcase name="has &lt;steps&gt; &gt; two" classname="./tests/a_test.ts" time="0.0">
            <failure message="Uncaught Error: x">Error: x</failure>
        </testcase>
        <testcase name="ignored" classname="./tests/a_test.ts" time="0.000" line="3" col="6">
            <skipped/>
        </testcase>
        <testcase name="hangs" classname="./tests/a_test.ts" time="0.000" line="4" col="6">
            <error message="Cancelled"/>
        </testcase>
    </testsuite>
    <testsuite name="./tests/b_test.ts" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="fine" classname="./tests/b_test.ts" time="0.030" line="1" col="6">
        </testcase>
    </testsuite>
</testsuites>`;
  const files = new Set(["tests/a_test.ts", "tests/b_test.ts"]);
  assertEquals(countTests(xml), { passed: 2, failed: 2, skipped: 1, files });
  assertEquals(countTests(""), { passed: 0, failed: 0, skipped: 0, files: new Set() });
});

Deno.test("testFiles() and withImports() find tests and all that they use", async () => {
  await withTempFolder((folder) => {
    const root = new URL(`file://${folder}/`);
    const write = (path: string, text: string) => Deno.writeTextFileSync(new URL(path, root), text);
    Deno.mkdirSync(new URL("tests/deep", root), { recursive: true });
    write("tests/b_test.ts", 'import { x } from "./one.ts";');
    write("tests/deep/a_test.ts", 'import type { y } from "../two.ts";');
    write("tests/one.ts", 'export { z } from "./deep/three.ts";\nimport { a } from "@std/assert";');
    write("tests/deep/three.ts", 'import { x } from "../one.ts";');
    write("tests/two.ts", "");
    assertEquals(testFiles(root, ["tests"]), ["tests/b_test.ts", "tests/deep/a_test.ts"]);
    assertEquals(testFiles(root, ["tests/deep/"]), ["tests/deep/a_test.ts"]);
    const used = withImports(root, ["tests/b_test.ts"]);
    assertEquals([...used], ["tests/b_test.ts", "tests/one.ts", "tests/deep/three.ts"]);
    const tests = ["tests/b_test.ts", "tests/deep/a_test.ts"];
    assertEquals(filesMissing(root, tests, new Set(["tests/one.ts"])), ["tests/deep/a_test.ts"]);
    assertEquals(filesMissing(root, tests, new Set(tests)), []);
  });
});

Deno.test("needing() gives the part to the test, and without it an ignored test", async (t) => {
  const given: number[] = [];
  await needing(7, "never shown", "with the part", (part) => void given.push(part)).fn(t);
  assertEquals(given, [7]);
  // Its reason goes to the end of a run; this one is no test that anyone could enable.
  const kept = Deno.env.get("KEP_TEST_SKIPPED");
  Deno.env.set("KEP_TEST_SKIPPED", "/dev/null");
  try {
    const body = () => void given.push(0);
    const skipped = needing<number>(null, "do something", "without the part", body);
    assertEquals([skipped.ignore, skipped.name], [true, "without the part"]);
  } finally {
    if (kept === undefined) Deno.env.delete("KEP_TEST_SKIPPED");
    else Deno.env.set("KEP_TEST_SKIPPED", kept);
  }
  assertEquals(given, [7]);
});

Deno.test("Pki issues certificates that TLS on both sides takes, and no other CA's", async () => {
  const pki = new Pki();
  const { cert, key } = pki.server();
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const serve = async () => {
    using connection = await listener.accept();
    await connection.write(new TextEncoder().encode("hello"));
  };
  const port = listener.addr.port;
  const greet = async (ca: string) => {
    const served = serve().catch(() => {}); // A client that refuses us breaks off.
    try {
      using connection = await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [ca] });
      const buffer = new Uint8Array(16);
      const length = await connection.read(buffer);
      return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      await served;
    }
  };
  assertEquals(await greet(pki.ca), "hello");
  assertEquals((await greet(new Pki().ca)).includes("invalid peer certificate"), true);
  listener.close();
});

Deno.test("Pki writes names, addresses and validity into certificates", () => {
  const pki = new Pki("my-ca");
  const admin = new X509Certificate(pki.issue({ name: "admin", group: "system:masters" }).cert);
  assertEquals(admin.subject, "O=system:masters\nCN=admin");
  assertEquals(admin.issuer, "CN=my-ca");
  const server = new X509Certificate(pki.server({ hosts: ["10.0.0.1", "example.org"] }).cert);
  assertEquals(server.subjectAltName, "IP Address:10.0.0.1, DNS:example.org");
  const expired = new X509Certificate(pki.issue({ name: "old", days: -3 }).cert);
  assertEquals(Date.parse(expired.validTo) < Date.now() - 2 * 24 * 3600_000, true);
  assertEquals(Date.parse(expired.validFrom) < Date.parse(expired.validTo), true);
  assertThrows(() => new X509Certificate("no certificate"));
});
