/**
 * Certificates for tests, made with node:crypto alone: an openssl command is not everywhere.
 *
 * X.509 v3 after RFC 5280, keys on P-256, signed with ECDSA and SHA-256; as much of it as Go and
 * rustls look at.
 */

import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";

/** A certificate and its key (PKCS#8), PEM. */
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
  /** IP addresses and DNS names of a server; none = the certificate of a client. */
  hosts?: string[];
  /** Valid from that many days on; default: since an hour. */
  afterDays?: number;
  /** Valid for this many days (default 2); negative = expired that many days ago. */
  days?: number;
}

const OID = {
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  commonName: "2.5.4.3",
  organization: "2.5.4.10",
  basicConstraints: "2.5.29.19",
  subjectAltName: "2.5.29.17",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

/** A certificate authority in memory. */
export class Pki {
  /** The CA's own certificate, PEM. */
  readonly ca: string;
  readonly #key: KeyObject;
  readonly #name: Uint8Array;

  constructor(name = "test-ca") {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#key = privateKey;
    this.#name = nameOf({ name });
    const isCa = sequence(der(0x01, [0xff]));
    const extensions = [extension(OID.basicConstraints, isCa, true)];
    this.ca = this.#sign(this.#name, publicKey, extensions, {});
  }

  /** A certificate for a server on loopback, by address and by name. */
  server(request: Partial<CertRequest> = {}): CertPair {
    return this.issue({ name: "server", hosts: ["127.0.0.1", "localhost"], ...request });
  }

  /** A certificate with a new key. */
  issue(request: CertRequest): CertPair {
    const { hosts } = request;
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const usage = hosts === undefined ? OID.clientAuth : OID.serverAuth;
    const extensions = [extension(OID.extendedKeyUsage, sequence(oid(usage)))];
    if (hosts !== undefined) {
      extensions.push(extension(OID.subjectAltName, sequence(...hosts.map(altName))));
    }
    return {
      cert: this.#sign(nameOf(request), publicKey, extensions, request),
      key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    };
  }

  #sign(
    subject: Uint8Array,
    key: KeyObject,
    extensions: Uint8Array[],
    { days = 2, afterDays = 0 }: Pick<CertRequest, "days" | "afterDays">,
  ): string {
    const algorithm = sequence(oid(OID.ecdsaWithSha256));
    const dayMs = 24 * 3600_000;
    // An hour back, for clocks that are not quite the same; an expired one began before it ended.
    const start = Date.now() - 3600_000 + (Math.min(0, days - 1) + afterDays) * dayMs;
    const end = Date.now() + days * dayMs;
    const spki = new Uint8Array(key.export({ type: "spki", format: "der" }));
    const serial = randomBytes(8);
    serial[0] = 0x40 | (serial[0] ?? 0) & 0x3f; // Positive, and never shorter than it says.
    const body = sequence(
      der(0xa0, der(0x02, [2])), // Version 3.
      der(0x02, serial),
      algorithm,
      this.#name,
      sequence(time(start), time(end)),
      subject,
      spki,
      der(0xa3, sequence(...extensions)),
    );
    const signature = sign("sha256", body, this.#key);
    const whole = sequence(body, algorithm, der(0x03, [0, ...signature]));
    const lines = whole.toBase64().match(/.{1,64}/g) ?? [];
    return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
  }
}

/** One value of ASN.1 in its distinguished encoding: tag, length, content. */
function der(tag: number, content: ArrayLike<number>): Uint8Array {
  const bytes = Array.from(content);
  const { length } = bytes;
  const head = length < 0x80
    ? [length]
    : length < 0x100
    ? [0x81, length]
    : [0x82, length >> 8, length & 0xff];
  return Uint8Array.from([tag, ...head, ...bytes]);
}

function sequence(...parts: Uint8Array[]): Uint8Array {
  return der(0x30, parts.flatMap((part) => [...part]));
}

/** The first two numbers share a byte; each other stands in groups of seven bits. */
function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const groups = rest.map((number) => {
    const bytes = [number & 0x7f];
    for (let left = number >> 7; left > 0; left >>= 7) bytes.unshift(left & 0x7f | 0x80);
    return bytes;
  });
  return der(0x06, [40 * first + second, ...groups.flat()]);
}

function text(tag: number, value: string): Uint8Array {
  return der(tag, new TextEncoder().encode(value));
}

function nameOf({ name, group }: CertRequest): Uint8Array {
  const part = (type: string, value: string) => der(0x31, sequence(oid(type), text(0x0c, value)));
  const groups = group === undefined ? [] : [part(OID.organization, group)];
  return sequence(...groups, part(OID.commonName, name));
}

/** YYMMDDHHMMSSZ. */
function time(ms: number): Uint8Array {
  return text(0x17, new Date(ms).toISOString().replaceAll(/^..|[-:T]|\.\d+/g, ""));
}

function extension(type: string, value: Uint8Array, critical = false): Uint8Array {
  const flag = critical ? [der(0x01, [0xff])] : [];
  return sequence(oid(type), ...flag, der(0x04, value));
}

function altName(host: string): Uint8Array {
  switch (isIP(host)) {
    case 4:
      return der(0x87, host.split(".").map(Number));
    case 6:
      return der(0x87, addressBytes(host));
    default:
      return text(0x82, host);
  }
}

/** The 16 bytes of an IPv6 address in hexadecimal groups. */
function addressBytes(address: string): number[] {
  const groups = (part: string) => part.split(":").filter((group) => group !== "");
  const [head = "", tail = ""] = address.split("::");
  const [first, last] = [groups(head), groups(tail)];
  const zeros = new Array<string>(8 - first.length - last.length).fill("0");
  return [...first, ...zeros, ...last].flatMap((group) => {
    const number = parseInt(group, 16);
    return [number >> 8, number & 0xff];
  });
}
