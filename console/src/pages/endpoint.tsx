// One endpoint: its attempts, and what repairs it.
import { useState } from "react";
import { useQuery } from "@tanstack/react-query";
import { type Attempt, AttemptOutcome, EndpointService, EndpointState, type Endpoint } from "../../../gen/ts/mailmesh/delivery/v1/endpoint_service_pb.js";
import { endpoints } from "../api.js";
import { ChangeAccess } from "../parts/access.js";
import { Act, Button, Confirm, FilterField, Once, Popup, useChange } from "../parts/controls.js";
import { AsCall } from "../parts/ascall.js";
import { List, usePages } from "../parts/list.js";
import { ACTIONS, Failed, Facts, Id, Outside, Reason, State, Time } from "../parts/show.js";
import { go, href, useRoute } from "../route.js";
import { enumWord, plain } from "../text.js";

export function EndpointPage({ id }: { id: string }) {
  const query = useQuery({
    queryKey: ["endpoint", id], queryFn: async () => (await endpoints.getEndpoint({ endpointId: id })).endpoint, refetchInterval: 5_000,
  });
  if (query.isError) return <><h1>Endpoint</h1><Failed error={query.error} retry={() => void query.refetch()} /></>;
  const endpoint = query.data;
  if (!endpoint) return <p role="status">Reading…</p>;
  return (
    <>
      <p><a href={href(["endpoints"])}>Endpoints</a></p>
      <div className="title"><h1><Outside text={endpoint.displayName || endpoint.url} /></h1><State word={enumWord(EndpointState, endpoint.state)} /></div>
      <Reason reason={endpoint.reason} detail="" />
      <Actions endpoint={endpoint} />
      <Facts rows={[
        ["Address", <Outside text={endpoint.url} most={2048} />], ["Endpoint", <Id value={id} />],
        ["Event types", endpoint.filter?.eventTypes.join(", ") || "all"], ["Waiting", String(endpoint.waiting)],
        ["Exhausted", String(endpoint.exhausted)], ["Last success", <Time at={endpoint.succeededAt} />],
        ...(endpoint.clientCertificateEndsAt ? [["Client certificate ends", <Time at={endpoint.clientCertificateEndsAt} />] as [string, React.ReactNode]] : []),
        ...(endpoint.tokenUrl ? [["Token endpoint", <Outside text={endpoint.tokenUrl} most={2048} />] as [string, React.ReactNode]] : []),
        ...(endpoint.failingSince ? [["Failing since", <Time at={endpoint.failingSince} />] as [string, React.ReactNode]] : []),
      ]} />
      <AsCall method={EndpointService.method.getEndpoint} request={{ endpointId: id }} />
      <Attempts id={id} url={endpoint.url} />
    </>
  );
}

function Actions({ endpoint }: { endpoint: Endpoint }) {
  const endpointId = endpoint.endpointId;
  const isRunning = endpoint.state === EndpointState.ACTIVE || endpoint.state === EndpointState.FAILING;
  return (
    <div className="buttons left">
      <Popup button="Test" title="Send a test event">{(close) => <Test id={endpointId} close={close} />}</Popup>
      {isRunning ? <Act name="Pause" call={() => endpoints.pauseEndpoint({ endpointId })} /> : <Act name="Resume" call={() => endpoints.resumeEndpoint({ endpointId })} />}
      <Popup button="Recover" title="Deliver what was given up">{(close) => <Recover id={endpointId} close={close} />}</Popup>
      <Popup button="Access" title="Access to the receiver">{(close) => <ChangeAccess endpoint={endpoint} close={close} />}</Popup>
      <Popup button="Rotate the key" title="Rotate the signing key">{(close) => <Rotate id={endpointId} close={close} />}</Popup>
      <Confirm button="Delete" title="Delete this endpoint?" call={() => endpoints.deleteEndpoint({ endpointId })} done={() => go(["endpoints"])}>
        <p>Deliveries that wait are dropped, and so is the record of its attempts. Events stay in the stream.</p>
      </Confirm>
    </div>
  );
}

function Test({ id, close }: { id: string; close: () => void }) {
  const test = useQuery({ queryKey: ["endpoint test", id], queryFn: () => endpoints.testEndpoint({ endpointId: id }), gcTime: 0, staleTime: Infinity });
  const attempt = test.data?.attempt;
  return (
    <>
      {test.isPending && <p role="status">Waiting for the receiver…</p>}
      {test.isError && <Failed error={test.error} />}
      {attempt && <p role="status"><State word={enumWord(AttemptOutcome, attempt.outcome)} /> {attempt.status || ""} <Reason reason={attempt.reason} detail={attempt.answer} /></p>}
      <div className="buttons"><Button className="plain" onPress={close} autoFocus>Close</Button></div>
    </>
  );
}

