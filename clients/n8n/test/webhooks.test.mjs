import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { load } from "./fakes.mjs";

const { verifyWebhook } = load("shared/webhooks.js");
const { cases } = JSON.parse(readFileSync(process.env.vectors, "utf8"));
// The trigger asks for v1a alone, so that it holds one public key.
const own = cases.filter(({ keys }) => keys.length === 1 && keys[0].startsWith("whpk_"));

test("there are vectors of each outcome", () => {
  assert.ok(own.length >= 10);
  assert.deepEqual(new Set(own.map(({ outcome }) => outcome)).has("signature_wrong"), true);
});

for (const one of own) {
  test(`vector: ${one.name}`, () => {
    const headers = {
      "webhook-id": one.webhookId,
      "webhook-timestamp": one.webhookTimestamp,
      "webhook-signature": one.webhookSignature,
    };
    const outcome = verifyWebhook(one.keys[0], headers, Buffer.from(one.bodyBase64, "base64"), one.now);

    assert.equal(outcome, one.outcome);
  });
}

test("a header that occurs twice is missing", () => {
  assert.equal(verifyWebhook("", { "webhook-id": ["a", "b"] }, Buffer.alloc(0)), "header_missing");
});
