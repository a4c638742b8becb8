// The history of one account: its events, its dead letters and the entries of the audit log, newest first.
import { useState, type ReactNode } from "react";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Button } from "react-aria-components";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { audit, deadLetters } from "../api.js";
import { href } from "../route.js";
import { useMayAdminister } from "../session.js";
import { MOST_ROWS, partOf, placeBefore, type Place } from "../stream.js";
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

// A part of an account's history: its events from one place on, the oldest first, and where it goes on.
async function eventMoments(tenantId: string, place: Place, signal: AbortSignal): Promise<{ moments: Moment[]; earlier: Place | null; rest: Place | null }> {
  const { rows, earlier, rest } = await partOf(tenantId, place, (read) => read.length >= SHOWN, signal);
  const moments = rows.map(({ position, head, about }) => ({
    key: position, at: head.receivedAt, correlationId: head.correlationId,
    part: <a href={href(["events", head.eventId])}>{head.eventType}</a>, about: <Outside text={about} />,
  }));
  return { moments, earlier, rest };
}

export function Timeline({ tenantId }: { tenantId: string }) {
  const mayAdminister = useMayAdminister();
  const [shown, setShown] = useState(SHOWN);
  const [newest] = useState(() => placeBefore(Date.now()));
  const told = useInfiniteQuery({
    queryKey: ["timeline", tenantId, newest], initialPageParam: newest,
    queryFn: ({ pageParam, signal }) => eventMoments(tenantId, pageParam, signal), getNextPageParam: (last) => last.rest ?? last.earlier,
  });
  const beside = useQuery({
    queryKey: ["timeline beside", tenantId, mayAdminister],
    queryFn: async () => (await Promise.all([deadMoments(tenantId), mayAdminister ? auditMoments(tenantId) : []])).flat(),
  });
  const failed = told.isError ? told : beside.isError ? beside : undefined;
  const moments = [...(told.data?.pages.flatMap((page) => page.moments) ?? []), ...(beside.data ?? [])].sort(byTime).reverse();
  const more = () => {
    setShown(shown + SHOWN);
    if (moments.length < shown + SHOWN && told.hasNextPage) void told.fetchNextPage();
  };
  return (
    <section aria-label="Timeline">
      <h2>Timeline</h2>
      {failed && <Failed error={failed.error} retry={() => void failed.refetch()} />}
      {(told.isPending || beside.isPending) && <p role="status">Reading…</p>}
      {told.isSuccess && beside.isSuccess && moments.length === 0 && <Empty><p>No event of this account is stored yet. A mail to it makes the first one.</p></Empty>}
      {moments.length > 0 && (
        <Table label="Timeline" columns={["Time", "Part", "What", "Change"]} rows={moments.slice(0, shown).map((one) => ({
          key: one.key,
          cells: [
            <Time at={one.at} />, one.part, one.about,
            one.correlationId ? <a href={href(["change", one.correlationId], { tenant: tenantId })}>Follow<span className="unseen"> the change {one.correlationId}</span></a> : "",
          ],
        }))} />
      )}
      {told.data?.pages.some((page) => page.rest) && <p className="faint">Of a time with more than {MOST_ROWS} events, the first ones were read first.</p>}
      {(moments.length > shown || told.hasNextPage) && (
        <div className="buttons left"><Button className="plain" isDisabled={told.isFetchingNextPage} onPress={more}>Show older steps</Button></div>
      )}
    </section>
  );
}
