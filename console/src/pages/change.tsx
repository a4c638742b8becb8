// One change by its correlation id: from the acceptance at the edge to the deliveries, with times.
import { useState, type FormEvent } from "react";
import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { Button, Form } from "react-aria-components";
import { timestampMs, timestampNow } from "@bufbuild/protobuf/wkt";
import { AttemptOutcome } from "../../../gen/ts/mailmesh/delivery/v1/endpoint_service_pb.js";
import { EventService } from "../../../gen/ts/mailmesh/processor/v1/event_service_pb.js";
import { endpoints } from "../api.js";
import type { Row } from "../eventrow.js";
import { AsCall } from "../parts/ascall.js";
import { Field, FilterField } from "../parts/controls.js";
import { Empty, Failed, Id, Outside, Reason, State, Table, Time } from "../parts/show.js";
import { auditMoments, byTime, deadMoments, type Moment } from "../parts/timeline.js";
import { go, href, useRoute } from "../route.js";
import { several } from "../several.js";
import { useMayAdminister, useMayOperate } from "../session.js";
import { EARLIEST, MOST_ROWS, pageFrom, partOf, placeBefore, searchedFrom, type Place } from "../stream.js";
import { absolute, enumWord, madeAt } from "../text.js";

const MOST_ENDPOINTS = 50;
const MOST_EVENTS = 20;
const AT_ONCE = 4;
const MOST_STEPS = 500;
// The events after which a search pauses, found or not.
const MOST_SEARCHED = 10_000;

export function ChangePage({ id }: { id: string }) {
  const { query } = useRoute();
  const [tenantId, eventId] = [query.get("tenant") ?? "", query.get("event") ?? ""];
  return (
    <>
      <h1>One change</h1>
      <Search id={id} tenantId={tenantId} />
      {id ? <Steps key={`${tenantId} ${eventId}`} id={id} tenantId={tenantId} eventId={eventId} /> : (
        <Empty><p>Each request and each change of a mailbox has a correlation id: <code>x-request-id</code> of an answer, <code>correlationId</code> of
          an event, <code>correlation_id</code> of a log line. Enter one, or follow the id of an <a href={href(["events"])}>event</a>.</p></Empty>
      )}
    </>
  );
}

function Search({ id, tenantId }: { id: string; tenantId: string }) {
  const [text, setText] = useState(id);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    go(["change", text.trim()].filter(Boolean), { tenant: tenantId });
  };
  return (
    <Form className="filters" onSubmit={submit}>
      <Field label="Correlation id" value={text} set={setText} hint="a UUID" />
      <FilterField name="tenant" label="Tenant" hint="its id" />
      <Button type="submit" className="primary">Follow</Button>
    </Form>
  );
}

interface Found {
  moments: Moment[];
  cuts: string[];
}

interface May {
  operate: boolean;
  administer: boolean;
}

async function found(id: string, tenantId: string, rows: Row[], may: May, signal: AbortSignal): Promise<Found> {
  const [dead, kept] = await Promise.all([deadMoments(tenantId), may.administer ? auditMoments(tenantId) : []]);
  const sent = may.operate ? await deliveries(rows, signal) : { moments: [], cuts: [] };
  const beside = [...dead, ...kept].filter((one) => one.correlationId === id);
  const all = [...accepted(rows), ...rows.map(eventStep), ...beside, ...sent.moments].sort(byTime);
  const long = all.length > MOST_STEPS ? [`The first ${MOST_STEPS} of ${all.length.toLocaleString("en")} steps are shown.`] : [];
  return { cuts: [...long, ...sent.cuts], moments: all.slice(0, MOST_STEPS) };
}

// The events of a change, from the event that led here, else from now, backwards. A person asks for more places.
function useEvents(id: string, tenantId: string, eventId: string) {
  const [places, setPlaces] = useState<Place[]>(() => [placeBefore(timestampMs(madeAt(eventId) ?? timestampNow()))]);
  const isOf = (row: Row) => row.head.correlationId === id;
  const parts = useQueries({
    queries: places.map((place) => ({
      queryKey: ["change events", id, tenantId, place],
      queryFn: async ({ signal }: { signal: AbortSignal }) => {
        const part = await partOf(tenantId, place, (rows) => rows.length >= MOST_SEARCHED || rows.some(isOf), signal);
        return { ...part, rows: part.rows.filter(isOf) };
      },
    })),
  });
  const read = parts.map((part) => part.data);
  // A part that was too long, and whose rest was not asked for yet.
  const long = read.findIndex((part, index) => part?.rest && places[index + 1]?.cursor !== part.rest.cursor);
  const rest = read[long]?.rest ?? null;
  const earlier = read[0]?.earlier ?? null;
  return {
    rows: [...new Map(read.flatMap((part) => part?.rows ?? []).map((row) => [row.position, row])).values()],
    failed: parts.find((part) => part.isError),
    isRead: parts.every((part) => part.isSuccess),
    isWhole: !earlier && !rest,
    from: read[0] && searchedFrom(read[0]),
    earlier: earlier && (() => setPlaces([earlier, ...places])),
    later: rest && (() => setPlaces([...places.slice(0, long + 1), rest, ...places.slice(long + 1)])),
  };
}

