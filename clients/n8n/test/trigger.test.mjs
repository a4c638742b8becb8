import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeMesh, arrival, context, load, newKey } from "./fakes.mjs";

const { MailmeshTrigger } = load("nodes/MailmeshTrigger/MailmeshTrigger.node.js");
const trigger = new MailmeshTrigger();
const { checkExists, create, delete: remove } = trigger.webhookMethods.default;
const PARAMETERS = {
  eventTypes: "mail.created, send.*",
  tenantIds: "",
  view: "ENDPOINT_VIEW_THIN",
  respond: "lastNode",
  whileInactive: "delete",
  concurrency: 1,
};
const EVENT = { type: "mail.created", timestamp: "2026-11-28T00:00:00Z", data: { eventId: "019a-1", messageId: "m1" } };
let workflows = 0;

/** A trigger of its own, with the key that mailmesh signs with. */
function setUp(parameters = {}) {
  const mesh = new FakeMesh();
  const key = newKey();
  const stored = { publicKey: key.publicKey };
  const workflow = `w${++workflows}`;
  const arrive = (event = EVENT, more = {}) =>
    arrival(mesh, more.key ?? key, event, { ...PARAMETERS, ...parameters }, { workflow, stored, ...more });
  return { mesh, key, stored, arrive };
}

test("activation twice makes one endpoint", async () => {
  const mesh = new FakeMesh();
  const hook = context(mesh, PARAMETERS);
  assert.equal(await checkExists.call(hook), false);
  await create.call(hook);
  await create.call(hook);

  assert.equal(mesh.endpoints.length, 1);
  assert.equal(await checkExists.call(hook), true);
  assert.equal(mesh.endpoints[0].signature, "ENDPOINT_SIGNATURE_V1A");
  assert.deepEqual(mesh.endpoints[0].filter.eventTypes, ["mail.created", "send.*"]);
  assert.equal(hook.stored.publicKey, "whpk_first");
});

test("changed parameters change the endpoint in place", async () => {
  const mesh = new FakeMesh();
  await create.call(context(mesh, PARAMETERS));
  const changed = context(mesh, { ...PARAMETERS, view: "ENDPOINT_VIEW_FULL" });
  assert.equal(await checkExists.call(changed), false);
  await create.call(changed);

  assert.equal(mesh.endpoints.length, 1);
  assert.equal(mesh.endpoints[0].view, "ENDPOINT_VIEW_FULL");
});

test("a stopped endpoint is resumed", async () => {
  const mesh = new FakeMesh();
  await create.call(context(mesh, PARAMETERS));
  mesh.endpoints[0].state = "ENDPOINT_STATE_DISABLED";
  assert.equal(await checkExists.call(context(mesh, PARAMETERS)), false);
  await create.call(context(mesh, PARAMETERS));

  assert.equal(mesh.endpoints[0].state, "ENDPOINT_STATE_ACTIVE");
});

test("an unreachable mailmesh is not taken for an absent endpoint", async () => {
  const mesh = new FakeMesh();
  mesh.isAway = true;

  await assert.rejects(checkExists.call(context(mesh, PARAMETERS)), /refused the connection/);
  await assert.rejects(remove.call(context(mesh, PARAMETERS)), /refused the connection/);
});

test("an endpoint that is gone counts as deleted, before and during the call", async () => {
  const mesh = new FakeMesh();
  assert.equal(await remove.call(context(mesh, PARAMETERS)), true);
  await create.call(context(mesh, PARAMETERS));
  const [endpoint] = mesh.endpoints;
  const listed = mesh.answer.bind(mesh);
  mesh.answer = (options) => (options.method === "GET" ? { endpoints: [endpoint] } : listed(options));
  mesh.endpoints = [];

  assert.equal(await remove.call(context(mesh, PARAMETERS)), true);
});

test("a trigger that keeps events pauses its endpoint, but not after a test run", async () => {
  const mesh = new FakeMesh();
  const kept = { ...PARAMETERS, whileInactive: "pause" };
  await create.call(context(mesh, kept));
  await remove.call(context(mesh, kept));
  assert.equal(mesh.endpoints[0].state, "ENDPOINT_STATE_PAUSED");
  await remove.call(context(mesh, kept, { mode: "manual" }));

  assert.deepEqual(mesh.endpoints, []);
});

test("an event starts the workflow once, and a repetition is answered without a run", async () => {
  const { arrive } = setUp();
  const first = arrive();
  const { workflowData } = await trigger.webhook.call(first.hook);
  assert.deepEqual(workflowData[0][0].json, { type: EVENT.type, timestamp: EVENT.timestamp, ...EVENT.data });
  const early = arrive();
  assert.equal((await trigger.webhook.call(early.hook)).workflowData, undefined);
  assert.equal(early.response.statusCode, 503);
  assert.equal(early.response.headers["retry-after"], "10");
  first.response.end();
  const late = arrive();

  assert.equal((await trigger.webhook.call(late.hook)).workflowData, undefined);
  assert.equal(late.response.statusCode, 200);
});

test("an event whose workflow failed, or whose answer got lost, runs again", async () => {
  const { arrive } = setUp();
  const failed = arrive();
  await trigger.webhook.call(failed.hook);
  failed.response.status(500).end();
  const cut = arrive();
  assert.ok((await trigger.webhook.call(cut.hook)).workflowData);
  cut.response.breakOff();

  assert.ok((await trigger.webhook.call(arrive().hook)).workflowData);
});

test("an immediate answer keeps the id over a restart of n8n", async () => {
  const { arrive, stored } = setUp({ respond: "onReceived" });
  assert.ok((await trigger.webhook.call(arrive().hook)).workflowData);
  assert.deepEqual(stored.eventIds, ["019a-1"]);
  const restarted = arrive(EVENT, { workflow: "the same after a restart" });

  assert.equal((await trigger.webhook.call(restarted.hook)).workflowData, undefined);
});

test("a forged, an old and an altered webhook are refused and start nothing", async () => {
  const { arrive } = setUp();
  const hour = Date.now() / 1000 - 3600;
  for (const more of [{ key: newKey() }, { at: hour }, { body: Buffer.from("{}") }]) {
    const { hook, response } = arrive(EVENT, more);
    assert.equal((await trigger.webhook.call(hook)).workflowData, undefined);
    assert.equal(response.statusCode, 401);
  }
});

test("a rotated key is read from mailmesh, and once a minute at most", async () => {
  const { mesh, arrive } = setUp();
  const fresh = newKey();
  mesh.publicKey = fresh.publicKey;
  await create.call(context(mesh, PARAMETERS));
  assert.ok((await trigger.webhook.call(arrive(EVENT, { key: fresh }).hook)).workflowData);
  const before = mesh.calls.length;
  await trigger.webhook.call(arrive(EVENT, { key: newKey() }).hook);

  assert.equal(mesh.calls.length, before);
});

test("a test of the endpoint is answered and starts nothing", async () => {
  const { arrive } = setUp();
  const { hook, response } = arrive({ type: "endpoint.test", timestamp: "", data: { endpointId: "e" } });

  assert.equal((await trigger.webhook.call(hook)).workflowData, undefined);
  assert.equal(response.statusCode, 200);
});
