// A consumer of mailmesh in TypeScript: lists tenants, follows events so that none is lost, and writes once.
//
//   npx tsc --project examples/ts
//   export MAILMESH_URL=http://127.0.0.1:8080 MAILMESH_API_KEY=...
//   node .cache/ts/examples/ts/follow.js tenants
//   node .cache/ts/examples/ts/follow.js tenant TENANT_ID
//   node .cache/ts/examples/ts/follow.js tail CURSOR_FILE [HOW_MANY]
//   node .cache/ts/examples/ts/follow.js reply TENANT_ID MESSAGE_ID TEXT
//   node .cache/ts/examples/ts/follow.js meet CALENDAR_ID SUBJECT START END TIME_ZONE
//   node .cache/ts/examples/ts/follow.js accept CALENDAR_EVENT_ID
//
// With MAILMESH_TRANSPORT=grpc-web it speaks gRPC-Web over HTTP/1.1, as a page in a browser does; otherwise gRPC.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";

import { type ErrorInfo, ErrorInfoSchema } from "../../gen/ts/google/rpc/error_details_pb.js";
import { CalendarAnswer, CalendarNotify, CalendarService } from "../../gen/ts/mailmesh/processor/v1/calendar_service_pb.js";
import type { Event } from "../../gen/ts/mailmesh/processor/v1/event_pb.js";
import { EventService } from "../../gen/ts/mailmesh/processor/v1/event_service_pb.js";
import { SendService } from "../../gen/ts/mailmesh/processor/v1/send_service_pb.js";
import { type Tenant, TenantStatus } from "../../gen/ts/mailmesh/vault/v1/tenant_pb.js";
import { TenantService } from "../../gen/ts/mailmesh/vault/v1/tenant_service_pb.js";

const CALL_MS = 30_000;
const FAILURES_IN_A_ROW = 10;
// The stream ended, but the last position is good: open it again.
const PASSING = new Set([
  "OVERLOADED",
  "RATE_LIMITED",
  "READER_TOO_SLOW",
  "SERVICE_UNAVAILABLE",
  "SHUTTING_DOWN",
  "STORE_UNAVAILABLE",
]);
// The events between the saved cursor and the oldest event are gone: report that, and continue from there.
const CURSOR_LOST = new Set(["CURSOR_EXPIRED", "CURSOR_EPOCH_CHANGED"]);

