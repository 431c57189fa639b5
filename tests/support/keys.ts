/** Keys and certificates for tests, made by the openssl command line in a folder of their own. */

import { assert } from "@std/assert";

/** A key and its certificate, as files. */
export interface Identity {
  keyFile: string;
  certFile: string;
}

/** Arguments of `openssl genpkey` for a key of the usual kind. */
export const P256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

/** A folder with a CA; remove it with {@linkcode KeyFolder.close}. */
export class KeyFolder {
  readonly folder: string;
  readonly ca: Identity;

  constructor() {
    this.folder = Deno.makeTempDirSync({ prefix: "kube-event-pipe-keys-" });
    this.ca = this.selfSigned("ca", ["-addext", "basicConstraints=critical,CA:TRUE"]);
  }

  close(): void {
    Deno.removeSync(this.folder, { recursive: true });
  }

  /** The path of a file in the folder, with this content. */
  file(name: string, content: string): string {
    const path = `${this.folder}/${name}`;
    Deno.writeTextFileSync(path, content);
    return path;
  }

  /** Runs openssl in the folder. */
  openssl(...args: string[]): void {
    const { success, stderr } = new Deno.Command("openssl", {
      args,
      cwd: this.folder,
      stdout: "null",
      stderr: "piped",
    }).outputSync();
    assert(success, `openssl ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }

  /** A new key; by default on P-256. */
  key(name: string, genpkey: string[] = P256): string {
    this.openssl("genpkey", ...genpkey, "-out", `${name}.key`);
    return `${this.folder}/${name}.key`;
  }

  /** A key with a certificate of its own. */
  selfSigned(name: string, req: string[] = [], genpkey: string[] = P256): Identity {
    const keyFile = this.key(name, genpkey);
    const certFile = `${this.folder}/${name}.crt`;
    const subject = ["-subj", `/CN=${name}`, "-days", "2"];
    this.openssl("req", "-x509", "-new", "-key", keyFile, "-out", certFile, ...subject, ...req);
    return { keyFile, certFile };
  }

  /** A key with a certificate that the CA signed, with these extension lines. */
  signed(name: string, extensions: string, options: string[] = ["-days", "2"]): Identity {
    const keyFile = this.key(name);
    const certFile = `${this.folder}/${name}.crt`;
    this.openssl("req", "-new", "-key", keyFile, "-subj", `/CN=${name}`, "-out", `${name}.csr`);
    const ca = ["-CA", this.ca.certFile, "-CAkey", this.ca.keyFile, "-CAcreateserial"];
    const file = this.file(`${name}.ext`, extensions);
    this.openssl(
      ...["x509", "-req", "-in", `${name}.csr`, "-out", certFile, "-extfile", file],
      ...ca,
      ...options,
    );
    return { keyFile, certFile };
  }
}
