/** What tests on real parts run on: the compiled program, and an API server; says which they are. */

import { isBuilt, NO_RUNTIME } from "../../deploy/build.ts";
import { BINARY_HOW, TEST_BINARY } from "../support/binary.ts";
import { ApiServer } from "./api_server.ts";
import { API_SERVER_HOW, findAssets } from "./assets.ts";

const root = new URL("../../", import.meta.url);

/** Says which program is tested, and builds it where that can be done. @throws Error */
export async function prepareProgram(): Promise<void> {
  const named = Deno.env.get(TEST_BINARY);
  if (named) return console.log(`Program: ${named} (${TEST_BINARY})`);
  if (isBuilt()) return console.log("Program: dist/kube-event-pipe, built from this tree before");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-lock", "-A", "deploy/build.ts"],
    cwd: root,
  }).output();
  const [said, complained] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes).trim()
  );
  if (code === 0) return console.log(`Program: ${said}`);
  if (code !== NO_RUNTIME) throw new Error(complained);
  Deno.env.set(TEST_BINARY, "deno run");
  console.log(`Program: from source, with the same permissions. To compile it, ${BINARY_HOW}`);
}

/** Starts an API server with its files in `dir`; null where there are no binaries of one. */
export async function prepareServer(dir: string): Promise<ApiServer | null> {
  const assets = await findAssets();
  if (assets === null) {
    console.log(`API server: none. To have one, ${API_SERVER_HOW}`);
    return null;
  }
  const startMs = performance.now();
  const server = await ApiServer.start(dir, { assets });
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  console.log(`API server: etcd and kube-apiserver from ${assets.from}, up in ${seconds} s`);
  return server;
}
