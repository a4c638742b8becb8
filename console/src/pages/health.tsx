// The pipeline: how much waits, how far behind each mailbox is, and the workers.
import { useQuery } from "@tanstack/react-query";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { SubscriptionResource } from "../../../gen/ts/mailmesh/ingest/v1/subscription_service_pb.js";
import { type GetPipelineStatusResponse, ProcessorService } from "../../../gen/ts/mailmesh/processor/v1/processor_service_pb.js";
import { pipeline, subscriptions, tenants } from "../api.js";
import { Account } from "../parts/account.js";
import { AsCall } from "../parts/ascall.js";
import { Chart, noteSample } from "../parts/chart.js";
import { Empty, Failed, Facts, Id, State, Table, Time } from "../parts/show.js";
import { href } from "../route.js";
import { enumWord, word } from "../text.js";

const MOST = 1000;

// Reads the state, and keeps its figures for the graphs.
async function measured(): Promise<GetPipelineStatusResponse> {
  const status = await pipeline.getPipelineStatus({ maxTenants: 50 });
  const at = status.measuredAt ? timestampMs(status.measuredAt) : Date.now();
  const lags = status.tenants.filter((one) => !one.isWaitingForPerson).map((one) => one.lagSeconds);
  noteSample({ at, values: {
    waiting: Number(status.inboxPending), oldest: status.inboxOldestSeconds, lag: Math.max(0, ...lags), events: Number(status.eventsLastHour),
    unenriched: Number(status.unenrichedPending), dead: Number(status.deadLetters),
  } });
  return status;
}

export function HealthPage() {
  const query = useQuery({ queryKey: ["health"], queryFn: measured, refetchInterval: 5_000 });
  if (query.isError) return <><h1>Health</h1><Failed error={query.error} retry={() => void query.refetch()} /></>;
  const status = query.data;
  if (!status) return <p role="status">Reading…</p>;
  const counted = (counts: Record<string, bigint>) => Object.entries(counts).filter(([, count]) => count > 0n).map(([name, count]) => `${word(name)}: ${count}`).join(", ") || "none";
  return (
    <>
      <div className="title"><h1>Health</h1><span className="faint">measured <Time at={status.measuredAt} /></span></div>
      {status.unavailable.length > 0 && <p role="alert" className="failed">These parts did not answer, and their figures are missing: {status.unavailable.join(", ")}</p>}
      <ul className="figures" aria-label="Figures">
        <Figure name="notifications wait" value={status.inboxPending} isBad={status.inboxOldestSeconds > 60} />
        <Figure name="seconds: the oldest of them" value={Math.round(status.inboxOldestSeconds)} isBad={status.inboxOldestSeconds > 60} />
        <Figure name="dead letters" value={status.deadLetters} isBad={status.deadLetters > 0n} link={href(["dead-letters"])} />
        <Figure name="events in the last hour" value={status.eventsLastHour} link={href(["events"])} />
        <Figure name="refresh failures in the last hour" value={status.refreshFailuresLastHour} isBad={status.refreshFailuresLastHour > 0n} />
        <Figure name="refused notifications in the last hour" value={status.refusedLastHour} />
      </ul>
      <section aria-label="Graphs" className="charts">
        <Chart name="waiting" label="Notifications that wait" />
        <Chart name="oldest" label="Age of the oldest" unit=" s" />
        <Chart name="lag" label="Lag of the slowest mailbox" unit=" s" />
        <Chart name="events" label="Events in the last hour" />
        <Chart name="unenriched" label="Mails without content" />
        <Chart name="dead" label="Dead letters" />
      </section>
      <p className="faint">The graphs begin when this page is opened. <code>mailmesh up --watch-ui</code> keeps them, and shows all dashboards and alerts.</p>
      <AsCall method={ProcessorService.method.getPipelineStatus} request={{ maxTenants: 50 }} />
      <Facts rows={[["Accounts", counted(status.tenantsByStatus)], ["Subscriptions", counted(status.subscriptionsByState)], ["Mails without content yet", String(status.unenrichedPending)]]} />
      <Due />
      <h2>Mailboxes, slowest first</h2>
      {status.tenants.length === 0 ? <Empty><p>No mailbox yet. <a href={href(["accounts"])}>Connect an account</a></p></Empty> : (
        <Table label="Mailboxes" columns={["Mailbox", "Behind", "Waiting", "Last event", "Last notification", "Last comparison"]} rows={status.tenants.map((tenant) => ({
          key: tenant.tenantId,
          cells: [
            <Account id={tenant.tenantId} />,
            tenant.isWaitingForPerson ? <State word="waits for a person" /> : `${tenant.lagSeconds.toFixed(1)} s`, String(tenant.inboxPending),
            <Time at={tenant.lastEventAt} />, <Time at={tenant.lastNotificationAt} />, <Time at={tenant.lastReconciledAt} />,
          ],
        }))} />
      )}
      <h2>Workers</h2>
      {status.workers.length === 0 ? <Empty><p>No worker is running: mail is not fetched. Start <code>python -m services.processor work</code>.</p></Empty> : (
        <Table label="Workers" columns={["Worker", "Seen", "Mailboxes held", "Started"]} rows={status.workers.map((one) => ({
          key: one.workerId, cells: [<Id value={one.workerId} />, <Time at={one.seenAt} />, one.tenantsHeld, <Time at={one.startedAt} />],
        }))} />
      )}
    </>
  );
}