// The acceptance of a mail's change at the edge is the time that its event names.
function accepted(rows: Row[]): Moment[] {
  const first = rows.find((row) => row.content !== "");
  if (!first) return [];
  return [{ key: "accepted", at: first.head.receivedAt, correlationId: "", part: "Edge and Ingest: accepted", about: "stored in the inbox" }];
}

// An event gets its id when it is published, behind the fetch of its content.
function eventStep({ position, head, about, content, reason, detail }: Row): Moment {
  return {
    key: position, at: madeAt(head.eventId) ?? head.receivedAt, correlationId: "", part: <>Processor: <a href={href(["events", head.eventId])}>{head.eventType}</a></>,
    about: <><Outside text={about} /> {content === "fetched" && <span className="faint">content fetched</span>} {content === "missing" && <Reason reason={reason} detail={detail || "without content"} />}</>,
  };
}

// A reconciliation may make thousands of events, each of which has attempts at each endpoint.
async function deliveries(rows: Row[], signal: AbortSignal): Promise<{ moments: Moment[]; cuts: string[] }> {
  if (rows.length === 0) return { moments: [], cuts: [] };
  const { endpoints: all, nextPageToken } = await endpoints.listEndpoints({ pageSize: MOST_ENDPOINTS }, { signal });
  const pairs = rows.slice(0, MOST_EVENTS).flatMap((row) => all.map((endpoint) => ({ endpoint, eventId: row.head.eventId })));
  const lists = await several(pairs, AT_ONCE, async ({ endpoint, eventId }) => {
    const { attempts } = await endpoints.listAttempts({ endpointId: endpoint.endpointId, eventId }, { signal });
    return attempts.map((attempt): Moment => ({
      key: attempt.attemptId, at: attempt.startedAt, correlationId: "",
      part: <>Delivery: <a href={href(["endpoints", endpoint.endpointId], { event: eventId })}><Outside text={endpoint.displayName || endpoint.url} most={80} /></a></>,
      about: <><State word={enumWord(AttemptOutcome, attempt.outcome)} /> {attempt.status > 0 && `status ${attempt.status}`} <Reason reason={attempt.reason} detail="" /></>,
    }));
  });
  const cuts = [
    rows.length > MOST_EVENTS && `The deliveries of the first ${MOST_EVENTS} of ${rows.length.toLocaleString("en")} events were read.`,
    nextPageToken !== "" && `The deliveries to the first ${MOST_ENDPOINTS} endpoints were read.`,
  ];
  return { moments: lists.flat(), cuts: cuts.filter((cut) => cut !== false) };
}

function Steps({ id, tenantId, eventId }: { id: string; tenantId: string; eventId: string }) {
  const may = { operate: useMayOperate(), administer: useMayAdminister() };
  const events = useEvents(id, tenantId, eventId);
  const positions = events.rows.map((row) => row.position);
  const query = useQuery({
    queryKey: ["change", id, tenantId, positions, may], queryFn: ({ signal }) => found(id, tenantId, events.rows, may, signal),
    enabled: events.isRead, placeholderData: keepPreviousData,
  });
  const failed = events.failed ?? (query.isError ? query : undefined);
  if (failed) return <Failed error={failed.error} retry={() => void failed.refetch()} />;
  if (!query.data) return <p role="status">Reading…</p>;
  const { moments, cuts } = query.data;
  const first = moments.find((one) => one.at)?.at;
  return (
    <>
      <div className="title"><p>Correlation id <Id value={id} /></p><AsCall method={EventService.method.listEvents} request={pageFrom(tenantId, events.from?.toISOString() ?? EARLIEST)} /></div>
      {moments.length === 0 ? (
        <Empty>{events.isWhole
          ? <p>No stored event, dead letter or entry of the audit log has this id. A change without an event is in the logs alone: <code>grep {id.replace(/[^\w-]/g, "")}</code> them.</p>
          : <p>This id is not among the events that were searched, the dead letters and the entries of the audit log.</p>}</Empty>
      ) : (
        <Table label="Steps" columns={["Time", "After", "Part", "Outcome"]} rows={moments.map((one) => ({
          key: one.key,
          cells: [<Time at={one.at} />, first && one.at ? `${((timestampMs(one.at) - timestampMs(first)) / 1000).toFixed(3)} s` : "", one.part, one.about],
        }))} />
      )}
      {!may.administer && <p className="faint">Lent tokens are shown to keys of administrators.</p>}
      {cuts.map((cut) => <p key={cut} className="faint">{cut}</p>)}
      {!events.isWhole && (
        <p className="faint">
          {events.from ? `The events since ${absolute(events.from)} were searched` : "The events from the oldest one on were searched"}
          {events.later && `, and of a long part of them the first ${MOST_ROWS}`}. {!tenantId && "Name the tenant to search its events alone."}
        </p>
      )}
      <div className="buttons left">
        {events.earlier && <Button className="plain" isDisabled={!events.isRead} onPress={events.earlier}>Search earlier events</Button>}
        {events.later && <Button className="plain" isDisabled={!events.isRead} onPress={events.later}>Search later events</Button>}
      </div>
    </>
  );
}
