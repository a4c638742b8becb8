// Items that could not be processed: how many for which reason, each of them, and retrying them.
import { useQuery } from "@tanstack/react-query";
import { DeadLetterService } from "../../../gen/ts/mailmesh/ingest/v1/dead_letter_service_pb.js";
import { deadLetters } from "../api.js";
import { Act, FilterField } from "../parts/controls.js";
import { AsCall } from "../parts/ascall.js";
import { List, usePages } from "../parts/list.js";
import { Account } from "../parts/account.js";
import { RetryAll } from "../parts/retry.js";
import { ACTIONS, Failed, Reason, Table, Time } from "../parts/show.js";
import { causeOf, remedyOf } from "../failure.js";
import { href, useRoute } from "../route.js";
import { useMayOperate } from "../session.js";
import { plain } from "../text.js";

export function DeadLettersPage() {
  const { query } = useRoute();
  const [tenantId, reason] = [query.get("tenant") ?? "", query.get("reason") ?? ""];
  const mayOperate = useMayOperate();
  const filter = { tenantId, reason };
  const pages = usePages(["dead-letters", tenantId, reason], async (pageToken) => {
    const page = await deadLetters.listDeadLetters({ pageToken, filter });
    return { items: page.deadLetters, next: page.nextPageToken };
  });
  return (
    <>
      <div className="title"><h1>Dead letters</h1>{mayOperate && <RetryAll button="Retry all that fit" filter={filter} />}</div>
      <div className="filters"><FilterField name="reason" label="Reason" hint="MESSAGE_UNREADABLE" /><FilterField name="tenant" label="Tenant" hint="its id" /><AsCall method={DeadLetterService.method.listDeadLetters} request={{ filter }} /></div>
      <Reasons tenantId={tenantId} chosen={reason} />
      <List
        label="Dead letters" pages={pages} columns={["Buried", "Reason", "Account", "Attempts", ACTIONS]}
        empty={tenantId || reason
          ? <p>No dead letter fits these filters. <a href={href(["dead-letters"])}>Show all</a></p>
          : <p>No dead letter: all notifications were processed.</p>}
        row={(letter) => ({
          key: letter.deadLetterId,
          cells: [
            <Time at={letter.buriedAt} />, <Reason reason={letter.reason} detail={letter.detail} />,
            <Account id={letter.item?.tenantId ?? ""} />, letter.attempts.length,
            mayOperate ? <Act name="Retry" call={() => deadLetters.retryDeadLetters({ deadLetterIds: [letter.deadLetterId] })} /> : "",
          ],
        })}
      />
    </>
  );
}

// The reasons of all dead letters, whatever part of the list is read.
function Reasons({ tenantId, chosen }: { tenantId: string; chosen: string }) {
  const mayOperate = useMayOperate();
  const query = useQuery({ queryKey: ["dead-letters", "reasons", tenantId], queryFn: () => deadLetters.countDeadLetters({ filter: { tenantId } }) });
  if (query.isError) return <Failed error={query.error} retry={() => void query.refetch()} />;
  if (!query.data || query.data.counts.length === 0) return null;
  const { counts, total } = query.data;
  const listed = counts.reduce((sum, one) => sum + one.deadLetters, 0n);
  return (
    <section aria-label="By reason">
      <div className="title">
        <h2>By reason</h2>
        <span className="faint">{total.toLocaleString("en")} in all{listed < total && `, ${(total - listed).toLocaleString("en")} of them for rarer reasons`}</span>
        {chosen && <a href={href(["dead-letters"], { tenant: tenantId })}>Show all reasons</a>}
        <AsCall method={DeadLetterService.method.countDeadLetters} request={{ filter: { tenantId } }} />
      </div>
      <Table label="By reason" columns={["Reason", "Dead letters", "Accounts", "Oldest", "Newest", ACTIONS]} rows={counts.map((one) => ({
        key: one.reason,
        cells: [
          <><a href={href(["dead-letters"], { reason: one.reason, tenant: tenantId })} aria-current={one.reason === chosen}>{plain(one.reason, 80)}</a> <span className="reason"><span className="faint">{remedyOf(one.reason) || causeOf(one.reason)}</span></span></>,
          one.deadLetters.toLocaleString("en"), one.tenants.toLocaleString("en"), <Time at={one.oldestBuriedAt} />, <Time at={one.newestBuriedAt} />,
          mayOperate ? <RetryAll button="Retry these" filter={{ tenantId, reason: one.reason }} /> : "",
        ],
      }))} />
    </section>
  );
}
