// Verifies the webhooks of mailmesh: Standard Webhooks, `v1` and `v1a`.

import { createHmac, createPublicKey, timingSafeEqual, verify as verifySignature } from "node:crypto";

const TOLERANCE_SECONDS = 300;
const WEBHOOK_ID = /^[A-Za-z0-9_-]{1,128}$/;
const TIMESTAMP = /^[1-9][0-9]{0,11}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const MOST_CHARACTERS = 4096;
// The ASN.1 in front of the 32 bytes of an Ed25519 public key (RFC 8410), which Node asks for.
const ED25519_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

export type Outcome = "accepted" | "header_missing" | "header_invalid" | "too_old" | "too_new" | "signature_wrong";

/**
 * Returns the refusal of a webhook, or "accepted".
 *
 * @param keys `whsec_...` and `whpk_...` that you trust; during a rotation, the new and the old one.
 * @param headers The request's headers, names in lower case, as `request.headers` of node:http has them.
 * @param body The bytes as received, before any parsing.
 * @param now Seconds since 1970.
 */
export function verifyWebhook(
  keys: readonly string[],
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: Uint8Array,
  now: number = Date.now() / 1000,
): Outcome {
  const [id, timestamp, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => {
    const value = headers[name];
    return typeof value === "string" ? value : "";
  });
  if (!id || !timestamp || !signatures) return "header_missing";
  if (!WEBHOOK_ID.test(id) || !TIMESTAMP.test(timestamp) || signatures.length > MOST_CHARACTERS) return "header_invalid";
  const age = now - Number(timestamp);
  if (Math.abs(age) > TOLERANCE_SECONDS) return age > 0 ? "too_old" : "too_new";
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]);
  const isSigned = signatures.split(" ").some((entry) => keys.some((key) => matches(key, entry, content)));
  return isSigned ? "accepted" : "signature_wrong";
}

/** Returns whether a signature is a key's. A `whpk_` key never serves as a shared key: everybody may know it. */
function matches(key: string, entry: string, content: Buffer): boolean {
  const comma = entry.indexOf(",");
  const [version, text] = [entry.slice(0, comma), entry.slice(comma + 1)];
  if (comma < 0 || !BASE64.test(text)) return false;
  const signature = Buffer.from(text, "base64");
  if (version === "v1" && key.startsWith("whsec_")) {
    const expected = createHmac("sha256", Buffer.from(key.slice(6), "base64")).update(content).digest();
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  }
  if (version !== "v1a" || !key.startsWith("whpk_")) return false;
  const encoded = Buffer.concat([ED25519_PREFIX, Buffer.from(key.slice(5), "base64")]);
  return verifySignature(null, content, createPublicKey({ key: encoded, format: "der", type: "spki" }), signature);
}
