// Items that could not be processed: why, and retrying them.
import { useEffect, useRef, useState } from "react";
import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { useQuery } from "@tanstack/react-query";
import { type DeadLetter, DeadLetterService } from "../../../gen/ts/mailmesh/ingest/v1/dead_letter_service_pb.js";
import { deadLetters } from "../api.js";
import { Act, Button, FilterField, Popup, useChange } from "../parts/controls.js";
import { AsCall } from "../parts/ascall.js";
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
      <div className="filters"><FilterField name="reason" label="Reason" hint="MESSAGE_UNREADABLE" /><FilterField name="tenant" label="Tenant" hint="its id" /><AsCall method={DeadLetterService.method.listDeadLetters} request={{ filter: { tenantId, reason } }} /></div>
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

const AT_ONCE = 25;

interface Chosen {
  tenantId: string;
  reason: string;
  buriedBefore: Timestamp;
}

// Counts first, because a retry of very many is a decision, then retries a few at a time until a person cancels.
function RetryForm({ filter, close }: { filter: { tenantId: string; reason: string }; close: () => void }) {
  // Items that are buried after the count are not retried unseen.
  const [chosen] = useState((): Chosen => ({ ...filter, buriedBefore: timestampFromDate(new Date()) }));
  const count = useQuery({
    queryKey: ["count", chosen.tenantId, chosen.reason], queryFn: () => deadLetters.retryDeadLetters({ filter: chosen, dryRun: true }), gcTime: 0, staleTime: Infinity,
  });
  const matched = Number(count.data?.matched ?? 0);
  const [retried, setRetried] = useState(0);
  const stop = useRef(new AbortController());
  useEffect(() => () => stop.current.abort(), []);
  const retry = useChange(() => retryAll(chosen, matched, stop.current.signal, setRetried));
  return (
    <>
      {count.isError && <Failed error={count.error} />}
      {retry.isIdle && <p role="status">{count.data ? `${matched} dead letters fit the filters.` : "Counting…"}</p>}
      {retry.isPending && <progress aria-label="Progress of the retry" max={matched} value={retried} />}
      {!retry.isIdle && (
        <p role="status">
          {retry.isPending ? `${retried} of ${matched} dead letters are retried so far.`
            : `${retried} dead letters are retried${stop.current.signal.aborted ? "; the others stay" : ""}.`}
        </p>
      )}
      {retry.isError && <Failed error={retry.error} />}
      <div className="buttons">
        {retry.isPending
          ? <Button className="plain" onPress={() => stop.current.abort()}>Cancel the rest</Button>
          : <Button className="plain" onPress={close}>Close</Button>}
        {retry.isIdle && <Button className="primary" isDisabled={matched === 0} onPress={() => retry.mutate()}>Retry</Button>}
      </div>
    </>
  );
}

// Each round reads the first dead letters that fit: those that were retried are not listed any more. It retries no more than were
// counted: one that fails once more is listed again, and would be retried for ever.
async function retryAll(filter: Chosen, matched: number, signal: AbortSignal, progress: (retried: number) => void): Promise<void> {
  let retried = 0;
  let token = "";
  while (!signal.aborted && retried < matched) {
    const page = await deadLetters.listDeadLetters({ filter, pageSize: AT_ONCE, pageToken: token });
    if (page.deadLetters.length === 0 || signal.aborted) return;
    const answer = await deadLetters.retryDeadLetters({ deadLetterIds: page.deadLetters.map((one) => one.deadLetterId) });
    retried += Number(answer.retried);
    progress(retried);
    // A page of which none could be retried would come back for ever.
    token = answer.retried === 0n ? page.nextPageToken : "";
    if (answer.retried === 0n && token === "") return;
  }
}
