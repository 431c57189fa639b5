import { assert, assertEquals } from "@std/assert";
import { UsageError } from "../../lib/errors.ts";
import { caCertificates, keyPair } from "../../lib/key_pair.ts";
import { type Identity, KeyFolder, P256 } from "../support/keys.ts";
import { testSeed } from "../support/temp.ts";

function withKeys(work: (keys: KeyFolder) => void): void {
  const keys = new KeyFolder();
  try {
    work(keys);
  } finally {
    keys.close();
  }
}

const rsa = (bits: number) => ["-algorithm", "RSA", "-pkeyopt", `rsa_keygen_bits:${bits}`];
const curve = (name: string) => ["-algorithm", "EC", "-pkeyopt", `ec_paramgen_curve:${name}`];

function read({ certFile, keyFile }: Identity): [cert: string, key: string] {
  return [Deno.readTextFileSync(certFile), Deno.readTextFileSync(keyFile)];
}

function refusal(cert: string, key: string): string {
  try {
    keyPair(cert, key, "the pair");
  } catch (error) {
    assert(error instanceof UsageError, String(error));
    assert(!/[A-Za-z0-9+/]{30}/.test(error.message), "A message must not quote a key");
    return error.message;
  }
  throw new Error("It was not refused");
}

Deno.test("keyPair() gives Deno a pair that it takes, of each kind that rustls signs with", () =>
  withKeys((keys) => {
    const kinds = { rsa: rsa(2048), p256: P256, p384: curve("P-384"), p521: curve("P-521") };
    const identities = Object.entries({ ...kinds, ed25519: ["-algorithm", "ed25519"] })
      .map(([name, genpkey]) => keys.selfSigned(name, [], genpkey));
    // The older forms of a key file: PKCS #1 and SEC 1, the latter behind its EC PARAMETERS.
    keys.openssl("rsa", "-in", "rsa.key", "-traditional", "-out", "pkcs1.key");
    keys.openssl("ec", "-in", "p256.key", "-out", "sec1.key");
    keys.openssl("ecparam", "-name", "prime256v1", "-out", "params.pem");
    const sec1 = Deno.readTextFileSync(`${keys.folder}/params.pem`) +
      Deno.readTextFileSync(`${keys.folder}/sec1.key`);
    identities.push(
      { certFile: `${keys.folder}/rsa.crt`, keyFile: `${keys.folder}/pkcs1.key` },
      { certFile: `${keys.folder}/p256.crt`, keyFile: keys.file("params.key", sec1) },
    );
    for (const identity of identities) {
      const { cert, key, expiresMs } = keyPair(...read(identity), "the pair");
      Deno.createHttpClient({ cert, key }).close();
      const days = (expiresMs - Date.now()) / 86_400_000;
      assert(days > 1.9 && days < 2.1, `${identity.keyFile}: ${days} days`);
    }
  }));

Deno.test("keyPair() takes the first key and all certificates, whatever stands around them", () =>
  withKeys((keys) => {
    const [cert, key] = read(keys.selfSigned("client"));
    const [ca, caKey] = read(keys.ca);
    const expected = keyPair(cert + ca, key, "the pair");
    const indent = (text: string) => text.replaceAll(/^/gm, "  ").replaceAll("\n", "\r\n");
    const messy = `Bag Attributes\n${indent(key)}${indent(cert)}subject=/CN=ca\n${ca}${caKey}`;
    assertEquals(keyPair(messy, messy, "the pair"), expected);
    assertEquals(expected.cert.match(/BEGIN CERTIFICATE/g)?.length, 2);
  }));

Deno.test("keyPair() refuses what would end the process, and says what is wrong", () =>
  withKeys((keys) => {
    const client = keys.selfSigned("client");
    const [cert, key] = read(client);
    const [, otherKey] = read(keys.selfSigned("other"));
    const block = (label: string) => `-----BEGIN ${label}-----\naGVsbG8=\n-----END ${label}-----\n`;
    assertEquals(
      refusal(cert, otherKey),
      "Cannot use the pair: the key does not match its certificate.",
    );
    assertEquals(
      refusal(cert, cert),
      "Cannot use the pair: the key is no PEM private key.",
    );
    assertEquals(
      refusal(key, key),
      "Cannot use the pair: the certificate is no PEM certificate.",
    );
    assertEquals(
      refusal(cert.slice(0, 300), key),
      "Cannot use the pair: the certificate is no PEM certificate.",
    );
    assertEquals(
      refusal(block("CERTIFICATE"), key),
      "Cannot use the pair: the certificate's PEM text is damaged.",
    );
    assertEquals(
      refusal(cert, block("PRIVATE KEY")),
      "Cannot use the pair: the key cannot be read: its PEM text is damaged or of an unknown kind.",
    );
  }));

