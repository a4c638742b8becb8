// Runs the cases of the conformance suite with the client. Cases come from the standard input, one a line.

import { createInterface } from "node:readline";

import { Code, createClient } from "@connectrpc/connect";

import {
  connect,
  type CursorStore,
  errorOf,
  FileCursorStore,
  follow,
  type FollowOptions,
  type MailmeshError,
  MemoryCursorStore,
  verifyWebhook,
} from "mailmesh-client";
import { EventView } from "mailmesh-client/gen/mailmesh/processor/v1/event_pb";
import { TenantService } from "mailmesh-client/gen/mailmesh/vault/v1/tenant_service_pb";

type Say = (...words: string[]) => void;

async function followCase(say: Say, [url = "", key = "", place = "", count = "", gap]: string[]): Promise<void> {
  const store = storeOf(place);
  const options: FollowOptions = { view: EventView.BODY, heartbeatSeconds: 1, firstPauseMs: 50, longestPauseMs: 200 };
  if (gap === "continue") options.onGap = (lost) => say("gap", lost.reason, lost.oldestCursor);
  let left = Number(count);
  try {
    for await (const { kind } of follow(connect(url, key), store, options)) {
      if (left === 0) break;
      left -= 1;
      if (kind.case !== "mail") throw new Error(`an event of kind ${kind.case}`);
      const { eventId, eventType, message } = kind.value;
      say("event", eventId, eventType, String(message?.body?.text.length ?? 0));
    }
  } finally {
    say("cursor", await store.load());
  }
}

function storeOf(place: string): CursorStore {
  const colon = place.indexOf(":");
  const where = place.slice(colon + 1);
  return place.startsWith("file:") ? new FileCursorStore(where) : new MemoryCursorStore(where);
}

async function tenantCase(say: Say, [url = "", key = "", tenantId = ""]: string[]): Promise<void> {
  const { tenant } = await createClient(TenantService, connect(url, key)).getTenant({ tenantId });
  say("tenant", tenant?.tenantId ?? "", String(tenant?.status));
}

async function verifyCase(say: Say, fields: string[]): Promise<void> {
  const [now = "", id, timestamp, signatures, body = "", keys = ""] = fields;
  const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures };
  say(verifyWebhook(keys.split(" ").filter(Boolean), headers, Buffer.from(body, "base64"), Number(now)));
}

function wordsOf(error: MailmeshError): string[] {
  const kind = error.isCursorLost ? "cursor_lost" : error.isKeyRefused ? "key_refused" : "failed";
  const pause = error.retryAfterMs === undefined ? "" : String(Math.round(error.retryAfterMs / 1000));
  const metadata = Object.entries(error.metadata).map(([name, value]) => `${name}=${value}`);
  return [kind, error.reason || (Code[error.code] ?? "").toUpperCase(), pause, metadata.sort().join(",")];
}

const COMMANDS = new Map([
  ["follow", followCase],
  ["tenant", tenantCase],
  ["verify", verifyCase],
]);

for await (const line of createInterface({ input: process.stdin })) {
  const [command = "", name = "", ...fields] = line.split("\t");
  const say: Say = (...words) => console.log([name, ...words].join("\t"));
  try {
    await COMMANDS.get(command)?.(say, fields);
  } catch (thrown) {
    say("error", ...wordsOf(errorOf(thrown)));
  }
  say("end");
}
