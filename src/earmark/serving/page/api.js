// Talks to the service: one function for every request, and one kind of error for everything that may go wrong.
// Paths are relative to the page's own place, so that a prefix before it does no harm.

import { askForKey, key } from "./key.js";

const BASE = new URL("../", import.meta.url);

// All that this visit asks is answered by the same version, also while a newcomer is on trial. Made up, and forgotten
// with the page.
const VISIT = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join(
  "",
);

/** A request without an answer. `code` is the service's own, or "network", "cancelled", "unknown". */
export class Refused extends Error {
  constructor(code, { message = "", status = 0, requestId = "", retryAfterS = null } = {}) {
    super(message || code);
    Object.assign(this, { code, status, requestId, retryAfterS, detail: message });
  }
}

/**
 * Ask the service, and get what it answered.
 *
 * @param {string} path Such as "predict".
 * @param {object} how
 *   body: FormData, or what becomes JSON; method: GET without a body, POST with one; as: "json" or "blob";
 *   signal: an AbortSignal; quiet: never asks for a key;
 *   onUpload(share): while the body is on its way, 1 when all is sent.
 * @throws {Refused}
 */
export async function ask(path, how = {}) {
  for (let tries = 0; ; tries += 1) {
    const used = key();
    try {
      return await once(path, how, used);
    } catch (refused) {
      if (refused.code !== "unauthorized" || how.quiet) throw refused;
      // Another request may have brought a key while this one was on its way.
      if (key() === used && !(await askForKey({ again: Boolean(used) || tries > 0 }))) throw refused;
    }
  }
}

function once(path, { body, method, as = "json", signal, onUpload }, used) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new Refused("cancelled"));
    const request = new XMLHttpRequest();
    request.open(method ?? (body ? "POST" : "GET"), new URL(path, BASE));
    request.responseType = "blob";
    request.setRequestHeader("accept", as === "json" ? "application/json" : "*/*");
    request.setRequestHeader("x-earmark-key", VISIT);
    if (used) request.setRequestHeader("authorization", `Bearer ${used}`);
    const stop = () => request.abort();
    signal?.addEventListener("abort", stop);
    const leave = (settle) => (value) => {
      signal?.removeEventListener("abort", stop);
      settle(value);
    };
    const [answer, refuse] = [leave(resolve), leave(reject)];
    if (onUpload) {
      request.upload.addEventListener("progress", (event) => onUpload(event.total ? event.loaded / event.total : 0));
      request.upload.addEventListener("load", () => onUpload(1));
    }
    request.addEventListener("abort", () => refuse(new Refused("cancelled")));
    request.addEventListener("error", () => refuse(new Refused("network")));
    request.addEventListener("load", async () => {
      if (request.status < 200 || request.status >= 300) return refuse(await refusedBy(request));
      if (as === "blob") return answer(request.response);
      try {
        answer(JSON.parse(await request.response.text()));
      } catch {
        refuse(new Refused("unknown", { status: request.status, requestId: idOf(request) }));
      }
    });
    if (body && !(body instanceof FormData)) {
      request.setRequestHeader("content-type", "application/json");
      request.send(JSON.stringify(body));
    } else request.send(body);
  });
}

const idOf = (request) => request.getResponseHeader("x-request-id") ?? "";

/** What a status means when something other than the service answered: a proxy that knows nothing of codes. */
const BY_STATUS = {
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  413: "too_large",
  415: "unsupported",
  429: "busy",
  502: "overloaded",
  503: "overloaded",
  504: "timed_out",
};

async function refusedBy(request) {
  const found = { status: request.status, requestId: idOf(request), retryAfterS: secondsOf(request) };
  try {
    const { error } = JSON.parse(await request.response.text());
    return new Refused(error.code, {
      ...found,
      message: error.message,
      requestId: error.request_id || found.requestId,
    });
  } catch {
    return new Refused(BY_STATUS[request.status] ?? (request.status >= 500 ? "failed" : "unknown"), found);
  }
}

/** Retry-After, which is a number of seconds or a date. */
function secondsOf(request) {
  const text = request.getResponseHeader("retry-after");
  if (!text) return null;
  const seconds = Number(text);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, (date - Date.now()) / 1000);
}

/** A form with these fields; those that are null are left out. */
export function form(fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined) continue;
    if (value instanceof Blob) data.append(name, value, value.name ?? name);
    else data.append(name, value);
  }
  return data;
}
