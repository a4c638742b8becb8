// n8n as far as the nodes see it, in front of a mailmesh in memory.

import { generateKeyPairSync, sign } from "node:crypto";
import { EventEmitter } from "node:events";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { dist } = process.env;

/** Loads a compiled module of the package. */
export const load = (path) => require(`${dist}/${path}`);

/** A failure as n8n's HTTP helper throws it. */
export function refused(status, reason) {
  const data = { code: 5, message: `refused: ${reason}`, details: [{ reason, domain: "mailmesh", metadata: {} }] };
  return Object.assign(new Error(`status ${status}`), { response: { status, data }, httpCode: String(status) });
}

/** Endpoints and events of a mailmesh; every call is noted. */
export class FakeMesh {
  calls = [];
  endpoints = [];
  pages = new Map();
  isAway = false;
  publicKey = "whpk_first";

  answer({ method, url, qs = {}, body = {} }) {
    this.calls.push({ method, path: new URL(url).pathname, qs, body });
    if (this.isAway) throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const path = new URL(url).pathname;
    if (path === "/v1/endpoints" && method === "GET") return { endpoints: this.endpoints.filter((one) => one.url === qs.url) };
    if (path === "/v1/endpoints" && method === "POST") return { endpoint: this.#create(body) };
    if (path === "/v1/events") return this.#page(qs.cursor);
    const [, id, verb] = /^\/v1\/endpoints\/([^:]+):?(.*)$/.exec(path) ?? [];
    const endpoint = this.endpoints.find((one) => one.endpointId === id);
    if (id && !endpoint) throw refused(404, "ENDPOINT_NOT_FOUND");
    if (method === "DELETE") this.endpoints = this.endpoints.filter((one) => one !== endpoint);
    else if (method === "PATCH") Object.assign(endpoint, body);
    else if (verb) endpoint.state = verb === "pause" ? "ENDPOINT_STATE_PAUSED" : "ENDPOINT_STATE_ACTIVE";
    return { endpoint };
  }

  #create(body) {
    const endpoint = { ...body, endpointId: `e${this.calls.length}`, state: "ENDPOINT_STATE_ACTIVE", publicKey: this.publicKey };
    this.endpoints.push(endpoint);
    return endpoint;
  }

  #page(cursor) {
    const page = this.pages.get(cursor);
    if (!page) throw refused(400, "CURSOR_EXPIRED");
    return page;
  }
}

/** The functions that n8n hands to a node. */
export function context(mesh, parameters = {}, more = {}) {
  const stored = {};
  const warnings = [];
  return {
    stored,
    warnings,
    logger: { warn: (text) => warnings.push(text) },
    getNode: () => ({ id: "node", name: "mailmesh", type: "mailmesh", typeVersion: 1, position: [0, 0], parameters }),
    getWorkflow: () => ({ id: more.workflow ?? "w1", name: "Answer", active: true }),
    getMode: () => more.mode ?? "trigger",
    getNodeParameter: (name, ...rest) => parameters[name] ?? rest.at(-1),
    getNodeWebhookUrl: () => "https://n8n.example/webhook/1/mailmesh",
    getWorkflowStaticData: () => stored,
    getCredentials: async () => ({ baseUrl: "https://mesh.example/", apiKey: "mm_key" }),
    helpers: { httpRequestWithAuthentication: async (_name, options) => mesh.answer(options) },
    ...more.functions,
  };
}

/** A key pair that signs as mailmesh does. */
export function newKey() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  return { privateKey, publicKey: `whpk_${raw.toString("base64")}` };
}

/** An answer of n8n's HTTP server. */
export class FakeResponse extends EventEmitter {
  statusCode = 200;
  headers = {};
  writableFinished = false;

  setHeader(name, value) {
    this.headers[name] = value;
  }

  status(code) {
    this.statusCode = code;
    return this;
  }

  json() {
    this.end();
  }

  end() {
    this.writableFinished = true;
    this.emit("finish");
    this.emit("close");
  }

  breakOff() {
    this.emit("close");
  }
}

/** A webhook that arrives: the functions for the trigger, and the answer. */
export function arrival(mesh, key, event, parameters, more = {}) {
  const body = Buffer.from(JSON.stringify(event));
  const id = event.data.eventId ?? "test";
  const timestamp = String(Math.floor(more.at ?? Date.now() / 1000));
  const signature = sign(null, Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]), key.privateKey).toString("base64");
  const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1a,${signature}` };
  const response = new FakeResponse();
  const functions = {
    getHeaderData: () => headers,
    getRequestObject: () => ({ rawBody: more.body ?? body }),
    getResponseObject: () => response,
    ...(more.stored && { getWorkflowStaticData: () => more.stored }),
  };
  return { response, hook: context(mesh, parameters, { ...more, functions }) };
}
