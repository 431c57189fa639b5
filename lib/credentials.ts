/**
 * Credentials as they are now: read from the kubeconfig's files and plugin, and read again.
 *
 * Files change under a running program: kubelet rewrites a service account's token at 80% of its
 * life, operators rotate client certificates and CAs. So everything is read again each
 * CREDENTIALS_CHECK_MS and after a 401. What is half-written, empty, unreadable, or a key
 * that does not match its certificate, is left alone for the next time: the old stays in use.
 *
 * No message holds a token, a password or a byte of a key.
 */

import { codeOf, messageOf, UsageError } from "./errors.ts";
import { type ExecCredential, type ExecSpec, runPlugin } from "./exec_plugin.ts";
import { caCertificates, type KeyPair, keyPair } from "./key_pair.ts";
import {
  CREDENTIALS_CHECK_MS,
  PLUGIN_CHECK_MIN_MS,
  PLUGIN_MARGIN_MS,
  PLUGIN_RETRY_MS,
} from "./limits.ts";
import { log } from "./log.ts";
import type { Credentials } from "./protocol.ts";

/** Text that the kubeconfig holds itself, or names a file of. */
export type TextSource = { text: string } | { file: string };

/** What the kubeconfig says about letting us in. All paths are absolute. */
export interface CredentialSpec {
  /** For messages: `user "admin" in kubeconfig "/home/me/.kube/config"`. */
  user: string;
  /** For messages: `cluster "main" in kubeconfig "/home/me/.kube/config"`. */
  cluster: string;
  /** null = the system's trusted roots. */
  ca: TextSource | null;
  cert: TextSource | null;
  key: TextSource | null;
  token: TextSource | null;
  basic: { username: string; password: string } | null;
  exec: ExecSpec | null;
}

/** Reads the credentials of one kubeconfig user, again and again. */
export class CredentialSource {
  readonly #spec: CredentialSpec;
  readonly #nowMs: () => number;
  #ca: Part<string[]> = { value: [], from: "" };
  #pair: Part<KeyPair | null> = { value: null, from: "" };
  #token: Part<string | null> = { value: null, from: "" };
  #plugin: ExecCredential | null = null;
  #pluginDueMs = 0;
  #given: Credentials | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /** @param nowMs the wall clock, ms since 1970 */
  constructor(spec: CredentialSpec, nowMs: () => number = Date.now) {
    this.#spec = spec;
    this.#nowMs = nowMs;
  }

  /** Whether the permission to run {@linkcode command} is needed, now and later. */
  get needsRun(): boolean {
    return this.#spec.exec !== null;
  }

  /** The plugin's command; null where there is none. */
  get command(): string | null {
    return this.#spec.exec?.command ?? null;
  }

  /**
   * Reads everything for the first time. Call prepareFetch (lib/kubeconfig.ts) before: certificates
   * are checked by Deno's TLS, which reads its roots once.
   *
   * @throws UsageError where a file is missing, empty, no PEM text, or no pair; ClusterError where
   * the plugin fails
   */
  async load(): Promise<Credentials> {
    await this.#queued(() => this.#read(true));
    return this.#given!;
  }

  /**
   * Reads everything again.
   *
   * @param options.force also runs the plugin before its time, as after a 401
   * @returns the new credentials; null where they are the same as before. Never throws.
   */
  refresh(options: { force: boolean }): Promise<Credentials | null> {
    return this.#queued(() => this.#read(options.force));
  }

  /** When {@linkcode refresh} should be called next, ms from now. */
  nextCheckMs(): number {
    const due = this.#spec.exec === null ? Infinity : this.#pluginDueMs - this.#nowMs();
    return Math.min(CREDENTIALS_CHECK_MS, Math.max(PLUGIN_CHECK_MIN_MS, due));
  }

