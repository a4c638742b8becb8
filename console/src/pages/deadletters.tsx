// Items that could not be processed: why, and retrying them.
import { useState } from "react";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { useQuery } from "@tanstack/react-query";
import type { DeadLetter } from "../../../gen/ts/mailmesh/ingest/v1/dead_letter_service_pb.js";
import { deadLetters } from "../api.js";
import { Act, Button, FilterField, Popup, useChange } from "../parts/controls.js";
import { List, usePages } from "../parts/list.js";
import { Account } from "../parts/account.js";
import { ACTIONS, Failed, Reason, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { useMayOperate } from "../session.js";

export function DeadLettersPage() {
  const { query } = useRoute();
  const [tenantId, reason] = [query.get("tenant") ?? "", query.get("reason") ?? ""];
  const mayOperate = useMayOperate();
  const pages = usePages(["dead-letters", tenantId, reason], async (pageToken) => {
    const page = await deadLetters.listDeadLetters({ pageToken, filter: { tenantId, reason } });
    return { items: page.deadLetters, next: page.nextPageToken };
  });
  return (
    <>
      <div className="title"><h1>Dead letters</h1>{mayOperate && <RetryAll tenantId={tenantId} reason={reason} />}</div>
      <div className="filters"><FilterField name="reason" label="Reason" hint="MESSAGE_UNREADABLE" /><FilterField name="tenant" label="Tenant" hint="its id" /></div>
      <Reasons letters={pages.items} tenant={tenantId} />
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

function Reasons({ letters, tenant }: { letters: DeadLetter[]; tenant: string }) {
  const counts = new Map<string, number>();
  for (const { reason } of letters) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  if (counts.size < 2) return null;
  return (
    <ul className="chips" aria-label="Reasons">
      {[...counts].map(([reason, count]) => <li key={reason}><a href={href(["dead-letters"], { reason, tenant })}>{reason} ({count})</a></li>)}
    </ul>
  );
}

function RetryAll({ tenantId, reason }: { tenantId: string; reason: string }) {
  return (
    <Popup button="Retry all that fit" title="Retry dead letters">
      {(close) => <RetryForm filter={{ tenantId, reason }} close={close} />}
    </Popup>
  );
}

// Counts first: a retry of very many is a decision.
function RetryForm({ filter, close }: { filter: { tenantId: string; reason: string }; close: () => void }) {
  const [retried, setRetried] = useState<bigint>();
  // What is buried after the count is not retried unseen.
  const [opened] = useState(() => timestampFromDate(new Date()));
  const chosen = { ...filter, buriedBefore: opened };
  const count = useQuery({
    queryKey: ["count", filter.tenantId, filter.reason], queryFn: () => deadLetters.retryDeadLetters({ filter: chosen, dryRun: true }), gcTime: 0, staleTime: Infinity,
  });
  const retry = useChange(() => deadLetters.retryDeadLetters({ filter: chosen }), (answer) => setRetried(answer.retried));
  return (
    <>
      {count.isError && <Failed error={count.error} />}
      {retried === undefined
        ? <p role="status">{count.data ? `${count.data.matched} dead letters fit the filters.` : "Counting…"}</p>
        : <p role="status">{String(retried)} dead letters are retried.</p>}
      {retry.isError && <Failed error={retry.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Close</Button>
        {retried === undefined && <Button className="primary" isDisabled={!count.data || retry.isPending} onPress={() => retry.mutate()}>Retry</Button>}
      </div>
    </>
  );
}
