// Connects to the edge by its URL and an API key.

import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";

const CALL_MS = 30_000;
const MOST_REPLY_BYTES = 16 * 1024 * 1024;
const KEY = /^[!-~]+$/;

export interface ConnectOptions {
  /** "grpc" over HTTP/2, the default, or "grpc-web" over HTTP/1.1, for networks that break HTTP/2. */
  protocol?: "grpc" | "grpc-web";
}

/**
 * Returns the way to the edge, for `follow` and for clients of the contract's services.
 *
 * @param url `https://host[:port]`, or `http://host[:port]` on a network that is trusted.
 * @param key The API key, which goes with every call. A unary call without a timeout gets one of 30 seconds.
 * @throws TypeError The URL or the key is malformed.
 */
export function connect(url: string, key: string, { protocol = "grpc" }: ConnectOptions = {}): Transport {
  const edge = new URL(url);
  if (!["http:", "https:"].includes(edge.protocol) || edge.pathname !== "/" || edge.search) {
    throw new TypeError("the URL must be http://host[:port] or https://host[:port]");
  }
  if (!KEY.test(key)) throw new TypeError("the API key must be one word of printable ASCII characters");
  const withKey: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
  const options = { baseUrl: edge.origin, interceptors: [withKey], readMaxBytes: MOST_REPLY_BYTES };
  const transport =
    protocol === "grpc-web"
      ? createGrpcWebTransport({ ...options, httpVersion: "1.1" })
      : createGrpcTransport({ ...options, pingIntervalMs: 60_000, pingTimeoutMs: 20_000 });
  return {
    unary: (method, signal, timeoutMs, header, input, values) =>
      transport.unary(method, signal, timeoutMs ?? CALL_MS, header, input, values),
    stream: (...call) => transport.stream(...call),
  };
}