/** Returns the way to the edge, which sends the API key with every call. */
function connect(): Transport {
  const baseUrl = process.env["MAILMESH_URL"] ?? "http://127.0.0.1:8080";
  const withKey: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${process.env["MAILMESH_API_KEY"] ?? ""}`);
    return next(request);
  };
  return process.env["MAILMESH_TRANSPORT"] === "grpc-web"
    ? createGrpcWebTransport({ baseUrl, httpVersion: "1.1", interceptors: [withKey] })
    : createGrpcTransport({ baseUrl, interceptors: [withKey] });
}

/** Returns why a call failed; absent when the failure is not mailmesh's own. */
function errorInfo(error: ConnectError): ErrorInfo | undefined {
  return error.findDetails(ErrorInfoSchema)[0];
}

/** Yields every tenant that the key may see, page by page. */
async function* tenants(transport: Transport): AsyncGenerator<Tenant> {
  const client = createClient(TenantService, transport);
  let pageToken = "";
  do {
    const page = await client.listTenants({ pageToken }, { timeoutMs: CALL_MS });
    yield* page.tenants;
    pageToken = page.nextPageToken;
  } while (pageToken);
}

/** Yields the position of each step behind the cursor, with the event if the step has one, until the signal. */
async function* steps(
  transport: Transport,
  cursor: string,
  signal: AbortSignal,
): AsyncGenerator<[string, Event | undefined]> {
  const client = createClient(EventService, transport);
  for (let failures = 0; !signal.aborted; ) {
    try {
      for await (const { step } of client.streamEvents({ cursor }, { signal })) {
        failures = 0;
        if (step.case === undefined) continue;
        cursor = step.value.position;
        yield [cursor, step.case === "event" ? step.value : undefined];
      }
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      cursor = goOnFrom(ConnectError.from(error), cursor, failures);
    }
    await sleep(Math.min(100 * 2 ** failures, 30_000));
  }
}

/** Returns the cursor to open the stream again with, or throws the failure that a new cursor does not fix. */
function goOnFrom(error: ConnectError, cursor: string, failures: number): string {
  const info = errorInfo(error);
  if (failures > FAILURES_IN_A_ROW) throw error;
  if (info && CURSOR_LOST.has(info.reason)) {
    console.error(`${info.reason}: events were missed`);
    return info.metadata["oldest_cursor"] ?? "earliest";
  }
  if ((info && PASSING.has(info.reason)) || error.code === Code.Unavailable) return cursor;
  throw error;
}

/**
 * Prints events from the saved cursor on, and saves the cursor after it has processed each event. An event is
 * delivered again when the program dies while it processes it; its id is the same each time.
 */
async function tail(transport: Transport, cursorFile: string, howMany: number): Promise<void> {
  const cursor = existsSync(cursorFile) ? readFileSync(cursorFile, "utf8") : "earliest";
  // Leaving the loop would wait for the stream's own end, which may be far; the signal ends it.
  const enough = new AbortController();
  for await (const [position, event] of steps(transport, cursor, enough.signal)) {
    if (enough.signal.aborted) continue;
    if (event) {
      console.log(lineOf(event));
      howMany -= 1;
    }
    save(cursorFile, position);
    if (howMany === 0) enough.abort();
  }
}

/**
 * Answers a mail of an account and returns the id of the send. The key is derived from the mail that is answered, so
 * that the program may be repeated after any failure: it is the same send, and never a second mail.
 */
async function reply(transport: Transport, tenantId: string, messageId: string, text: string): Promise<string> {
  const idempotencyKey = `reply-${createHash("sha256").update(messageId).digest("hex")}`;
  const kind = { case: "reply", value: { messageId, text } } as const;
  const { send } = await createClient(SendService, transport).send(
    { idempotencyKey, tenantId, kind },
    { timeoutMs: CALL_MS },
  );
  return send?.sendId ?? "";
}

/**
 * Creates a Teams meeting and returns the id of the write. The key is derived from the meeting, so that the program may
 * be repeated after any failure: it is the same write, and never a second meeting.
 */
async function meet(transport: Transport, calendarId: string, subject: string, times: string[]): Promise<string> {
  const [start = "", end = "", timeZone = ""] = times;
  const meeting = [calendarId, subject, ...times].join("\n");
  const { write } = await createClient(CalendarService, transport).createCalendarEvent(
    {
      idempotencyKey: `meet-${createHash("sha256").update(meeting).digest("hex")}`,
      calendarId,
      event: {
        subject,
        start: { local: start, timeZone },
        end: { local: end, timeZone },
        onlineMeetingProvider: "teamsForBusiness",
      },
      notify: CalendarNotify.ALL,
    },
    { timeoutMs: CALL_MS },
  );
  return write?.calendarWriteId ?? "";
}

/** Accepts an invitation, notifies its organizer, and returns the id of the write; it may be repeated, too. */
async function accept(transport: Transport, calendarEventId: string): Promise<string> {
  const { write } = await createClient(CalendarService, transport).respondToCalendarEvent(
    {
      idempotencyKey: `accept-${calendarEventId}`,
      calendarEventId,
      answer: CalendarAnswer.ACCEPTED,
      notify: CalendarNotify.ALL,
    },
    { timeoutMs: CALL_MS },
  );
  return write?.calendarWriteId ?? "";
}

/** Puts the cursor in the place of the old one in one step. */
function save(cursorFile: string, cursor: string): void {
  writeFileSync(`${cursorFile}.new`, cursor);
  renameSync(`${cursorFile}.new`, cursorFile);
}

/** Returns an event in a line. Kinds that this program does not know have only their position. */
function lineOf({ kind, position }: Event): string {
  switch (kind.case) {
    case "mail":
      return `${kind.value.eventType}\t${kind.value.tenantId}\t${kind.value.message?.subject ?? ""}`;
    case "tenant":
      return `${kind.value.eventType}\t${kind.value.tenantId}\t${kind.value.statusReason}`;
    default:
      return `unknown\t${position}`;
  }
}

/** Executes the command line; returns the exit status. */
async function run([command, name, second, text, ...more]: string[]): Promise<number> {
  const transport = connect();
  if (command === "tenants") {
    for await (const { tenantId, provider, status, address } of tenants(transport)) {
      console.log(`${tenantId}\t${provider}\t${TenantStatus[status].toLowerCase()}\t${address}`);
    }
  } else if (command === "tenant" && name) {
    const client = createClient(TenantService, transport);
    const { tenant } = await client.getTenant({ tenantId: name }, { timeoutMs: CALL_MS });
    console.log(`${tenant?.tenantId}\t${tenant?.address}`);
  } else if (command === "tail" && name) {
    await tail(transport, name, second ? Number(second) : Number.MAX_SAFE_INTEGER);
  } else if (command === "reply" && name && second && text) {
    console.log(await reply(transport, name, second, text));
  } else if (command === "meet" && name && second && text && more.length === 2) {
    console.log(await meet(transport, name, second, [text, ...more]));
  } else if (command === "accept" && name) {
    console.log(await accept(transport, name));
  } else {
    console.error(
      "usage: follow tenants | tenant TENANT_ID | tail CURSOR_FILE [HOW_MANY] | reply TENANT_ID MESSAGE_ID TEXT\n" +
        "  | meet CALENDAR_ID SUBJECT START END TIME_ZONE | accept CALENDAR_EVENT_ID",
    );
    return 2;
  }
  return 0;
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (thrown) {
  const error = ConnectError.from(thrown);
  const info = errorInfo(error);
  switch (info?.reason) {
    case "TENANT_NOT_FOUND":
      console.error(`there is no tenant ${info.metadata["tenant_id"]}`);
      break;
    case "API_KEY_INVALID":
    case "KEY_REVOKED":
      console.error("the API key is not good (any more)");
      break;
    default:
      console.error(`${info?.reason ?? Code[error.code]}: ${error.rawMessage}`);
  }
  process.exitCode = 1;
}