  /** One reading at a time: a 401 may come while the minute's reading waits for the plugin. */
  #queued<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  async #read(force: boolean): Promise<Credentials | null> {
    const { ca, cert, key, token } = this.#spec;
    if (ca !== null) this.#ca = this.#fresh(this.#ca, [ca], ([text]) => this.#readCa(ca, text!));
    if (cert !== null && key !== null) {
      this.#pair = this.#fresh(
        this.#pair,
        [cert, key],
        ([cert, key]) => this.#readPair(cert!, key!),
      );
    }
    if (token !== null) {
      this.#token = this.#fresh(this.#token, [token], ([text]) => readToken(token, text!));
    }
    await this.#runPlugin(force);
    const next: Credentials = {
      caCerts: this.#ca.value,
      cert: this.#pair.value?.cert ?? null,
      key: this.#pair.value?.key ?? null,
      authorization: this.#authorization(),
    };
    if (JSON.stringify(next) === JSON.stringify(this.#given)) return null;
    this.#given = next;
    return next;
  }

  #authorization(): string | null {
    const { basic } = this.#spec;
    if (this.#token.value !== null) return `Bearer ${this.#token.value}`;
    if (basic === null) return null;
    const bytes = new TextEncoder().encode(`${basic.username}:${basic.password}`);
    return `Basic ${btoa(String.fromCharCode(...bytes))}`;
  }

  /** The part made from these texts; the one we have where they are the same or cannot be used. */
  #fresh<T>(old: Part<T>, sources: TextSource[], make: (texts: string[]) => T): Part<T> {
    try {
      const texts = sources.map(readSource);
      const from = JSON.stringify(texts);
      return from === old.from ? old : { value: make(texts), from };
    } catch (error) {
      if (this.#given === null) throw error;
      log.debug(() => `The credentials stay as they are for now. ${messageOf(error)}`);
      return old;
    }
  }

  #readCa(source: TextSource, text: string): string[] {
    return caCertificates(text, `The certificate-authority ${placeOf(source, this.#spec.cluster)}`);
  }

  #readPair(cert: string, key: string): KeyPair {
    const pair = keyPair(cert, key, `the client certificate and key of ${this.#spec.user}`);
    if (pair.expiresMs < this.#nowMs()) {
      log.warning(
        `The client certificate of ${this.#spec.user} expired at ` +
          `${new Date(pair.expiresMs).toISOString()}; the API server will refuse it.`,
      );
    }
    return pair;
  }

  async #runPlugin(force: boolean): Promise<void> {
    const { exec } = this.#spec;
    if (exec === null || (!force && this.#nowMs() < this.#pluginDueMs)) return;
    try {
      const credential = await runPlugin(exec);
      const token = credential.token === null ? null : cleanToken(credential.token);
      if (token === undefined) {
        throw new UsageError(`${exec.command} gave a token with spaces in it.`);
      }
      // A certificate in the kubeconfig goes before the plugin's, as in client-go.
      if (this.#spec.cert === null) {
        const value = credential.cert === null
          ? null
          : this.#readPair(credential.cert, credential.key!);
        this.#pair = { value, from: "" };
      }
      this.#token = { value: token, from: "" };
      this.#plugin = credential;
      this.#pluginDueMs = this.#dueMs(credential);
    } catch (error) {
      if (this.#plugin === null) throw error;
      log.warning(`${messageOf(error)} The credentials that it gave before stay in use.`);
      this.#pluginDueMs = this.#nowMs() + PLUGIN_RETRY_MS;
    }
  }

  #dueMs({ expiresMs }: ExecCredential): number {
    if (expiresMs === null) return Infinity;
    const now = this.#nowMs();
    const margin = Math.min(PLUGIN_MARGIN_MS, (expiresMs - now) / 2);
    // A plugin whose credentials are old when it gives them is not run without pause.
    return Math.max(now + PLUGIN_RETRY_MS, expiresMs - margin);
  }
}

/** A value with the texts that it was made from, so that nothing is checked twice. */
interface Part<T> {
  value: T;
  from: string;
}

/**
 * The text of a source, read anew.
 *
 * @throws UsageError where its file cannot be read or is empty
 */
export function readSource(source: TextSource): string {
  if ("text" in source) return source.text;
  let text: string;
  try {
    text = Deno.readTextFileSync(source.file);
  } catch (error) {
    throw new UsageError(`Cannot read ${shown(source.file)}: ${fileTrouble(error)}.`);
  }
  if (text.trim() === "") throw new UsageError(`${shown(source.file)} is empty.`);
  return text;
}

/** What went wrong with a file, in words. */
export function fileTrouble(error: unknown): string {
  switch (codeOf(error)) {
    case "ENOENT":
    case "ENOTDIR":
      return "there is no such file";
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EISDIR":
      return "it is a folder";
    default:
      return messageOf(error);
  }
}

function placeOf(source: TextSource, owner: string): string {
  return "file" in source ? shown(source.file) : `of ${owner}`;
}

function readToken(source: TextSource, text: string): string {
  const token = cleanToken(text);
  if (token !== undefined) return token;
  const place = "file" in source ? shown(source.file) : "The token in the kubeconfig";
  throw new UsageError(`${place} is no token: it holds characters that no HTTP header can carry.`);
}

/** A token without the newline that editors add; undefined where it cannot stand in a header. */
function cleanToken(text: string): string | undefined {
  const token = text.trim();
  return /^[\x21-\x7e]+$/.test(token) ? token : undefined;
}

function shown(path: string): string {
  return JSON.stringify(path);
}
