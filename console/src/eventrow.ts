// An event of any kind, as the lists show it.
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Event } from "../../gen/ts/mailmesh/processor/v1/event_pb.js";

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
