/** What Dockerfile.distroless promises, without Docker: see image.ts. */

import { assertEquals, assertMatch } from "@std/assert";
import { kubeconfigText } from "../fake/kubeconfig.ts";
import { startFakeApiServer } from "../fake/server.ts";
import { sharedApiServer } from "../real/api_server.ts";
import { EventWriter, type WriterTarget } from "../real/event_writer.ts";
import { needing } from "../support/skip.ts";
import { withTempFolder } from "../support/temp.ts";
import { Container, imageConfig, imageParts } from "./image.ts";

/** SIGTERM must end the container within this, ms; Docker waits for ten seconds. */
const STOP_MS = 5_000;
const NAMESPACE = "chroot-test";

/** The real API server where there is one, else the fake one without TLS. */
async function startServer(): Promise<WriterTarget & { stop: () => Promise<void> }> {
  const shared = sharedApiServer();
  if (shared !== null) return { ...shared, stop: () => Promise.resolve() };
  const fake = await startFakeApiServer();
  return { url: fake.url, stop: () => fake.close() };
}

const parts = imageParts();

Deno.test(needing(
  "how" in parts ? null : parts,
  "how" in parts ? parts.how : "",
  "the image's conditions suffice: PID 1, uid 65532, a read-only root, libc6 and libgcc-s1 " +
    "alone; SIGHUP reopens, SIGTERM ends with 0",
  async (parts) => {
    await withTempFolder(async (folder) => {
      const { uid, gid, volume } = imageConfig();
      const [config, data] = [`${folder}/config`, `${folder}/data`];
      for (const path of [config, data]) {
        await Deno.mkdir(path);
        await Deno.chown(path, uid, gid);
      }
      const server = await startServer();
      using writer = new EventWriter(server);
      const { url, ca, adminToken: token } = server;
      const text = kubeconfigText({ server: url, ...(ca && { ca }), ...(token && { token }) });
      await Deno.writeTextFile(`${config}/kubeconfig`, text);
      await writer.createNamespace(NAMESPACE);
      const first = await writer.createEvent(NAMESPACE);

      await using container = Container.start(folder, parts, {
        args: ["--kubeconfig=/config/kubeconfig", `--destination=${volume}/events.jsonl`],
        mounts: { "/config": config, [volume]: data },
      });
      const output = `${data}/events.jsonl`;
      const count = (path: string, { metadata }: typeof first) =>
        Deno.readTextFileSync(path).split(metadata.uid).length - 1;
      const exists = () => [...Deno.readDirSync(data)].some(({ name }) => name === "events.jsonl");
      await container.until("its line is there", () => exists() && count(output, first) > 0);
      assertEquals(count(output, first), 1, "a uid is once in a line");
      const { uid: owner, mode } = await Deno.stat(output);
      assertEquals([owner, (mode ?? 0) & 0o777], [uid, 0o640]);

      const hangUp = async (sentence: string) => {
        container.signal("SIGHUP");
        await container.until(sentence, () => container.log.includes(sentence));
      };
      await hangUp("is still the same file"); // At SIGHUP alone does it say this.
      await Deno.rename(output, `${output}.1`);
      await hangUp("Reopened");
      const second = await writer.createEvent(NAMESPACE);
      await container.until("the second line is there", () => count(output, second) > 0);
      assertEquals([count(output, first), count(`${output}.1`, second)], [0, 0]);

      container.signal("SIGTERM");
      assertEquals(await container.end(STOP_MS), 0, container.log);
      await server.stop();
      const names = Array.from(Deno.readDirSync(data), ({ name }) => name);
      assertMatch(names.join(" "), /\.bloom\b/, "the state is in the volume too");
    });
  },
));
