// One change by its correlation id: from the acceptance at the edge to the deliveries, with times.
import { useState, type FormEvent } from "react";
import { useQuery } from "@tanstack/react-query";
import { Button, Form } from "react-aria-components";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { AttemptOutcome } from "../../../gen/ts/mailmesh/delivery/v1/endpoint_service_pb.js";
import { endpoints } from "../api.js";
import { storedRows, type Row } from "../eventrow.js";
import { Field, FilterField } from "../parts/controls.js";
import { Empty, Failed, Id, Outside, Reason, State, Table, Time } from "../parts/show.js";
import { auditMoments, byTime, deadMoments, type Moment } from "../parts/timeline.js";
import { go, href, useRoute } from "../route.js";
import { useMayAdminister, useMayOperate } from "../session.js";
import { enumWord } from "../text.js";

const MOST_ENDPOINTS = 50;

export function ChangePage({ id }: { id: string }) {
  const { query } = useRoute();
  const tenantId = query.get("tenant") ?? "";
  return (
    <>
      <h1>One change</h1>
      <Search id={id} tenantId={tenantId} />
      {id ? <Steps id={id} tenantId={tenantId} /> : (
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
  isCut: boolean;
}

async function found(id: string, tenantId: string, may: { operate: boolean; administer: boolean }, signal: AbortSignal): Promise<Found> {
  const [stored, dead, kept] = await Promise.all([
    storedRows(tenantId, signal), deadMoments(tenantId), may.administer ? auditMoments(tenantId) : [],
  ]);
  const rows = stored.rows.filter((row) => row.head.correlationId === id);
  const sent = may.operate ? await deliveries(rows) : [];
  const beside = [...dead, ...kept].filter((one) => one.correlationId === id);
  return { isCut: stored.isCut, moments: [...accepted(rows), ...rows.map(eventStep), ...beside, ...sent].sort(byTime) };
}

// The acceptance of a mail's change at the edge is the time that its event names.
function accepted(rows: Row[]): Moment[] {
  const first = rows.find((row) => row.content !== "");
  if (!first) return [];
  return [{ key: "accepted", at: first.head.receivedAt, correlationId: "", part: "Edge and Ingest: accepted", about: "stored in the inbox" }];
}

function eventStep({ position, head, about, content, reason, detail }: Row): Moment {
  return {
    key: position, at: head.receivedAt, correlationId: "", part: <>Processor: <a href={href(["events", head.eventId])}>{head.eventType}</a></>,
    about: <><Outside text={about} /> {content === "fetched" && "content fetched"} {content === "missing" && <Reason reason={reason} detail={detail || "without content"} />}</>,
  };
}

async function deliveries(rows: Row[]): Promise<Moment[]> {
  if (rows.length === 0) return [];
  const { endpoints: all } = await endpoints.listEndpoints({ pageSize: MOST_ENDPOINTS });
  const pairs = all.flatMap((endpoint) => rows.map((row) => ({ endpoint, eventId: row.head.eventId })));
  const lists = await Promise.all(pairs.map(async ({ endpoint, eventId }) => {
    const { attempts } = await endpoints.listAttempts({ endpointId: endpoint.endpointId, eventId });
    return attempts.map((attempt): Moment => ({
      key: attempt.attemptId, at: attempt.startedAt, correlationId: "",
      part: <>Delivery: <a href={href(["endpoints", endpoint.endpointId], { event: eventId })}><Outside text={endpoint.displayName || endpoint.url} most={80} /></a></>,
      about: <><State word={enumWord(AttemptOutcome, attempt.outcome)} /> {attempt.status > 0 && `status ${attempt.status}`} <Reason reason={attempt.reason} detail="" /></>,
    }));
  }));
  return lists.flat();
}

function Steps({ id, tenantId }: { id: string; tenantId: string }) {
  const may = { operate: useMayOperate(), administer: useMayAdminister() };
  const query = useQuery({ queryKey: ["change", id, tenantId, may], queryFn: ({ signal }) => found(id, tenantId, may, signal) });
  if (query.isError) return <Failed error={query.error} retry={() => void query.refetch()} />;
  if (!query.data) return <p role="status">Reading…</p>;
  const { moments, isCut } = query.data;
  const first = moments.find((one) => one.at)?.at;
  return (
    <>
      <p>Correlation id <Id value={id} /></p>
      {moments.length === 0 ? (
        <Empty><p>No stored event, dead letter or entry of the audit log has this id. A change without an event is in the logs alone: <code>grep {id.replace(/[^\w-]/g, "")}</code> them.</p></Empty>
      ) : (
        <Table label="Steps" columns={["Time", "After", "Part", "Outcome"]} rows={moments.map((one) => ({
          key: one.key,
          cells: [<Time at={one.at} />, first && one.at ? `${((timestampMs(one.at) - timestampMs(first)) / 1000).toFixed(3)} s` : "", one.part, one.about],
        }))} />
      )}
      {!may.administer && <p className="faint">Lent tokens are shown to keys of administrators.</p>}
      {isCut && <p className="faint">The first 10,000 stored events were searched. Name the tenant to search its events alone.</p>}
    </>
  );
}
