/**
 * The few facts about an X.509 certificate (RFC 5280, 4.1) that decide whether Deno can use it as a
 * client's. node:crypto's X509Certificate is not used: before Deno 2.7 it is not complete, and it
 * tells neither the version nor the extensions.
 */

/** What a certificate says. */
export interface CertificateFacts {
  /** X.509 version 3: the only one that rustls-webpki reads. */
  isVersion3: boolean;
  /** An extension that a reader must know, and that rustls-webpki does not. */
  hasUnknownCritical: boolean;
  /** End of the validity, ms since 1970. */
  expiresMs: number;
  /** SubjectPublicKeyInfo, DER. */
  publicKey: Uint8Array;
}

/** A value of DER: where its header, its content and the next value begin. */
interface DerValue {
  tag: number;
  at: number;
  start: number;
  end: number;
}

/**
 * Extensions under 2.5.29 (id-ce) that rustls-webpki reads, and so takes where they are critical.
 */
const KNOWN_EXTENSIONS: readonly number[] = [15, 17, 19, 30, 31, 37];

/** Reads a certificate, DER, that rustls already found to be well-formed. */
export function certificateFacts(der: Uint8Array): CertificateFacts {
  const [body] = childrenOf(der, valueAt(der, 0));
  if (body === undefined) throw new RangeError("Not a certificate");
  const fields = childrenOf(der, body);
  const version = fields[0]?.tag === 0xa0 ? fields.shift() : undefined;
  // serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, ... [3] extensions
  const [, , , validity, , publicKey] = fields;
  if (validity === undefined || publicKey === undefined) throw new RangeError("Not a certificate");
  const extensions = fields.find(({ tag }) => tag === 0xa3);
  return {
    // [0] EXPLICIT INTEGER; 2 means version 3, absent means 1.
    isVersion3: version !== undefined && der[version.end - 1] === 2,
    hasUnknownCritical: extensions !== undefined &&
      childrenOf(der, valueAt(der, extensions.start)).some((each) => isUnknownCritical(der, each)),
    expiresMs: timeOf(der, childrenOf(der, validity)[1]),
    publicKey: der.subarray(publicKey.at, publicKey.end),
  };
}

/** The AlgorithmIdentifier of a SubjectPublicKeyInfo, both DER: the kind of a public key. */
export function algorithmOf(publicKey: Uint8Array): Uint8Array {
  const [algorithm] = childrenOf(publicKey, valueAt(publicKey, 0));
  return publicKey.subarray(algorithm?.at, algorithm?.end);
}

/** Extension ::= SEQUENCE { extnID OID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING } */
function isUnknownCritical(der: Uint8Array, extension: DerValue): boolean {
  const [id, critical] = childrenOf(der, extension);
  if (id === undefined || critical?.tag !== 0x01 || der[critical.start] === 0) return false;
  const [first, second, last, ...more] = der.subarray(id.start, id.end);
  const isKnown = first === 0x55 && second === 0x1d && more.length === 0 &&
    last !== undefined && KNOWN_EXTENSIONS.includes(last);
  return !isKnown;
}

/** UTCTime (two digits of the year, 1950 to 2049) or GeneralizedTime (four), in UTC. */
function timeOf(der: Uint8Array, value: DerValue | undefined): number {
  if (value === undefined) return NaN;
  const text = new TextDecoder().decode(der.subarray(value.start, value.end));
  const full = value.tag === 0x17 ? (text < "50" ? "20" : "19") + text : text;
  const form = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
  return Date.parse(full.replace(form, "$1-$2-$3T$4:$5:$6Z"));
}

function childrenOf(der: Uint8Array, parent: DerValue): DerValue[] {
  const children: DerValue[] = [];
  for (let at = parent.start; at < parent.end;) {
    const child = valueAt(der, at);
    children.push(child);
    at = child.end;
  }
  return children;
}

function valueAt(der: Uint8Array, at: number): DerValue {
  const [tag = 0, first = 0] = der.subarray(at, at + 2);
  if (first < 0x80) return { tag, at, start: at + 2, end: at + 2 + first };
  // Long form: the lower bits say how many bytes hold the length.
  const start = at + 2 + (first & 0x7f);
  const length = der.subarray(at + 2, start).reduce((sum, byte) => sum * 256 + byte, 0);
  return { tag, at, start, end: start + length };
}
