// One event: normalized and raw side by side, and its mail.
import { toJsonString } from "@bufbuild/protobuf";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { useQuery } from "@tanstack/react-query";
import { type NormalizedMailEvent, NormalizedMailEventSchema } from "../../../gen/ts/mailmesh/mail/v1/event_pb.js";
import { type Event, EventSchema } from "../../../gen/ts/mailmesh/processor/v1/event_pb.js";
import { NormalizedCalendarEventSchema } from "../../../gen/ts/mailmesh/calendar/v1/event_pb.js";
import { file_google_protobuf_struct } from "@bufbuild/protobuf/wkt";
import { createRegistry } from "@bufbuild/protobuf";
import { events } from "../api.js";
import { Copy } from "../parts/controls.js";
import { Account } from "../parts/account.js";
import { Failed, Facts, Id, Outside, Reason, Time } from "../parts/show.js";
import { href } from "../route.js";
import { plain } from "../text.js";

const registry = createRegistry(NormalizedMailEventSchema, NormalizedCalendarEventSchema, file_google_protobuf_struct);
const MOST = 200_000;

export function EventPage({ id }: { id: string }) {
  const query = useQuery({ queryKey: ["event", id], queryFn: async () => (await events.getEvent({ eventId: id })).event, staleTime: Infinity });
  if (query.isError) return <><h1>Event</h1><Failed error={query.error} retry={() => void query.refetch()} /></>;
  const event = query.data;
  const head = event?.kind.value;
  if (!event || !head) return <p role="status">Reading…</p>;
  return (
    <>
      <p><a href={href(["events"])}>Events</a></p>
      <h1>{head.eventType}</h1>
      <Facts rows={[
        ["Event", <Id value={head.eventId} />], ["Account", <Account id={head.tenantId} />],
        ["Received", <Time at={head.receivedAt} />], ["Correlation id", <a href={href(["change", head.correlationId], { tenant: head.tenantId, event: head.eventId })}><Id value={head.correlationId} /></a>], ["Position", <Id value={event.position} />],
      ]} />
      <div className="buttons left">
        <Copy name="Copy as curl" text={`curl -H "Authorization: Bearer $MAILMESH_API_KEY" ${window.location.origin}/v1/events/${encodeURIComponent(id)}`} />
        <Copy name="Copy as grpcurl" text={`grpcurl -H "authorization: Bearer $MAILMESH_API_KEY" -d '{"event_id": "${id.replace(/[^\w-]/g, "")}"}' ${window.location.host} mailmesh.processor.v1.EventService/GetEvent`} />
      </div>
      {event.kind.case === "mail" && <Mail mail={event.kind.value} />}
      <Forms event={event} />
    </>
  );
}

function Mail({ mail }: { mail: NormalizedMailEvent }) {
  const message = mail.message;
  const named = (one: { name: string; address: string } | undefined) => (one ? `${one.name} <${one.address}>` : "");
  return (
    <section aria-label="Mail">
      <h2><Outside text={message?.subject || "(no subject)"} /></h2>
      {mail.notEnriched && <Reason reason={mail.notEnriched.reason} detail={mail.notEnriched.detail} />}
      <Facts rows={[
        ["From", <Outside text={named(message?.fromAddress)} />], ["To", <Outside text={message?.to.map(named).join(", ") ?? ""} />],
        ["Thread", <Id value={message?.thread?.threadId ?? ""} />],
        ["Files", <Outside text={message?.attachments.map((file) => file.name).join(", ") || "none"} />],
      ]} />
      {message?.body && <Body text={message.body.text} html={message.body.html} />}
    </section>
  );
}

// The frame has no right at all: no scripts, no forms, no origin, no navigation. It inherits the page's policy, which loads
// nothing from elsewhere, and knows no style either.
function Body({ text, html }: { text: string; html: string }) {
  return (
    <>
      <pre className="mail" tabIndex={0} aria-label="Text of the mail">{plain(text, MOST) || "(no text)"}</pre>
      {html && (
        <details>
          <summary>HTML, without its styles, pictures and links</summary>
          <iframe title="HTML of the mail" sandbox="" referrerPolicy="no-referrer" srcDoc={html} />
        </details>
      )}
    </>
  );
}

function Forms({ event }: { event: Event }) {
  const raw = event.kind.case === "mail" ? event.kind.value.raw : undefined;
  const options = { registry, prettySpaces: 2 };
  return (
    <div className="forms">
      <section aria-label="Normalized">
        <h2>Normalized</h2>
        <pre tabIndex={0}>{plain(toJsonString(EventSchema, event, options), MOST)}</pre>
      </section>
      <section aria-label="Raw">
        <h2>Raw, from the provider</h2>
        <pre tabIndex={0}>{raw ? plain(pretty(raw), MOST) : "This event has no raw form."}</pre>
      </section>
    </div>
  );
}

function pretty(raw: NonNullable<NormalizedMailEvent["raw"]>): string {
  return JSON.stringify(raw, undefined, 2) || toJsonString(StructSchema, raw as never);
}
