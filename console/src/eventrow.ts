// An event of any kind, as the lists show it.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { EventView, type Event } from "../../gen/ts/mailmesh/processor/v1/event_pb.js";
import { events } from "./api.js";

export interface Row {
  event: Event;
  head: { eventId: string; tenantId: string; eventType: string; correlationId: string; receivedAt?: Timestamp | undefined };
  about: string;
}

export function rowOf(event: Event): Row | undefined {
  const { kind } = event;
  switch (kind.case) {
    case "mail": return { event, head: kind.value, about: kind.value.message?.subject || kind.value.message?.preview || kind.value.messageId };
    case "tenant": return { event, head: kind.value, about: kind.value.statusDetail };
    case "send": return { event, head: kind.value, about: kind.value.detail || kind.value.idempotencyKey };
    case "calendarEvent": return { event, head: kind.value, about: kind.value.event?.subject ?? "" };
    case "conversation": return { event, head: kind.value, about: "" };
    default: return undefined;
  }
}

const PAGE = 1000;
const PAGES = 10;

// The stored events of a tenant, or of all; the stream is read forwards, so very many are not read to their end.
export async function storedRows(tenantId: string, signal: AbortSignal): Promise<{ rows: Row[]; isCut: boolean }> {
  const filter = { tenantIds: tenantId ? [tenantId] : [] };
  const rows: Row[] = [];
  let cursor = "earliest";
  for (let page = 0; page < PAGES; page += 1) {
    const answer = await events.listEvents({ cursor, filter, pageSize: PAGE, view: EventView.BASIC }, { signal });
    rows.push(...answer.events.map(rowOf).filter((row): row is Row => row !== undefined));
    if (!answer.hasMore) return { rows, isCut: false };
    cursor = answer.nextCursor;
  }
  return { rows, isCut: true };
}
