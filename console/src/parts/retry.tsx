// Retrying dead letters: their count first, then a few at a time with the progress, until a person cancels the rest.
import { useEffect, useRef, useState } from "react";
import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { useQuery } from "@tanstack/react-query";
import { deadLetters } from "../api.js";
import { Button, Popup, useChange } from "./controls.js";
import { Failed } from "./show.js";

export interface Fitting {
  tenantId: string;
  reason: string;
}

export function RetryAll({ button, filter }: { button: string; filter: Fitting }) {
  return (
    <Popup button={button} title="Retry dead letters">
      {(close) => <RetryForm filter={filter} close={close} />}
    </Popup>
  );
}

const AT_ONCE = 25;

interface Chosen extends Fitting {
  buriedBefore: Timestamp;
}

// Counts first, because a retry of very many is a decision, then retries a few at a time until a person cancels.
function RetryForm({ filter, close }: { filter: Fitting; close: () => void }) {
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
