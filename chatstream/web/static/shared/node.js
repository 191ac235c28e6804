// What this page was told of its node, and requests to it.

const told = JSON.parse(document.querySelector('meta[name="chatstream"]').content);

export const node = { id: told.node, model: told.model };
const routes = new Set(told.routes);

/** Has the node this route? As `POST /v1/sessions/{session}/cancel`. */
export const can = (route) => routes.has(route);
/** The same below a session: canSession("POST", "/cancel"). */
export const canSession = (method, path = "") => routes.has(`${method} /v1/sessions/{session}${path}`);
export const sessionPath = (session, path = "") => `/v1/sessions/${encodeURIComponent(session)}${path}`;

/** A request was refused. Fields as in the problem document. */
export class Problem extends Error {
  constructor(status, document, retryAfterS) {
    super(document.detail || document.title || `status ${status}`);
    this.status = status;
    this.code = document.code || "";
    this.retryable = document.retryable ?? status >= 500;
    this.retryAfterS = retryAfterS;
  }
}

/** The node could not be reached. What became of the request is not known: repeat it under the same id. */
export class Unreachable extends Error {
  constructor() {
    super("the node cannot be reached");
    this.status = 0;
    this.code = "unreachable";
    this.retryable = true;
    this.retryAfterS = 0;
  }
}

/** The answer to a request, whatever its body. Throws Problem or Unreachable; an abort throws as fetch does. */
export async function ask(method, path, { body, headers = {}, signal } = {}) {
  const isJson = body !== undefined && typeof body !== "string";
  const init = { method, headers: { ...headers }, signal, cache: "no-store" };
  if (body !== undefined) {
    init.body = isJson ? JSON.stringify(body) : body;
    init.headers["Content-Type"] ??= isJson ? "application/json" : "text/plain; charset=utf-8";
  }
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
  if (!response.ok && response.status !== 304) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const document = await response.json().catch(() => ({}));
  return new Problem(response.status, document, Number(response.headers.get("Retry-After")) || 0);
}

/** The JSON that a path answers with; null when it has no body. */
export async function getJson(path, options) {
  const response = await ask("GET", path, options);
  return response.status === 204 ? null : readJson(response);
}

/** Sends a command and gives the answer's JSON. key: makes a repeat safe. */
export async function send(method, path, body, key) {
  const headers = key ? { "Idempotency-Key": key } : {};
  return readJson(await ask(method, path, { body, headers }));
}

async function readJson(response) {
  try {
    const text = await response.text();
    return text ? JSON.parse(text) : null;
  } catch {
    throw new Unreachable();
  }
}

/** A short name that nobody else makes; `prefix-` in front. Works on pages without TLS too. */
export function freshId(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  const letters = "abcdefghjkmnpqrstuvwxyz023456789";
  return `${prefix}-${[...bytes].map((byte) => letters[byte % letters.length]).join("")}`;
}
