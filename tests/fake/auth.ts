/**
 * Who is let in, and to what: bearer tokens, client certificates, and two switches for RBAC.
 */
import { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { RequestInfo } from "./faults.ts";
import { forbidden, unauthorized } from "./status.ts";

const ANONYMOUS = "system:anonymous";

/** See the head of this file. Everything may be changed while the server runs. */
export class Auth {
  /** Bearer token -> name of its user. */
  readonly tokens: Map<string, string>;
  /** What RBAC allows to everybody who is let in. Other verbs are always allowed. */
  readonly allow = { list: true, watch: true };
  /** Certificates signed by it are let in, as their CN; null = none is. PEM. */
  clientCa: string | null;

  constructor(tokens: Record<string, string>, clientCa: string | null) {
    this.tokens = new Map(Object.entries(tokens));
    this.clientCa = clientCa;
  }

  /** Without tokens and client CA, everybody may do everything that `allow` allows. */
  get isOpen(): boolean {
    return this.tokens.size === 0 && this.clientCa === null;
  }

  /**
   * Lets a request pass or not. A bad token is 401; no credentials at all is 403, for the user
   * system:anonymous, as on a server with anonymous auth.
   *
   * @throws ApiError 401, 403
   */
  check(request: RequestInfo, socket: Socket): void {
    if (request.verb === "other") return;
    const { verb, namespace, name } = request;
    const user = this.#user(request, socket);
    const isAllowed = verb === "list" || verb === "watch" ? this.allow[verb] : true;
    const isKnown = this.isOpen || user !== ANONYMOUS;
    if (!isAllowed || !isKnown) throw forbidden(user, verb, namespace, name);
  }

  #user(request: RequestInfo, socket: Socket): string {
    if (this.isOpen) return ANONYMOUS;
    const certified = this.#certified(socket);
    if (certified !== null) return certified;
    const header = request.headers.get("authorization");
    if (header === undefined) return ANONYMOUS;
    const user = this.tokens.get(/^Bearer (.+)$/i.exec(header)?.[1] ?? "");
    if (user === undefined) throw unauthorized();
    return user;
  }

  #certified(socket: Socket): string | null {
    if (this.clientCa === null || !("getPeerCertificate" in socket)) return null;
    const peer = (socket as TLSSocket).getPeerCertificate();
    if (peer?.raw === undefined) return null;
    const issuer = new X509Certificate(this.clientCa);
    const isOurs = new X509Certificate(peer.raw).verify(issuer.publicKey);
    const name = peer.subject.CN;
    return isOurs && typeof name === "string" ? name : null;
  }
}
