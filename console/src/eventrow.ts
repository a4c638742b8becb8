// An event of any kind, as the lists show it.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { EventView, type Event } from "../../gen/ts/mailmesh/processor/v1/event_pb.js";
import { events } from "./api.js";

const LONGEST = 400;

// Only what lists show: thousands of rows are kept, and an event may have a megabyte.
export interface Row {
  position: string;
  head: { eventId: string; tenantId: string; eventType: string; correlationId: string; receivedAt?: Timestamp | undefined };
  about: string;
  threadId: string;
  content: "fetched" | "missing" | "";
  reason: string;
  detail: string;
}

// The beginning of a text, as a text of its own: a plain slice would keep the whole of it in memory.
function beginning(text: string): string {
  return text.length > LONGEST ? Array.from(text.slice(0, LONGEST)).join("") : text;
}

export function rowOf({ kind, position }: Event): Row | undefined {
  if (kind.case === undefined) return undefined;
  const { eventId, tenantId, eventType, correlationId, receivedAt } = kind.value;
  const mail = kind.case === "mail" ? kind.value : undefined;
  return {
    position, about: beginning(about(kind)), threadId: mail?.message?.thread?.threadId ?? "", head: { eventId, tenantId, eventType, correlationId, receivedAt },
    content: mail ? (mail.isEnriched ? "fetched" : "missing") : "", reason: mail?.notEnriched?.reason ?? "", detail: mail?.notEnriched?.detail ?? "",
  };
}

function about(kind: Event["kind"]): string {
  switch (kind.case) {
    case "mail": return kind.value.message?.subject || kind.value.message?.preview || kind.value.messageId;
    case "tenant": return kind.value.statusDetail;
    case "send": return kind.value.detail || kind.value.idempotencyKey;
    case "calendarEvent": return kind.value.event?.subject ?? "";
    case "conversation": return kind.value.conversation?.subject ?? "";
    case "workflow": return `${kind.value.workflow} ${kind.value.reason}`.trim();
    case "endpoint": return `${kind.value.endpointId} ${kind.value.reason}`;
    default: return "";
  }
}

const PAGE = 1000;
const PAGES = 10;
export const MOST_ROWS = (PAGE * PAGES).toLocaleString("en");
export const EARLIEST = "earliest";

export interface Rows {
  rows: Row[];
  // The cursor behind the last row where more events may follow, else empty.
  next: string;
}

// The request for a page of events of a tenant, or of all, behind a cursor.
export function pageFrom(tenantId: string, cursor: string) {
  return { cursor, filter: { tenantIds: tenantId ? [tenantId] : [] }, pageSize: PAGE, view: EventView.BASIC };
}

// The stored events of a tenant, or of all, behind a cursor; the stream is read forwards, so very many are not read to their end.
export async function storedRows(tenantId: string, from: string, signal: AbortSignal): Promise<Rows> {
  const rows: Row[] = [];
  let cursor = from;
  for (let page = 0; page < PAGES; page += 1) {
    const answer = await events.listEvents(pageFrom(tenantId, cursor), { signal });
    rows.push(...answer.events.map(rowOf).filter((row): row is Row => row !== undefined));
    if (!answer.hasMore) return { rows, next: "" };
    cursor = answer.nextCursor;
  }
  return { rows, next: cursor };
}

// An event by its id, and those stored behind it.
export async function rowsFrom(eventId: string, tenantId: string, signal: AbortSignal): Promise<Rows> {
  const { event } = await events.getEvent({ eventId, view: EventView.BASIC }, { signal });
  const row = event && rowOf(event);
  if (!row) return { rows: [], next: "" };
  const later = await storedRows(tenantId, row.position, signal);
  return { rows: [row, ...later.rows], next: later.next };
}
