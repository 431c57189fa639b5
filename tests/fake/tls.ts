/**
 * TLS on top of a socket whose TCP side stays in our hands, so that it can be reset.
 */
import type { Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";

/** Certificates of the server. All PEM. */
export interface TlsOptions {
  cert: string;
  key: string;
  /** What the kubeconfig gives to clients to trust. */
  ca?: string;
  /** Ask clients for a certificate; those signed by this are let in. */
  clientCa?: string;
  /** Protocols that are offered, the best first, though HTTP/1.1 is all that is spoken. */
  offers?: string[];
}

/** The encrypted side of a socket. HTTP/1.1 only. */
export function secure(raw: Socket, tls: TlsOptions): Socket {
  const { cert, key, clientCa, offers = ["http/1.1"] } = tls;
  const isAsking = clientCa !== undefined;
  const secureContext = createSecureContext({ cert, key, ...(isAsking && { ca: clientCa }) });
  const socket = new TLSSocket(raw, {
    isServer: true,
    secureContext,
    requestCert: isAsking,
    rejectUnauthorized: false,
    ALPNProtocols: offers,
  });
  // A client that refuses our certificate is no failure of the server.
  socket.on("error", () => {});
  return socket;
}
