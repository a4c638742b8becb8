// Receivers of webhooks.
import { useState } from "react";
import { EndpointService, EndpointState } from "../../../gen/ts/mailmesh/delivery/v1/endpoint_service_pb.js";
import { NO_ACCESS, accessOf } from "../access.js";
import { endpoints } from "../api.js";
import { AccessFields, Fault } from "../parts/access.js";
import { Button, Field, FilterField, Once, Popup, useChange } from "../parts/controls.js";
import { AsCall } from "../parts/ascall.js";
import { List, usePages } from "../parts/list.js";
import { Failed, Outside, Reason, State, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { enumWord } from "../text.js";

export function EndpointsPage() {
  const { query } = useRoute();
  const url = query.get("url") ?? "";
  const pages = usePages(["endpoints", url], async (pageToken) => {
    const page = await endpoints.listEndpoints({ pageToken, url });
    return { items: page.endpoints, next: page.nextPageToken };
  });
  return (
    <>
      <div className="title"><h1>Endpoints</h1><Popup button="Add an endpoint" title="Add an endpoint">{(close) => <Create close={close} />}</Popup></div>
      <div className="filters"><FilterField name="url" label="Address" hint="the whole URL" /><AsCall method={EndpointService.method.listEndpoints} request={{ url }} /></div>
      <List
        label="Endpoints" pages={pages} columns={["Endpoint", "State", "Waiting", "Exhausted", "Last success"]}
        empty={url ? <p>No endpoint has this address. <a href={href(["endpoints"])}>Show all</a></p>
          : <p>No endpoint yet: events are read from the stream only. “Add an endpoint” has them sent to a receiver.</p>}
        row={(one) => ({
          key: one.endpointId,
          cells: [
            <><a href={href(["endpoints", one.endpointId])}><Outside text={one.displayName || one.url} /></a> {one.displayName && <span className="faint"><Outside text={one.url} /></span>}</>,
            <><State word={enumWord(EndpointState, one.state)} /> <Reason reason={one.reason} detail="" /></>,
            String(one.waiting), String(one.exhausted), <Time at={one.succeededAt} />,
          ],
        })}
      />
    </>
  );
}

function Create({ close }: { close: () => void }) {
  const [url, setUrl] = useState("");
  const [displayName, setName] = useState("");
  const [types, setTypes] = useState("");
  const [access, setAccess] = useState(NO_ACCESS);
  const [fault, setFault] = useState("");
  const create = useChange(() => endpoints.createEndpoint({
    url: url.trim(), displayName, filter: { eventTypes: types.split(/[\s,]+/).filter(Boolean) },
    ...accessOf(access).parts,
  }));
  const add = () => {
    const found = accessOf(access).fault;
    setFault(found);
    if (!found) create.mutate();
  };
  if (create.data) return <Once label="The signing key" secret={create.data.signingKey} close={close} />;
  return (
    <form onSubmit={(event) => { event.preventDefault(); add(); }}>
      <Field label="Address" value={url} set={setUrl} hint="https://receiver.example.com/hooks" isRequired autoFocus />
      <Field label="Name" value={displayName} set={setName} />
      <Field label="Event types" value={types} set={setTypes} hint="all; or mail.created, send.*" />
      <AccessFields value={access} set={setAccess} />
      <Fault text={fault} />
      {create.isError && <Failed error={create.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" type="submit" isDisabled={create.isPending}>Add</Button>
      </div>
    </form>
  );
}
