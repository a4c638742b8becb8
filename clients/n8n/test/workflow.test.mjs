// The workflow that the package offers, judged by n8n's own code for conditions.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

const { executeFilter } = createRequire(`${process.env.dist}/`)("n8n-workflow");
const { nodes, connections } = JSON.parse(readFileSync(new URL("../workflows/reply.json", import.meta.url), "utf8"));
const named = (name) => nodes.find((one) => one.name === name);
const MAIL = {
  eventType: "mail.created", source: "EVENT_SOURCE_NOTIFICATION", sendId: "", isEnriched: true,
  message: { subject: "When?", isDraft: false, automation: "AUTOMATION_KIND_UNSPECIFIED" },
};

/** The value of an expression, for one item. */
const valueOf = (text, $json) => new Function("$json", `return ${text.replace(/^=\{\{(.*)\}\}$/, "$1")}`)($json);

function isAnswered(event) {
  const { conditions } = named("From a person?").parameters;
  const filled = conditions.conditions.map((one) => ({ ...one, leftValue: valueOf(one.leftValue, event) }));
  return executeFilter({ ...conditions, conditions: filled });
}

test("only mail that passes the conditions reaches the answer", () => {
  const [yes, no] = connections["From a person?"].main;

  assert.deepEqual(connections["Get the event"].main.flat().map(({ node }) => node), ["From a person?"]);
  assert.deepEqual(yes.map(({ node }) => node), ["Reply"]);
  assert.deepEqual(no, []);
});

test("the mail of a person is answered, whether or not empty fields are sent", () => {
  assert.equal(isAnswered(MAIL), true);
  assert.equal(isAnswered({ source: "EVENT_SOURCE_RECONCILIATION", isEnriched: true, message: { subject: "When?" } }), true);
});

for (const [name, event] of Object.entries({
  "the sent copy of an answer": { ...MAIL, source: "EVENT_SOURCE_COMMAND", sendId: "s1" },
  "a change that mailmesh made": { ...MAIL, source: "EVENT_SOURCE_COMMAND" },
  "the mail of a send": { ...MAIL, sendId: "s1" },
  "old mail of a backfill": { ...MAIL, source: "EVENT_SOURCE_BACKFILL" },
  "an automatic answer": { ...MAIL, message: { ...MAIL.message, automation: "AUTOMATION_KIND_AUTO_REPLY" } },
  "a bounce": { ...MAIL, message: { ...MAIL.message, automation: "AUTOMATION_KIND_BOUNCE" } },
  "a draft": { ...MAIL, message: { ...MAIL.message, isDraft: true } },
  "mail without its message": { ...MAIL, isEnriched: false, message: undefined },
})) {
  test(`${name} is not answered`, () => assert.equal(isAnswered(event), false));
}

test("the answer tells other programs that no person wrote it", () => {
  assert.equal(named("Reply").parameters.isAutomatic, true);
});
