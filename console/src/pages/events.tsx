// The stream of events, live, newest first.
import { useCallback, useEffect, useRef, useState } from "react";
import { EventView } from "../../../gen/ts/mailmesh/processor/v1/event_pb.js";
import { EventService } from "../../../gen/ts/mailmesh/processor/v1/event_service_pb.js";
import { streams } from "../api.js";
import { rowOf, type Row } from "../eventrow.js";
import { failureOf } from "../failure.js";
import { Button, FilterChoice, FilterField } from "../parts/controls.js";
import { NamedAccount, PROVIDERS, useNames } from "../parts/account.js";
import { AsCall } from "../parts/ascall.js";
import { Empty, Failed, Outside, Time } from "../parts/show.js";
import { WindowTable } from "../parts/window.js";
import { href, useRoute } from "../route.js";

const KEPT = 10_000;
const TYPES: [string, string][] = [["mail.*", "mail"], ["tenant.*", "accounts"], ["send.*", "sends"], ["calendar.*", "calendars"], ["conversation.*", "conversations"], ["workflow.*", "workflows"], ["endpoint.*", "endpoints"]];

function filterOf(tenant: string, provider: string, type: string) {
  return { tenantIds: tenant ? [tenant] : [], providers: provider ? [provider] : [], eventTypes: type ? [type] : [] };
}

interface Tail {
  rows: Row[];
  isLive: boolean;
  error: unknown;
}

// Reads the stream while the page shows it. It resumes behind the last event after a fault, and waits longer each time.
function useTail(tenant: string, provider: string, type: string, from: string, isPaused: boolean): Tail {
  const [tail, setTail] = useState<Tail>({ rows: [], isLive: false, error: undefined });
  const cursor = useRef("");
  const filter = JSON.stringify([tenant, provider, type, from]);
  useEffect(() => {
    cursor.current = from === "earliest" ? "earliest" : "latest";
    setTail({ rows: [], isLive: false, error: undefined });
  }, [filter, from]);
  useEffect(() => {
    if (isPaused) return undefined;
    const stop = new AbortController();
    let waiting: Row[] = [];
    // A burst is drawn a few times a second, whatever its rate.
    const draw = () => {
      if (waiting.length === 0) return;
      const newest = waiting.reverse();
      waiting = [];
      setTail((last) => ({ ...last, rows: [...newest, ...last.rows].slice(0, KEPT) }));
    };
    const drawing = setInterval(draw, 200);
    const read = async () => {
      const request = {
        cursor: cursor.current, view: EventView.BASIC, heartbeatSeconds: 5,
        filter: filterOf(tenant, provider, type),
      };
      let isNoted = false;
      for await (const { step } of streams.streamEvents(request, { signal: stop.signal })) {
        if (!isNoted) setTail((last) => ({ ...last, isLive: true, error: undefined }));
        isNoted = true;
        if (step.case === "heartbeat") cursor.current = step.value.position;
        if (step.case !== "event") continue;
        cursor.current = step.value.position;
        const row = rowOf(step.value);
        if (row) waiting.push(row);
        if (waiting.length > KEPT) waiting.shift();
      }
    };
    const follow = async () => {
      for (let pause = 500; !stop.signal.aborted; pause = Math.min(pause * 2, 15_000)) {
        const error = await read().then(() => undefined, (failure: unknown) => failure);
        if (stop.signal.aborted) return;
        setTail((last) => ({ ...last, isLive: false, error }));
        if (error !== undefined && failureOf(error).isSignedOut) return;
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
    };
    void follow();
    return () => {
      stop.abort();
      clearInterval(drawing);
      draw(); // The cursor is behind these rows: a pause would lose them.
    };
  }, [filter, isPaused]);
  return tail;
}

const COLUMNS = ["Received", "Type", "Subject or detail", "Account"];
const positionOf = (row: Row) => row.position;

export function EventsPage() {
  const { query } = useRoute();
  const [tenant, provider, type, from] = ["tenant", "provider", "type", "from"].map((name) => query.get(name) ?? "");
  const [isPaused, setPaused] = useState(false);
  const tail = useTail(tenant ?? "", provider ?? "", type ?? "", from ?? "", isPaused);
  const all = Object.fromEntries(query);
  const names = useNames().data;
  const cells = useCallback(({ head, about }: Row) => [
    <Time at={head.receivedAt} />, <a href={href(["events", head.eventId])}>{head.eventType}</a>, <Outside text={about} />,
    <NamedAccount id={head.tenantId} name={names?.get(head.tenantId)} />,
  ], [names]);
  return (
    <>
      <div className="title">
        <h1>Events</h1>
        <span role="status" className={tail.isLive && !isPaused ? "state good" : "state calm"}>{isPaused ? "paused" : tail.isLive ? "live" : "connecting"}</span>
        <Button className="plain" onPress={() => setPaused(!isPaused)}>{isPaused ? "Continue" : "Pause"}</Button>
      </div>
      <div className="filters">
        <FilterChoice name="type" label="Kind" options={TYPES} />
        <FilterChoice name="provider" label="Provider" options={PROVIDERS} />
        <FilterField name="tenant" label="Tenant" hint="its id" />
        <FilterChoice name="from" label="Begin" usual="with the next event" options={[["earliest", "with the oldest stored event"]]} />
        <AsCall method={EventService.method.listEvents} request={{ cursor: from || "latest", filter: filterOf(tenant ?? "", provider ?? "", type ?? "") }} />
      </div>
      {tail.error !== undefined && <Failed error={tail.error} />}
      {tail.rows.length === 0
        ? <Empty><p>No event yet. Send a mail to a connected account, or <a href={href(["events"], { ...all, from: "earliest" })}>begin with the oldest stored event</a>.</p></Empty>
        : <WindowTable label="Events" columns={COLUMNS} items={tail.rows} keyOf={positionOf} cells={cells} />}
      {tail.rows.length >= KEPT && <p className="faint">The latest {KEPT.toLocaleString("en")} events are shown.</p>}
    </>
  );
}