// Subscriptions by health, and the refreshes of tokens that are due.
function Due() {
  const health = useQuery({ queryKey: ["subscription health"], queryFn: () => subscriptions.getSubscriptionHealth({}), refetchInterval: 15_000 });
  const accounts = useQuery({ queryKey: ["refreshes"], queryFn: () => tenants.listTenants({ pageSize: MOST }), refetchInterval: 15_000 });
  const times = (accounts.data?.tenants ?? []).flatMap((one) => (one.nextRefreshAt ? [one.nextRefreshAt] : []));
  const due = times.filter((at) => timestampMs(at) <= Date.now()).length;
  const next = times.toSorted((one, other) => timestampMs(one) - timestampMs(other)).find((at) => timestampMs(at) > Date.now());
  return (
    <section aria-label="Renewals and refreshes">
      <h2>Renewals and refreshes</h2>
      {health.isError && <Failed error={health.error} retry={() => void health.refetch()} />}
      {accounts.isError && <Failed error={accounts.error} retry={() => void accounts.refetch()} />}
      {health.data?.counts.length === 0 && <Empty><p>No subscription yet. The page of an account makes one.</p></Empty>}
      {health.data && health.data.counts.length > 0 && (
        <Table label="Subscriptions" columns={["Provider", "Of", "All", "Active", "To be renewed", "Expired", "Silent", "Failing", "Polled"]}
          rows={health.data.counts.map((one) => ({
            key: `${one.provider} ${one.resource}`,
            cells: [
              one.provider, enumWord(SubscriptionResource, one.resource), String(one.total), String(one.active), String(one.expiring),
              <Bad count={one.expired} />, <Bad count={one.silent} />, <Bad count={one.failing} />, String(one.polled),
            ],
          }))} />
      )}
      <Facts rows={[
        ["Refreshes of tokens that are due", due > 0 ? <strong>{due}</strong> : "none"], ["Next refresh", next ? <Time at={next} /> : "none"],
        ...(accounts.data?.nextPageToken ? [["Read", `the first ${MOST.toLocaleString("en")} accounts`] as [string, string]] : []),
      ]} />
    </section>
  );
}

function Bad({ count }: { count: bigint }) {
  return count > 0n ? <strong className="bad">{String(count)}</strong> : "0";
}

function Figure({ name, value, isBad = false, link }: { name: string; value: bigint | number; isBad?: boolean; link?: string }) {
  const shown = <><strong className={isBad ? "bad" : ""}>{value.toLocaleString("en")}</strong> <span>{name}</span></>;
  return <li>{link ? <a href={link}>{shown}</a> : shown}</li>;
}