Deno.test("keyPair() refuses an encrypted key in both forms", () =>
  withKeys((keys) => {
    const [cert] = read(keys.selfSigned("client"));
    keys.openssl(..."pkcs8 -topk8 -in client.key -passout pass:x -out new.key".split(" "));
    keys.openssl(..."ec -in client.key -aes128 -passout pass:x -out old.key".split(" "));
    for (const name of ["new", "old"]) {
      assertEquals(
        refusal(cert, Deno.readTextFileSync(`${keys.folder}/${name}.key`)),
        "Cannot use the pair: the key is encrypted, and nobody is here to type its password; " +
          "write it without one (openssl pkey -in KEY -out PLAIN).",
      );
    }
  }));

Deno.test("keyPair() refuses kinds of key that rustls does not sign with", () =>
  withKeys((keys) => {
    const kinds = { short: rsa(1024), k1: curve("secp256k1"), ed448: ["-algorithm", "ed448"] };
    for (const [name, genpkey] of Object.entries(kinds)) {
      assertEquals(
        refusal(...read(keys.selfSigned(name, [], genpkey))),
        "Cannot use the pair: the key must be RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) " +
          "or Ed25519.",
        name,
      );
    }
  }));

Deno.test("keyPair() refuses certificates that rustls-webpki does not read", () =>
  withKeys((keys) => {
    keys.openssl(..."req -new -key ca.key -subj /CN=x -out x.csr".split(" "));
    keys.openssl(..."x509 -req -in x.csr -signkey ca.key -days 2 -out v1.crt".split(" "));
    const [, key] = read(keys.ca);
    assertEquals(
      refusal(Deno.readTextFileSync(`${keys.folder}/v1.crt`), key),
      "Cannot use the pair: the certificate is X.509 version 1, and only version 3 is supported; " +
        'issue it again with an extension, for example "extendedKeyUsage = clientAuth".',
    );
    const odd = keys.signed("odd", "1.2.3.4 = critical,DER:0500");
    assertEquals(
      refusal(...read(odd)),
      "Cannot use the pair: the certificate has a critical extension that is not supported.",
    );
    const usual = keys.signed("usual", "keyUsage = critical,digitalSignature\n1.2.3.4 = DER:0500");
    const { cert, key: usualKey } = keyPair(...read(usual), "the pair");
    Deno.createHttpClient({ cert, key: usualKey }).close();
  }));

Deno.test("caCertificates() leaves out what cannot be read and refuses when nothing is left", () =>
  withKeys((keys) => {
    const ca = Deno.readTextFileSync(keys.ca.certFile);
    const garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    const both = caCertificates(`# comment\n${garbage}${ca}${ca}`, "The CA");
    assertEquals(both.map((pem) => pem.trim()), [ca.trim(), ca.trim()]);
    const refusals: [text: string, message: string][] = [
      [garbage, "The CA holds no certificate that can be read: its PEM text is damaged."],
      [
        "hello",
        'The CA holds no PEM certificate (a block that begins with "-----BEGIN CERTIFICATE-----").',
      ],
    ];
    for (const [text, message] of refusals) {
      let error: unknown;
      try {
        caCertificates(text, "The CA");
      } catch (thrown) {
        error = thrown;
      }
      assert(error instanceof UsageError);
      assertEquals(error.message, message);
    }
  }));

/** What {@linkcode keyPair} lets through must never make Deno abort, so this runs elsewhere. */
const FUZZ = (module: string) => `
import { keyPair } from ${JSON.stringify(module)};
const [seed, certFile, keyFile] = Deno.args;
let state = Number(seed) >>> 0;
function random() { // mulberry32
  state = (state + 0x6D2B79F5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
function damaged(pem) {
  const [, label, body] = /-----BEGIN (.*)-----([^-]*)/.exec(pem);
  const der = Uint8Array.from(atob(body), (char) => char.charCodeAt(0));
  der[Math.floor(random() * der.length)] ^= 1 << Math.floor(random() * 8);
  return "-----BEGIN " + label + "-----\\n" + btoa(String.fromCharCode(...der)) +
    "\\n-----END " + label + "-----\\n";
}
const cert = Deno.readTextFileSync(certFile), key = Deno.readTextFileSync(keyFile);
let taken = 0, refused = 0;
for (let i = 0; i < 300; i++) {
  const pair = random() < 0.5 ? [damaged(cert), key] : [cert, damaged(key)];
  let found;
  try {
    found = keyPair(...pair, "x");
  } catch (error) {
    if (error.name !== "UsageError") throw error;
    refused++;
    continue;
  }
  Deno.createHttpClient({ cert: found.cert, key: found.key }).close();
  taken++;
}
console.log(taken > 0 && refused > 0 ? "survived" : "tried nothing");
`;

Deno.test("keyPair() lets no damaged pair through that would abort Deno", () =>
  withKeys((keys) => {
    const seed = testSeed();
    const identity = keys.selfSigned("client", [], rsa(2048));
    const script = keys.file("fuzz.js", FUZZ(import.meta.resolve("../../lib/key_pair.ts")));
    const args = ["--no-lock", "--no-check", "--no-config", "-A", script, String(seed)];
    const { stdout, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["run", ...args, identity.certFile, identity.keyFile],
    }).outputSync();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
    assertEquals(text(stdout), "survived", `SEED=${seed}: ${text(stderr)}`);
  }));