function Recover({ id, close }: { id: string; close: () => void }) {
  const [recovered, setRecovered] = useState<bigint>();
  const count = useQuery({ queryKey: ["recover", id], queryFn: () => endpoints.recoverEndpoint({ endpointId: id, dryRun: true }), gcTime: 0, staleTime: Infinity });
  const recover = useChange(() => endpoints.recoverEndpoint({ endpointId: id }), (answer) => setRecovered(answer.deliveries));
  return (
    <>
      {(count.isError || recover.isError) && <Failed error={count.error ?? recover.error} />}
      <p role="status">{recovered !== undefined ? `${recovered} deliveries are sent again.`
        : count.data ? `${count.data.deliveries} deliveries were given up.` : "Counting…"}</p>
      <div className="buttons">
        <Button className="plain" onPress={close}>Close</Button>
        {recovered === undefined && <Button className="primary" isDisabled={!count.data?.deliveries || recover.isPending} onPress={() => recover.mutate()}>Recover</Button>}
      </div>
    </>
  );
}

function Rotate({ id, close }: { id: string; close: () => void }) {
  const rotate = useChange(() => endpoints.rotateEndpointKey({ endpointId: id }));
  if (rotate.data) return <Once label="The new signing key" secret={rotate.data.signingKey} close={close} />;
  return (
    <>
      <p>Deliveries are signed by the old and the new key for a day. Give the receiver the new key within that time.</p>
      {rotate.isError && <Failed error={rotate.error} />}
      <div className="buttons"><Button className="plain" onPress={close}>Cancel</Button><Button className="danger" isDisabled={rotate.isPending} onPress={() => rotate.mutate()}>Rotate</Button></div>
    </>
  );
}

// The request of an attempt as it was sent, but for its signature, which only the time of sending can make.
function Exchange({ url, attempt, close }: { url: string; attempt: Attempt; close: () => void }) {
  const seconds = attempt.startedAt ? String(attempt.startedAt.seconds) : "";
  return (
    <>
      <h3>Request</h3>
      <Facts rows={[
        ["POST", <Outside text={url} most={2048} />], ["webhook-id", <Id value={attempt.eventId} />], ["webhook-timestamp", <code>{seconds}</code>],
        ["Body", <a href={href(["events", attempt.eventId])} onClick={close}>the event {attempt.eventType}</a>],
        ["Attempt", String(attempt.number)], ["Sent", <Time at={attempt.startedAt} />],
      ]} />
      <h3>Answer</h3>
      <Facts rows={[
        ["Outcome", <><State word={enumWord(AttemptOutcome, attempt.outcome)} /> {attempt.status > 0 && `status ${attempt.status}`} <Reason reason={attempt.reason} detail="" /></>],
        ["After", attempt.duration ? `${Math.round(Number(attempt.duration.seconds) * 1000 + attempt.duration.nanos / 1e6)} ms` : ""],
        ["Next attempt", attempt.nextAttemptAt ? <Time at={attempt.nextAttemptAt} /> : "none"],
      ]} />
      <pre tabIndex={0} aria-label="Body of the answer">{plain(attempt.answer, 2048) || "(no body)"}</pre>
      <div className="buttons"><Button className="plain" onPress={close} autoFocus>Close</Button></div>
    </>
  );
}

function Attempts({ id, url }: { id: string; url: string }) {
  const eventId = useRoute().query.get("event") ?? "";
  const pages = usePages(["attempts", id, eventId], async (pageToken) => {
    const page = await endpoints.listAttempts({ endpointId: id, pageToken, eventId });
    return { items: page.attempts, next: page.nextPageToken };
  });
  return (
    <section aria-label="Attempts">
      <h2>Attempts</h2>
      <div className="filters"><FilterField name="event" label="Event" hint="its id" /></div>
      <List
        label="Attempts" pages={pages} columns={["Time", "Event", "Outcome", "Answer", "Next", ACTIONS]}
        empty={eventId ? <p>No attempt for this event. <a href={href(["endpoints", id])}>Show all</a></p> : <p>No attempt yet. “Test” sends an event to the receiver now.</p>}
        row={(attempt) => ({
          key: attempt.attemptId,
          cells: [
            <Time at={attempt.startedAt} />, <a href={href(["events", attempt.eventId])}>{attempt.eventType}</a>,
            <><State word={enumWord(AttemptOutcome, attempt.outcome)} /> {attempt.status || ""} <Reason reason={attempt.reason} detail="" /></>,
            <Outside text={attempt.answer} />, attempt.nextAttemptAt ? <Time at={attempt.nextAttemptAt} /> : "",
            <>
              <Popup button="Show" title="Request and answer">{(close) => <Exchange url={url} attempt={attempt} close={close} />}</Popup>{" "}
              {attempt.outcome === AttemptOutcome.FAILED && <Act name="Retry" call={() => endpoints.retryAttempt({ endpointId: id, attemptId: attempt.attemptId })} />}
            </>,
          ],
        })}
      />
    </section>
  );
}
