import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { context, load, refused } from "./fakes.mjs";

const { RESOURCES, operationOf } = load("nodes/Mailmesh/operations.js");
const { Mailmesh } = load("nodes/Mailmesh/Mailmesh.node.js");
const node = new Mailmesh();
const EVERY = RESOURCES.flatMap(({ value, operations }) => operations.map((one) => [`${value}.${one.value}`, one]));
const contract = JSON.parse(readFileSync(process.env.contract, "utf8"));

/** Runs the node on one item; returns its items and the calls. */
async function run(resource, operation, parameters, answer = () => ({}), more = {}) {
  const calls = [];
  const mesh = { answer: (call) => (calls.push(call), answer(call)) };
  const hook = context(mesh, { resource, operation, limit: 50, ...parameters }, { functions: {} });
  const { helpers, ...functions } = more;
  Object.assign(hook, {
    getInputData: () => [{ json: {} }], continueOnFail: () => false, getTimezone: () => "Europe/Berlin", ...functions,
  });
  Object.assign(hook.helpers, helpers);
  const [items] = await node.execute.call(hook);
  return { items, calls };
}

for (const [name, operation] of EVERY) {
  test(`${name} is an operation of the contract with fields that it has`, () => {
    const found = contract[`${operation.method} ${operation.path}`];
    assert.ok(found, `${operation.method} ${operation.path}`);
    for (const field of operation.fields.filter(({ to }) => to !== "binary")) {
      const place = field.to === "file" ? "body" : field.to;
      for (const path of [field.as ?? field.name, ...Object.values(field.facts ?? {})]) {
        assert.ok(found[place].includes(path), `${place} ${path} of ${found[place]}`);
      }
    }
    const part = operation.list ?? operation.answer;
    if (part) assert.ok(found.answer.includes(part), part);
  });
}

test("each operation has its own value, and the form shows each field for its operation alone", () => {
  assert.equal(new Set(EVERY.map(([name]) => name)).size, EVERY.length);
  assert.ok(node.description.properties.every(({ displayName, default: preset }) => displayName && preset !== undefined));
  assert.equal(operationOf("nothing", "get"), undefined);
});

test("a reply carries the key, the message and the text", async () => {
  const { items, calls } = await run("send", "reply", {
    tenantId: "t1", messageId: "m/1", idempotencyKey: "e1", text: "Gladly.", toAll: true,
  }, () => ({ send: { sendId: "s1" } }));

  assert.deepEqual(items, [{ json: { sendId: "s1" }, pairedItem: { item: 0 } }]);
  assert.equal(calls[0].url, "https://mesh.example/v1/sends");
  assert.deepEqual(calls[0].body, {
    tenantId: "t1", idempotencyKey: "e1", reply: { messageId: "m/1", toAll: true, text: "Gladly." },
  });
});

test("a missing key is refused before any call", async () => {
  await assert.rejects(run("send", "reply", { tenantId: "t1", messageId: "m", text: "x" }), /Idempotency Key/);
});

test("marks that are not chosen stay as they are", async () => {
  const { calls } = await run("message", "modify", {
    tenantId: "t1", messageId: "m1, m2", idempotencyKey: "k", isRead: "true", isFlagged: "false", place: "",
  }, () => ({ modification: {} }));

  assert.deepEqual(calls[0].body, {
    tenantId: "t1", messageIds: ["m1", "m2"], idempotencyKey: "k", change: { isRead: true, isFlagged: false },
  });
});

test("booleans of an expression count as the choices of the form", async () => {
  const { calls } = await run("message", "modify", {
    tenantId: "t1", messageId: "m1", idempotencyKey: "k", isRead: false, isFlagged: true, place: false,
  }, () => ({ modification: {} }));

  assert.deepEqual(calls[0].body.change, { isRead: false, isFlagged: true });
});

for (const [given, instant] of [
  ["2026-11-28T10:00:00", "2026-11-28T09:00:00.000Z"],
  ["2026-07-28 10:00", "2026-07-28T08:00:00.000Z"],
  ["2026-03-29T01:59:59", "2026-03-29T00:59:59.000Z"],
  ["2026-03-29T03:00:00", "2026-03-29T01:00:00.000Z"],
  ["2026-11-28", "2026-11-27T23:00:00.000Z"],
  ["2026-11-28T10:00:00-05:00", "2026-11-28T15:00:00.000Z"],
  ["2026-11-28T10:00:00Z", "2026-11-28T10:00:00.000Z"],
  [new Date(Date.UTC(2026, 10, 28, 10, 0, 0, 5)), "2026-11-28T10:00:00.005Z"],
]) {
  test(`the time ${String(given)} is read in the workflow's zone unless it has an offset`, async () => {
    const { calls } = await run("send", "reply", { tenantId: "t", messageId: "m", idempotencyKey: "k", text: "x", sendAt: given });

    assert.equal(calls[0].body.sendAt, instant);
  });
}

test("text that is no time is refused before any call", async () => {
  const parameters = { tenantId: "t", messageId: "m", idempotencyKey: "k", text: "x" };

  await assert.rejects(run("send", "reply", { ...parameters, sendAt: "tomorrow" }), /"Send At" has no time/);
  await assert.rejects(run("send", "reply", { ...parameters, sendAt: "2026-13-01" }), /"Send At" has no time/);
});

test("an answer that is marked as automatic has the headers that say so", async () => {
  const parameters = { tenantId: "t", messageId: "m", idempotencyKey: "k", text: "x" };
  const marked = await run("send", "reply", { ...parameters, isAutomatic: true });
  const plain = await run("send", "reply", parameters);

  assert.deepEqual(marked.calls[0].body.headers, [
    { name: "X-Autoreply", value: "yes" }, { name: "X-Auto-Response-Suppress", value: "All" },
  ]);
  assert.equal("headers" in plain.calls[0].body, false);
});

