// The history of one account: its events, its dead letters and the entries of the audit log, newest first.
import { useState, type ReactNode } from "react";
import { useQuery } from "@tanstack/react-query";
import { Button } from "react-aria-components";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { audit, deadLetters } from "../api.js";
import { EARLIEST, MOST_ROWS, storedRows } from "../eventrow.js";
import { href } from "../route.js";
import { useMayAdminister } from "../session.js";
import { dateOf } from "../text.js";
import { Empty, Failed, Outside, Reason, State, Table, Time } from "./show.js";

const SHOWN = 50;

export interface Moment {
  key: string;
  at: Timestamp | undefined;
  part: ReactNode;
  about: ReactNode;
  correlationId: string;
}

export function byTime(one: Moment, other: Moment): number {
  return (dateOf(one.at)?.getTime() ?? 0) - (dateOf(other.at)?.getTime() ?? 0);
}

export async function auditMoments(tenantId: string): Promise<Moment[]> {
  const page = await audit.listAuditEntries({ tenantId, pageSize: 1000 });
  return page.auditEntries.map((entry) => ({
    key: entry.auditEntryId, at: entry.occurredAt, correlationId: entry.correlationId, part: <>TokenVault: <Outside text={entry.action} most={64} /></>,
    about: <>{entry.outcome === "ok" ? "ok" : <State word={entry.outcome} />} <Outside text={`by ${entry.actor}`} /></>,
  }));
}

export async function deadMoments(tenantId: string): Promise<Moment[]> {
  const page = await deadLetters.listDeadLetters({ filter: { tenantId }, pageSize: 1000, includeRetried: true });
  return page.deadLetters.map((letter) => ({
    key: letter.deadLetterId, at: letter.buriedAt, correlationId: letter.item?.correlationId ?? "", part: "Ingest: dead letter",
    about: <Reason reason={letter.reason} detail={letter.detail} />,
  }));
}

async function eventMoments(tenantId: string, from: string, signal: AbortSignal): Promise<{ moments: Moment[]; next: string }> {
  const { rows, next } = await storedRows(tenantId, from, signal);
  const moments = rows.map(({ position, head, about }) => ({
    key: position, at: head.receivedAt, correlationId: head.correlationId,
    part: <a href={href(["events", head.eventId])}>{head.eventType}</a>, about: <Outside text={about} />,
  }));
  return { moments, next };
}

export function Timeline({ tenantId }: { tenantId: string }) {
  const mayAdminister = useMayAdminister();
  const [from, setFrom] = useState(EARLIEST);
  const query = useQuery({
    queryKey: ["timeline", tenantId, mayAdminister, from],
    queryFn: async ({ signal }) => {
      const [told, dead, kept] = await Promise.all([
        eventMoments(tenantId, from, signal), deadMoments(tenantId), mayAdminister ? auditMoments(tenantId) : [],
      ]);
      return { next: told.next, moments: [...told.moments, ...dead, ...kept].sort(byTime).reverse().slice(0, SHOWN) };
    },
  });
  return (
    <section aria-label="Timeline">
      <h2>Timeline</h2>
      {query.isError && <Failed error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <p role="status">Reading…</p>}
      {query.data?.moments.length === 0 && <Empty><p>No event of this account is stored yet. A mail to it makes the first one.</p></Empty>}
      {query.data && query.data.moments.length > 0 && (
        <Table label="Timeline" columns={["Time", "Part", "What", "Change"]} rows={query.data.moments.map((one) => ({
          key: one.key,
          cells: [
            <Time at={one.at} />, one.part, one.about,
            one.correlationId ? <a href={href(["change", one.correlationId], { tenant: tenantId })}>Follow<span className="unseen"> the change {one.correlationId}</span></a> : "",
          ],
        }))} />
      )}
      {(query.data?.next || from !== EARLIEST) && (
        <>
          <p className="faint">
            Of this account's events, {from === EARLIEST ? `the first ${MOST_ROWS} stored ones` : query.data?.next ? `${MOST_ROWS} later ones` : "the latest ones"} were
            read{query.data?.next ? "; newer ones follow" : ""}. The newest {SHOWN} steps are shown.
          </p>
          <div className="buttons left">
            {query.data?.next && <Button className="plain" onPress={() => setFrom(query.data.next)}>Read newer events</Button>}
            {from !== EARLIEST && <Button className="plain" onPress={() => setFrom(EARLIEST)}>Read the oldest events</Button>}
          </div>
        </>
      )}
    </section>
  );
}
