// One event: normalized and raw side by side, and its mail.
import { useState } from "react";
import { toJsonString } from "@bufbuild/protobuf";
import { StructSchema } from "@bufbuild/protobuf/wkt";
import { useQuery } from "@tanstack/react-query";
import { type NormalizedMailEvent, NormalizedMailEventSchema } from "../../../gen/ts/mailmesh/mail/v1/event_pb.js";
import { type Event, EventSchema } from "../../../gen/ts/mailmesh/processor/v1/event_pb.js";
import { NormalizedCalendarEventSchema } from "../../../gen/ts/mailmesh/calendar/v1/event_pb.js";
import { EventService } from "../../../gen/ts/mailmesh/processor/v1/event_service_pb.js";
import { file_google_protobuf_struct } from "@bufbuild/protobuf/wkt";
import { createRegistry } from "@bufbuild/protobuf";
import { events } from "../api.js";
import { EARLIEST, MOST_ROWS, storedRows } from "../stream.js";
import { AsCall } from "../parts/ascall.js";
import { Button } from "../parts/controls.js";
import { Account } from "../parts/account.js";
import { Empty, Failed, Facts, Id, Outside, Reason, Table, Time } from "../parts/show.js";
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
      <AsCall method={EventService.method.getEvent} request={{ eventId: id }} />
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
        ["Thread", message?.thread?.threadId ? <Id value={message.thread.threadId} /> : "none"],
        ["Files", <Outside text={message?.attachments.map((file) => file.name).join(", ") || "none"} />],
      ]} />
      {message?.body && <Body text={message.body.text} html={message.body.html} />}
      {message?.thread?.threadId && <Thread tenantId={mail.tenantId} threadId={message.thread.threadId} eventId={mail.eventId} />}
    </section>
  );
}

// The stored events of a thread. They are searched for when a person asks: the contract has no list by thread.
function Thread({ tenantId, threadId, eventId }: { tenantId: string; threadId: string; eventId: string }) {
  const [from, setFrom] = useState("");
  const query = useQuery({ queryKey: ["thread", tenantId, threadId, from], queryFn: ({ signal }) => storedRows(tenantId, from, signal), enabled: from !== "" });
  if (from === "") return <div className="buttons left"><Button className="plain" onPress={() => setFrom(EARLIEST)}>Show the thread</Button></div>;
  if (query.isError) return <Failed error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <p role="status">Reading…</p>;
  const { rows, next } = query.data;
  const found = rows.filter((row) => row.threadId === threadId);
  return (
    <section aria-label="Thread">
      <h2>Thread</h2>
      {found.length === 0 && <Empty><p>No event of this thread is among the {from === EARLIEST ? "first" : "next"} {MOST_ROWS} stored events of the account.</p></Empty>}
      {found.length > 0 && (
        <Table label="Thread" columns={["Received", "Type", "Subject"]} rows={found.map(({ position, head, about }) => ({
          key: position,
          cells: [
            <Time at={head.receivedAt} />,
            head.eventId === eventId ? <>{head.eventType} <span className="faint">this event</span></> : <a href={href(["events", head.eventId])}>{head.eventType}</a>,
            <Outside text={about} />,
          ],
        }))} />
      )}
      {next && <div className="buttons left"><Button className="plain" onPress={() => setFrom(next)}>Search later events</Button></div>}
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