test("an id cannot leave its place in the path", async () => {
  const { calls } = await run("message", "get", { tenantId: "t1", messageId: "../../api-keys?x" }, () => ({ message: {} }));

  assert.equal(calls[0].url, "https://mesh.example/v1/tenants/t1/messages/..%2F..%2Fapi-keys%3Fx");
});

for (const value of [".", "..", "a\ud800"]) {
  test(`an id of "${value}" is refused before any call, in every place of every path`, async () => {
    for (const [name, operation] of EVERY) {
      for (const field of operation.fields.filter(({ to }) => to === "path")) {
        const others = Object.fromEntries(operation.fields.map((one) => [one.name, "2026-11-28T10:00:00Z"]));
        const [resource, act] = name.split(".");
        const calls = [];
        const failed = run(resource, act, { ...others, [field.name]: value }, (call) => (calls.push(call), {}));

        await assert.rejects(failed, new RegExp(`"${field.label}" has no id`), name);
        assert.deepEqual(calls, []);
      }
    }
  });
}

test("lists are read over pages up to the limit", async () => {
  const answer = ({ qs }) => ({ tenants: [{ n: 1 }, { n: 2 }], nextPageToken: qs.pageToken ? "b" : "a" });
  const { items, calls } = await run("account", "getMany", { limit: 3 }, answer);

  assert.deepEqual(items.map(({ json }) => json.n), [1, 2, 1]);
  assert.deepEqual(calls.map(({ qs }) => [qs.pageSize, qs.pageToken]), [[3, undefined], [1, "a"]]);
});

test("an attachment becomes a binary field with its bytes", async () => {
  const helpers = { prepareBinaryData: async (content, name) => ({ data: content.toString("base64"), fileName: name }) };
  const { items } = await run("message", "attachment", { tenantId: "t", messageId: "m", attachmentId: "a1", binaryField: "file" },
    () => Buffer.from([0, 255, 1]), { helpers });

  assert.equal(items[0].binary.file.data, Buffer.from([0, 255, 1]).toString("base64"));
});

test("binary fields are uploaded in parts and attached", async () => {
  const content = Buffer.alloc(600 * 1024, 7);
  const helpers = { assertBinaryData: () => ({ fileName: "a.bin", mimeType: "a/b" }), getBinaryDataBuffer: async () => content };
  const answer = ({ url }) => (url.endsWith("uploads") ? { upload: { uploadId: "u1" } } : { send: {} });
  const { calls } = await run("send", "send", {
    tenantId: "t", idempotencyKey: "k", to: "a@b.test, c@d.test", subject: "s", text: "x", attachmentFields: "data",
  }, answer, { helpers });

  assert.deepEqual(calls.map(({ body }) => body.startByte), [undefined, 512 * 1024, undefined]);
  assert.equal(calls[0].body.sizeBytes, content.length);
  assert.deepEqual(calls[2].body.attachments, [{ uploadId: "u1" }]);
  assert.deepEqual(calls[2].body.mail.to, [{ address: "a@b.test" }, { address: "c@d.test" }]);
});

test("a file becomes a part of the body, with its facts where the call takes them", async () => {
  const content = Buffer.from([0, 255, 1]);
  const helpers = { assertBinaryData: () => ({ fileName: "a.pdf", mimeType: "application/pdf" }), getBinaryDataBuffer: async () => content };
  const document = await run("primitive", "document", { fileField: "data" }, () => ({ text: "x" }), { helpers });
  const mail = await run("primitive", "mail", { fileField: "data" }, () => ({}), { helpers });

  assert.deepEqual(document.calls[0].body, { content: "AP8B", fileName: "a.pdf", contentType: "application/pdf" });
  assert.deepEqual(document.items[0].json, { text: "x" });
  assert.deepEqual(mail.calls[0].body, { content: "AP8B" });
});

test("JSON of the form and objects of expressions are the same, and other text is refused before any call", async () => {
  const schema = { type: "object", properties: { due: { type: "string", format: "date" } } };
  const forms = [JSON.stringify(schema), schema];
  const bodies = await Promise.all(forms.map(async (one) => (await run("primitive", "fields", { text: "x", schema: one })).calls[0].body));

  assert.deepEqual(bodies, [{ text: "x", schema }, { text: "x", schema }]);
  await assert.rejects(run("primitive", "fields", { text: "x", schema: "{" }), /"Schema" has no JSON/);
});

test("stored mail is searched by words and times, over pages", async () => {
  const answer = ({ body }) => ({ hits: [{ messageId: "m1" }], nextPageToken: body.pageToken ? "" : "a" });
  const { items, calls } = await run("message", "searchStored", {
    tenantId: "t1", words: '"two words" -not', author: "example.com", receivedAfter: "2026-11-28T10:00:00Z", limit: 5,
  }, answer);

  assert.equal(items.length, 2);
  assert.deepEqual(calls[0].body, {
    query: '"two words" -not', from: "example.com", receivedAfter: "2026-11-28T10:00:00.000Z", pageSize: 5,
  });
  assert.deepEqual(calls[1].body.pageToken, "a");
});

test("a failure names mailmesh's reason, or becomes an item where the node goes on", async () => {
  const answer = () => { throw refused(404, "MESSAGE_NOT_FOUND"); };
  const parameters = { tenantId: "t", messageId: "m" };
  await assert.rejects(run("message", "get", parameters, answer), /MESSAGE_NOT_FOUND/);
  const { items } = await run("message", "get", parameters, answer, { continueOnFail: () => true });

  assert.match(items[0].json.error, /MESSAGE_NOT_FOUND/);
});
