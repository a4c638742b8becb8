// The calendars of the accounts: which are followed and how well, and today's events with their online meetings.
import { useState } from "react";
import { useQuery } from "@tanstack/react-query";
import { Button } from "react-aria-components";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Calendar, CalendarState } from "../../../gen/ts/mailmesh/calendar/v1/calendar_pb.js";
import { type CalendarEvent, OnlineMeetingState } from "../../../gen/ts/mailmesh/calendar/v1/calendar_event_pb.js";
import { CalendarService } from "../../../gen/ts/mailmesh/processor/v1/calendar_service_pb.js";
import { type Subscription, SubscriptionState } from "../../../gen/ts/mailmesh/ingest/v1/subscription_service_pb.js";
import { calendars, subscriptions, tenants } from "../api.js";
import { Act, Confirm, FilterChoice, FilterField } from "../parts/controls.js";
import { Account } from "../parts/account.js";
import { AsCall } from "../parts/ascall.js";
import { usePages } from "../parts/list.js";
import { ACTIONS, Empty, Failed, Outside, Reason, State, Table, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { useMayOperate } from "../session.js";
import { absolute, enumWord, plain } from "../text.js";

const ABILITY = "calendar.read";
const MOST = 1000;
const READ = 200;
// Each account that is shown is asked every half minute.
const SHOWN = 20;
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const STATES = Object.values(CalendarState).filter((value): value is CalendarState => typeof value === "number" && value > 0);

export function CalendarsPage() {
  const { query } = useRoute();
  const [state, tenantId] = [Number(query.get("state") ?? 0), query.get("tenant") ?? ""];
  return (
    <>
      <h1>Calendars</h1>
      <div className="filters">
        <FilterChoice name="state" label="State" options={STATES.map((value) => [String(value), enumWord(CalendarState, value)])} />
        <FilterField name="tenant" label="Tenant" hint="its id" />
      </div>
      {tenantId ? <Chosen key={tenantId} tenantId={tenantId} state={state} /> : <Accounts state={state} />}
    </>
  );
}

function Chosen({ tenantId, state }: { tenantId: string; state: number }) {
  const isId = ID.test(tenantId);
  const query = useQuery({ queryKey: ["tenant", tenantId], queryFn: async () => (await tenants.getTenant({ tenantId })).tenant, enabled: isId });
  if (query.isError) return <Failed error={query.error} retry={() => void query.refetch()} />;
  if (isId && query.isPending) return <p role="status">Reading…</p>;
  if (query.data?.grantedAbilities.includes(ABILITY)) return <Calendars tenantId={tenantId} name={query.data.address} state={state} />;
  return <Empty><p>{isId ? "This account may not read calendars." : "No account has this id."} <a href={href(["calendars"])}>Show all</a></p></Empty>;
}

// The accounts that may read calendars, twenty at a time.
function Accounts({ state }: { state: number }) {
  const [from, setFrom] = useState(0);
  const pages = usePages(["calendar tenants"], async (pageToken) => {
    const page = await tenants.listTenants({ pageSize: READ, pageToken });
    return { items: page.tenants, next: page.nextPageToken };
  });
  const able = pages.items.filter((one) => one.grantedAbilities.includes(ABILITY));
  const shown = able.slice(from, from + SHOWN);
  const hasNext = able.length > from + SHOWN;
  if (pages.isError) return <Failed error={pages.error} retry={() => void pages.refetch()} />;
  if (pages.isPending) return <p role="status">Reading…</p>;
  return (
    <>
      {able.length === 0 && !pages.hasNextPage && (
        <Empty><p>No account may read calendars. <a href={href(["accounts"])}>Connect one</a> with the ability {ABILITY}.</p></Empty>
      )}
      {shown.map((one) => <Calendars key={one.tenantId} tenantId={one.tenantId} name={one.address} state={state} />)}
      {(from > 0 || hasNext || pages.hasNextPage) && (
        <>
          <p className="faint">
            {shown.length > 0 && `Accounts ${from + 1} to ${from + shown.length} of ${able.length} that may read calendars are shown. `}
            {pages.hasNextPage && `The first ${pages.items.length.toLocaleString("en")} connected accounts were read. `}
            Name a tenant to show its calendars alone.
          </p>
          <div className="buttons left">
            {from > 0 && <Button className="plain" onPress={() => setFrom(from - SHOWN)}>Previous accounts</Button>}
            {hasNext && <Button className="plain" onPress={() => setFrom(from + SHOWN)}>Next accounts</Button>}
            {!hasNext && pages.hasNextPage && (
              <Button className="plain" isDisabled={pages.isFetchingNextPage} onPress={() => void pages.fetchNextPage()}>Read more accounts</Button>
            )}
          </div>
        </>
      )}
    </>
  );
}

function Calendars({ tenantId, name, state }: { tenantId: string; name: string; state: number }) {
  const query = useQuery({ queryKey: ["calendars", tenantId], queryFn: () => calendars.listCalendars({ tenantId, pageSize: MOST }), refetchInterval: 30_000 });
  const pushed = useQuery({
    queryKey: ["calendar subscriptions", tenantId], queryFn: () => subscriptions.listSubscriptions({ tenantId, pageSize: MOST }), refetchInterval: 30_000,
  });
  const pushes = new Map((pushed.data?.subscriptions ?? []).map((one) => [one.calendarId, one]));
  const listed = (query.data?.calendars ?? []).filter((one) => !state || one.state === state);
  return (
    <section aria-label={`Calendars of ${plain(name || tenantId, 80)}`}>
      <div className="title"><h2><Account id={tenantId} /></h2><AsCall method={CalendarService.method.listCalendars} request={{ tenantId }} /><span className="faint">listed <Time at={query.data?.readAt} /></span></div>
      {query.isError && <Failed error={query.error} retry={() => void query.refetch()} />}
      {pushed.isError && <Failed error={pushed.error} retry={() => void pushed.refetch()} />}
      {query.isPending && <p role="status">Reading…</p>}
      {query.isSuccess && listed.length === 0 && <Empty><p>No calendar fits. <a href={href(["calendars"])}>Show all</a></p></Empty>}
      {listed.length > 0 && (
        <Table label="Calendars" columns={["Calendar", "Owner", "State", "Pushes", "Last read", "Unreadable events", ACTIONS]} rows={listed.map((one) => ({
          key: one.calendarId,
          cells: [
            <Outside text={one.name} />, <Outside text={one.ownerAddress || one.ownerName} />,
            <><State word={enumWord(CalendarState, one.state)} /> <Reason reason={one.reason} detail={one.detail} /></>,
            <Pushes subscription={pushes.get(one.calendarId)} calendar={one} />, <Time at={one.syncedAt} />, one.unreadableEvents || "", <Following calendar={one} />,
          ],
        }))} />
      )}
      {listed.filter((one) => one.state === CalendarState.FOLLOWED).map((one) => <Today key={one.calendarId} calendar={one} />)}
    </section>
  );
}

// How the changes of a followed calendar arrive, and why by polling.
function Arrival({ calendar }: { calendar: Calendar }) {
  if (calendar.state !== CalendarState.FOLLOWED && calendar.state !== CalendarState.READING) return null;
  return calendar.isPushed ? <>pushed</> : <>polled <Reason reason={calendar.pollReason} detail={calendar.pollDetail} /></>;
}

// The health of the subscription by which the provider reports a calendar's changes.
function Pushes({ subscription, calendar }: { subscription: Subscription | undefined; calendar: Calendar }) {
  if (!subscription) return <Arrival calendar={calendar} />;
  return (
    <>
      <State word={enumWord(SubscriptionState, subscription.state)} /> <Reason reason={subscription.failureReason} detail={subscription.failureDetail} />{" "}
      {subscription.expiresAt && <span className="faint">until {absolute(timestampDate(subscription.expiresAt))}</span>}
    </>
  );
}

function Following({ calendar }: { calendar: Calendar }) {
  const calendarId = calendar.calendarId;
  if (!useMayOperate()) return null;
  if (calendar.state === CalendarState.AVAILABLE) return <Act name="Follow" call={() => calendars.followCalendar({ calendarId })} />;
  return (
    <Confirm button="Unfollow" title="Unfollow this calendar?" call={() => calendars.unfollowCalendar({ calendarId })}>
      <p>Its changes are not announced any more, and its stored events are deleted. Following it again reads it from the provider.</p>
    </Confirm>
  );
}

function today(): { windowStart: Date; windowEnd: Date } {
  const windowStart = new Date();
  windowStart.setHours(0, 0, 0, 0);
  const windowEnd = new Date(windowStart);
  windowEnd.setDate(windowEnd.getDate() + 1);
  return { windowStart, windowEnd };
}

function Today({ calendar }: { calendar: Calendar }) {
  const { windowStart, windowEnd } = today();
  const query = useQuery({
    queryKey: ["today", calendar.calendarId, windowStart.getTime()],
    queryFn: () => calendars.listCalendarEvents({
      calendarId: calendar.calendarId, windowStart: timestampFromDate(windowStart), windowEnd: timestampFromDate(windowEnd), isExpanded: true, pageSize: 200,
    }),
    refetchInterval: 30_000,
  });
  return (
    <section aria-label={`Today in ${plain(`${calendar.name} of ${calendar.ownerAddress || calendar.calendarId}`, 160)}`}>
      <h2>Today in <Outside text={calendar.name} most={80} /></h2>
      {query.isError && <Failed error={query.error} retry={() => void query.refetch()} />}
      {query.isPending && <p role="status">Reading…</p>}
      {query.data?.events.length === 0 && <Empty><p>No event today.</p></Empty>}
      {query.data && query.data.events.length > 0 && (
        <Table label={`Today in ${plain(calendar.name, 80)}`} columns={["Begins", "Subject", "Online meeting"]} rows={query.data.events.map((event) => ({
          key: `${event.calendarEventId} ${event.start?.local ?? ""} ${event.start?.date ?? ""}`,
          cells: [event.isAllDay ? "all day" : <Time at={event.start?.instant} />, <Outside text={event.subject || "(no subject)"} />, <Meeting event={event} />],
        }))} />
      )}
    </section>
  );
}

// An address from a calendar is one of strangers: only https is a link.
function Meeting({ event }: { event: CalendarEvent }) {
  const meeting = event.onlineMeeting;
  if (!meeting) return null;
  const isLink = meeting.joinUrl.startsWith("https://");
  return (
    <>
      {enumWord(OnlineMeetingState, meeting.state)} <Outside text={meeting.provider} most={60} />{" "}
      {isLink ? <a href={meeting.joinUrl} target="_blank" rel="noopener noreferrer">Join<span className="unseen"> {plain(event.subject, 80)}</span></a> : <Outside text={meeting.joinUrl} />}
    </>
  );
}
