import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeMesh, context, load } from "./fakes.mjs";

const { MailmeshPollTrigger } = load("nodes/MailmeshPollTrigger/MailmeshPollTrigger.node.js");
const { poll } = new MailmeshPollTrigger();
const PARAMETERS = { eventTypes: "mail.*", tenantIds: "t1", view: "EVENT_VIEW_BODY", start: "latest" };
const mail = (eventId) => ({ position: eventId, mail: { eventId, eventType: "mail.created", receivedAt: "then" } });

test("pages are read until there is no more, from the cursor of the last poll", async () => {
  const mesh = new FakeMesh();
  mesh.pages.set("latest", { events: [], nextCursor: "5", hasMore: false });
  mesh.pages.set("5", { events: [mail("6"), mail("7")], nextCursor: "7", hasMore: true });
  mesh.pages.set("7", { events: [mail("8")], nextCursor: "8", hasMore: false });
  const hook = context(mesh, PARAMETERS);
  assert.equal(await poll.call(hook), null);
  const [items] = await poll.call(hook);

  assert.deepEqual(items.map(({ json }) => json.eventId), ["6", "7", "8"]);
  assert.equal(items[0].json.type, "mail.created");
  assert.equal(hook.stored.cursor, "8");
  assert.deepEqual(mesh.calls.at(-1).qs["filter.tenantIds"], ["t1"]);
});

test("a failure in the middle moves no cursor", async () => {
  const mesh = new FakeMesh();
  mesh.pages.set("latest", { events: [], nextCursor: "5", hasMore: false });
  const hook = context(mesh, PARAMETERS);
  await poll.call(hook);
  mesh.isAway = true;

  await assert.rejects(poll.call(hook), /refused the connection/);
  assert.equal(hook.stored.cursor, "5");
});

test("a cursor past retention leads to the oldest event, with a warning", async () => {
  const mesh = new FakeMesh();
  mesh.pages.set("earliest", { events: [mail("90")], nextCursor: "90", hasMore: false });
  const hook = context(mesh, PARAMETERS);
  hook.stored.cursor = "expired";
  const [items] = await poll.call(hook);

  assert.equal(items.length, 1);
  assert.match(hook.warnings[0], /CURSOR_EXPIRED/);
});

test("a test run in the editor takes samples and moves no cursor", async () => {
  const mesh = new FakeMesh();
  mesh.pages.set("earliest", { events: [mail("1")], nextCursor: "1", hasMore: true });
  const hook = context(mesh, PARAMETERS, { mode: "manual" });
  await poll.call(hook);

  assert.deepEqual(hook.stored, {});
});
