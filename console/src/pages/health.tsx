// The pipeline: how much waits, how far behind each mailbox is, and the workers.
import { useQuery } from "@tanstack/react-query";
import { pipeline } from "../api.js";
import { Account } from "../parts/account.js";
import { Empty, Failed, Facts, Id, State, Table, Time } from "../parts/show.js";
import { href } from "../route.js";
import { word } from "../text.js";

export function HealthPage() {
  const query = useQuery({ queryKey: ["health"], queryFn: () => pipeline.getPipelineStatus({ maxTenants: 50 }), refetchInterval: 5_000 });
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
      <Facts rows={[["Accounts", counted(status.tenantsByStatus)], ["Subscriptions", counted(status.subscriptionsByState)], ["Mails without content yet", String(status.unenrichedPending)]]} />
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

function Figure({ name, value, isBad = false, link }: { name: string; value: bigint | number; isBad?: boolean; link?: string }) {
  const shown = <><strong className={isBad ? "bad" : ""}>{value.toLocaleString("en")}</strong> <span>{name}</span></>;
  return <li>{link ? <a href={link}>{shown}</a> : shown}</li>;
}
