/**
 * Checks of PEM texts before Deno sees them.
 *
 * `Deno.createHttpClient` ends the whole process (a panic in ext/tls/lib.rs, up to Deno 2.9) where
 * a client certificate and its key do not fit rustls: another key, a kind of key that it does not
 * know, X.509 version 1, a critical extension that it does not know. So each of its conditions is
 * checked here first. They are those of rustls' `CertifiedKey::from_der` and of rustls-webpki's
 * `Cert::from_der`. No message here holds a byte of a key.
 */

import type { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { algorithmOf, certificateFacts } from "./certificate.ts";
import { UsageError } from "./errors.ts";

/** A client certificate (with its chain) and its key, as PEM texts that Deno takes. */
export interface KeyPair {
  cert: string;
  key: string;
  /** End of the certificate's validity, ms since 1970. */
  expiresMs: number;
}

interface PemBlock {
  label: string;
  /** The whole block, written anew: one header, 64 characters a line, one footer. */
  pem: string;
}

/** The blocks of a PEM text, in their order, however they are indented and whatever is between. */
function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  for (
    const match of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----((?:(?!-----)[^])*)-----END \1-----/g)
  ) {
    const label = match[1]!;
    const body = match[2]!.trim();
    // RFC 1421 headers stand before a block that is encrypted; they are kept, to tell that.
    const lines = body.includes(":") ? [body] : body.replaceAll(/\s+/g, "").match(/.{1,64}/g) ?? [];
    blocks.push({
      label,
      pem: [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n"),
    });
  }
  return blocks;
}

/**
 * The certificates of a CA bundle. Like client-go, it leaves out those that cannot be read.
 *
 * @param what names the bundle in a message
 * @throws UsageError where none can be read
 */
export function caCertificates(text: string, what: string): string[] {
  const found = pemBlocks(text).filter(({ label }) => label === "CERTIFICATE");
  const usable = found.map(({ pem }) => pem).filter(isUsableCertificate);
  if (usable.length > 0) return usable;
  throw new UsageError(
    found.length === 0
      ? `${what} holds no PEM certificate (a block that begins with "-----BEGIN CERTIFICATE-----").`
      : `${what} holds no certificate that can be read: its PEM text is damaged.`,
  );
}

/** Whether rustls can read a certificate, asked where its answer is an error and not a panic. */
function isUsableCertificate(pem: string): boolean {
  try {
    Deno.createHttpClient({ caCerts: [pem] }).close();
    return true;
  } catch {
    return false;
  }
}

/**
 * A certificate and key that Deno can be given.
 *
 * @param what names both in a message, e.g. `the client certificate and key of user "admin"`
 * @throws UsageError where they are no pair, or one that rustls does not know
 */
export function keyPair(certText: string, keyText: string, what: string): KeyPair {
  const chain = pemBlocks(certText).filter(({ label }) => label === "CERTIFICATE");
  const [leaf] = chain;
  if (leaf === undefined) throw refused(what, "the certificate is no PEM certificate");
  if (!isUsableCertificate(leaf.pem)) throw refused(what, "the certificate's PEM text is damaged");
  const facts = certificateFacts(bytesOf(leaf.pem));
  if (!facts.isVersion3) {
    throw refused(
      what,
      "the certificate is X.509 version 1, and only version 3 is supported; issue it again with " +
        'an extension, for example "extendedKeyUsage = clientAuth"',
    );
  }
  if (facts.hasUnknownCritical) {
    throw refused(what, "the certificate has a critical extension that is not supported");
  }
  const { key, publicKey } = privateKey(keyText, what);
  if (!isKnownKind(key, publicKey)) {
    throw refused(
      what,
      "the key must be RSA (2048 to 8192 bits), ECDSA (P-256, P-384, P-521) or Ed25519",
    );
  }
  // rustls compares the encodings too: a key that is written otherwise is another to it.
  if (!publicKey.equals(facts.publicKey)) {
    throw refused(what, "the key does not match its certificate");
  }
  return {
    cert: chain.map(({ pem }) => pem).join(""),
    // Written anew, because node:crypto forgives more in an encoding than rustls does.
    key: key.export({ type: "pkcs8", format: "pem" }).toString(),
    expiresMs: facts.expiresMs,
  };
}

function privateKey(text: string, what: string): { key: KeyObject; publicKey: Buffer } {
  // The first key of the file, as Go takes it.
  const block = pemBlocks(text).find(({ label }) => /(^| )PRIVATE KEY$/.test(label));
  if (block === undefined) throw refused(what, "the key is no PEM private key");
  if (block.label.startsWith("ENCRYPTED") || block.pem.includes("ENCRYPTED")) {
    throw refused(
      what,
      "the key is encrypted, and nobody is here to type its password; " +
        "write it without one (openssl pkey -in KEY -out PLAIN)",
    );
  }
  try {
    const key = createPrivateKey(block.pem);
    return { key, publicKey: createPublicKey(key).export({ type: "spki", format: "der" }) };
  } catch {
    throw refused(what, "the key cannot be read: its PEM text is damaged or of an unknown kind");
  }
}

/** AlgorithmIdentifiers of the keys that rustls' provider (aws-lc-rs) signs with, DER in hex. */
const KNOWN_KINDS: readonly string[] = [
  "300d06092a864886f70d0101010500", // rsaEncryption
  "301306072a8648ce3d020106082a8648ce3d030107", // ecPublicKey, P-256
  "301006072a8648ce3d020106052b81040022", // ecPublicKey, P-384
  "301006072a8648ce3d020106052b81040023", // ecPublicKey, P-521
  "300506032b6570", // Ed25519
];

/** Whether rustls signs with a key. Told by its public half, since Deno 2.6 names no curves. */
function isKnownKind(key: KeyObject, publicKey: Uint8Array): boolean {
  const kind = algorithmOf(publicKey).toHex();
  if (!KNOWN_KINDS.includes(kind)) return false;
  if (kind !== KNOWN_KINDS[0]) return true;
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  return bits >= 2048 && bits <= 8192;
}

function bytesOf(pem: string): Uint8Array {
  return Uint8Array.from(atob(pem.replaceAll(/-----.*-----/g, "")), (char) => char.charCodeAt(0));
}

function refused(what: string, why: string): UsageError {
  return new UsageError(`Cannot use ${what}: ${why}.`);
}
