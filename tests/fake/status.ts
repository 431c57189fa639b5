/**
 * The Status objects with which a kube-apiserver refuses, word for word as version 1.35 writes
 * them (k8s.io/apimachinery pkg/api/errors; k8s.io/apiserver pkg/storage/errors.go). The unit
 * tests compare them with a real one.
 */

/** A `Status`, as the body of an answer or the object of an ERROR event. */
export interface Status {
  kind: "Status";
  apiVersion: "v1";
  metadata: { continue?: string };
  status: "Success" | "Failure";
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code?: number;
}

/** What a Status is about. */
export interface StatusDetails {
  group?: string;
  name?: string;
  kind?: string;
  uid?: string;
  causes?: { reason: string; message: string; field?: string }[];
}

/** A request that the API refuses: thrown by the handlers, sent by the server as its Status. */
export class ApiError extends Error {
  /** The body. */
  readonly status: Status;
  /** The status of the answer. */
  readonly code: number;

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = failure(code, reason, message, details);
  }
}

/** A Status that tells of a failure; an empty reason is left out, as Go does. */
export function failure(
  code: number,
  reason: string,
  message: string,
  details?: StatusDetails,
): Status {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    ...(reason === "" ? {} : { reason }),
    ...(details === undefined ? {} : { details }),
    code,
  };
}

/** The text of 410 for a WATCH whose resourceVersion is compacted. It comes as an ERROR event. */
export function watchExpired(): Status {
  return failure(410, "Expired", "The resourceVersion for the provided watch is too old.");
}

/** 410 for a LIST at a compacted resourceVersion. */
export function listExpired(): ApiError {
  return new ApiError(410, "Expired", "The resourceVersion for the provided list is too old.");
}

/** 410 for a continue token of a compacted revision, with the token that goes on at a newer one. */
export function continueExpired(inconsistentToken: string): ApiError {
  const error = new ApiError(
    410,
    "Expired",
    "The provided continue parameter is too old to display a consistent list result. You can " +
      "start a new list without the continue parameter, or use the continue token in this " +
      "response to retrieve the remainder of the results. Continuing with the provided token " +
      "results in an inconsistent list - objects that were created, modified, or deleted " +
      "between the time the first chunk was returned and now may show up in the list.",
  );
  error.status.metadata.continue = inconsistentToken;
  return error;
}

/** 504 for a resourceVersion that the server has not reached. */
export function tooLargeResourceVersion(asked: bigint, current: bigint): ApiError {
  return new ApiError(
    504,
    "Timeout",
    `Timeout: Too large resource version: ${asked}, current: ${current}`,
    { causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }] },
  );
}

/** 400. */
export function badRequest(message: string): ApiError {
  return new ApiError(400, "BadRequest", message);
}

/** 400 for a body whose fields cannot be read. */
export function unreadable(message: string): ApiError {
  return badRequest(`Event in version "v1" cannot be handled as a Event: ${message}`);
}

/** 401. */
export function unauthorized(): ApiError {
  return new ApiError(401, "Unauthorized", "Unauthorized");
}

/** 403, as RBAC says it. */
export function forbidden(
  user: string,
  verb: string,
  namespace: string | null,
  name: string | null,
): ApiError {
  const scope = namespace === null ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const what = name === null ? "events" : `events "${name}"`;
  return new ApiError(
    403,
    "Forbidden",
    `${what} is forbidden: User "${user}" cannot ${verb} resource "events" in API group "" ${scope}`,
    { ...(name === null ? {} : { name }), kind: "events" },
  );
}

/** 404 for an object. */
export function notFound(kind: string, name: string): ApiError {
  return new ApiError(404, "NotFound", `${kind} "${name}" not found`, { name, kind });
}

/** 404 for a path. */
export function unknownPath(): ApiError {
  return new ApiError(404, "NotFound", "the server could not find the requested resource", {});
}

/** 405. */
export function methodNotAllowed(): ApiError {
  const message = "the server does not allow this method on the requested resource";
  return new ApiError(405, "MethodNotAllowed", message, {});
}

/** 409 for a name that is taken. */
export function alreadyExists(kind: string, name: string): ApiError {
  return new ApiError(409, "AlreadyExists", `${kind} "${name}" already exists`, { name, kind });
}

/** 409 for a stale resourceVersion or another uid. */
export function conflict(name: string, why: string): ApiError {
  const message = `Operation cannot be fulfilled on events "${name}": ${why}`;
  return new ApiError(409, "Conflict", message, { name, kind: "events" });
}

/** 415. */
export function unsupportedMediaType(): ApiError {
  return new ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {});
}

/** 422 for one field of an event. */
export function invalid(name: string, reason: string, field: string, message: string): ApiError {
  const details = {
    ...(name === "" ? {} : { name }),
    kind: "Event",
    causes: [{ reason, message, field }],
  };
  return new ApiError(422, "Invalid", `Event "${name}" is invalid: ${field}: ${message}`, details);
}
