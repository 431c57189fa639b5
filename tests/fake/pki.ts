/**
 * Certificates for tests, made with the openssl command: a CA, and what it signs.
 */

/** A certificate and its key, PEM. */
export interface CertPair {
  cert: string;
  key: string;
}

/** What a certificate says. */
export interface CertRequest {
  /** CN: the user's name, in a client's certificate. */
  name: string;
  /** O: the user's group. */
  group?: string;
  /** Addresses and names of a server; none = the certificate of a client. */
  addresses?: string[];
  /** Valid from now for this many days (default 2); negative = expired that many days ago. */
  days?: number;
}

/** A certificate authority in a folder of the caller's. Needs the permissions run and write. */
export class Pki {
  /** The CA's own certificate, PEM. */
  readonly ca: string;
  #folder: string;
  #count = 0;

  private constructor(folder: string, ca: string) {
    this.#folder = folder;
    this.ca = ca;
  }

  /** Makes a CA of that name. @throws Error if openssl is missing or refuses */
  static async create(folder: string, name = "test-ca"): Promise<Pki> {
    const arguments_ = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2`;
    await openssl(
      folder,
      arguments_,
      "-subj",
      `/CN=${name}`,
      "-keyout",
      "ca.key",
      "-out",
      "ca.crt",
    );
    return new Pki(folder, await Deno.readTextFile(`${folder}/ca.crt`));
  }

  /** A certificate for a server on loopback, by address and by name. */
  server(request: Partial<CertRequest> = {}): Promise<CertPair> {
    const addresses = ["IP:127.0.0.1", "IP:::1", "DNS:localhost"];
    return this.issue({ name: "kube-apiserver", addresses, ...request });
  }

  /** Signs a certificate with a key of its own (EC P-256, PKCS#8). */
  async issue(request: CertRequest): Promise<CertPair> {
    const base = `c${++this.#count}`;
    const file = (suffix: string) => `${this.#folder}/${base}.${suffix}`;
    const { name, group, addresses, days = 2 } = request;
    const subject = `${group === undefined ? "" : `/O=${group}`}/CN=${name}`;
    const usage = addresses === undefined ? "clientAuth" : "serverAuth";
    const lines = [`extendedKeyUsage=${usage}`];
    if (addresses !== undefined) lines.push(`subjectAltName=${addresses.join(",")}`);
    await Deno.writeTextFile(file("ext"), lines.join("\n"));
    const key = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    await openssl(this.#folder, key, "-subj", subject, "-keyout", file("key"), "-out", file("csr"));
    const sign = `x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days ${days}`;
    const files = ["-in", file("csr"), "-out", file("crt"), "-extfile", file("ext")];
    await openssl(this.#folder, sign, ...files);
    return {
      cert: await Deno.readTextFile(file("crt")),
      key: await Deno.readTextFile(file("key")),
    };
  }
}

/** `words` is split at spaces; the other arguments may hold some. */
async function openssl(folder: string, words: string, ...rest: string[]): Promise<void> {
  const command = new Deno.Command("openssl", {
    args: [...words.split(" "), ...rest],
    cwd: folder,
  });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(`openssl ${words}: ${new TextDecoder().decode(stderr)}`);
}
