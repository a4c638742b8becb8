// Connecting an account: by its owner's sign-in, by its organisation's administrator, or by a person who may open it.
import { useState } from "react";
import { useQuery } from "@tanstack/react-query";
import { TenantStatus } from "../../../gen/ts/mailmesh/vault/v1/tenant_pb.js";
import { tenants } from "../api.js";
import { ABILITIES, Connected, OF_MAIL, PROVIDERS } from "../parts/account.js";
import { Button, Checks, Choice, Field, Popup, useChange } from "../parts/controls.js";
import { Failed } from "../parts/show.js";
import { plain } from "../text.js";
import { Consent } from "./consent.js";
import { OrganisationForm } from "./organisation.js";

const MOST = 1000;
const [ORGANISATION, SHARED] = ["organisation", "shared"];
const WAYS: [string, string][] = [
  ["owner", "the owner signs in"], [ORGANISATION, "a mailbox of an organisation, shared ones too"], [SHARED, "a shared mailbox that a connected person may open"],
];

export function Connect() {
  return (
    <Popup button="Connect an account" title="Connect an account">
      {(close) => <ConnectForm close={close} />}
    </Popup>
  );
}

function ConnectForm({ close }: { close: () => void }) {
  const [way, setWay] = useState("owner");
  return (
    <>
      <div className="way"><Choice label="How" value={way} set={setWay} options={WAYS} /></div>
      {way === ORGANISATION ? <OrganisationForm close={close} /> : way === SHARED ? <SharedForm close={close} /> : <OwnerForm close={close} />}
    </>
  );
}

function OwnerForm({ close }: { close: () => void }) {
  const [provider, setProvider] = useState("ms365");
  const [displayName, setName] = useState("");
  const [abilities, setAbilities] = useState(["mail.read"]);
  const start = useChange(() => tenants.startAuthorization({ provider, displayName, abilities }));
  if (start.data) return <Consent url={start.data.authorizationUrl} flowId={start.data.flowId} close={close} />;
  return (
    <form onSubmit={(event) => { event.preventDefault(); start.mutate(); }}>
      <Choice label="Provider" value={provider} set={setProvider} options={PROVIDERS} />
      <Field label="Name for people" value={displayName} set={setName} hint="the account's own name" />
      <Checks label="mailmesh may" value={abilities} set={setAbilities} options={ABILITIES} />
      {start.isError && <Failed error={start.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" type="submit" isDisabled={start.isPending}>Continue</Button>
      </div>
    </form>
  );
}

// Graph lists no mailboxes that a person may open, so the mailbox is named by its address.
function SharedForm({ close }: { close: () => void }) {
  const [tenantId, setPerson] = useState("");
  const [address, setAddress] = useState("");
  const [displayName, setName] = useState("");
  const [abilities, setAbilities] = useState(["mail.read"]);
  const query = useQuery({
    queryKey: ["people"],
    queryFn: () => tenants.listTenants({ provider: "ms365", statuses: [TenantStatus.ACTIVE], pageSize: MOST }),
  });
  const connect = useChange(() => tenants.connectSharedMailbox({ tenantId, address: address.trim(), displayName, abilities }));
  if (connect.data?.tenant) return <Connected tenant={connect.data.tenant} close={close} />;
  if (query.isError) return <><Failed error={query.error} /><div className="buttons"><Button className="plain" onPress={close}>Close</Button></div></>;
  if (!query.data) return <p role="status">Reading…</p>;
  const people = query.data.tenants.filter((one) => one.tokenType === "delegated" && one.ownerTenantId === "");
  const known = people.map((one): [string, string] => [one.tenantId, plain(one.address || one.displayName, 120)]);
  return (
    <form onSubmit={(event) => { event.preventDefault(); connect.mutate(); }}>
      <p>
        The mailbox becomes an account that uses the person's grant and ends with it. At Microsoft 365 alone; an organisation at Google
        Workspace admits the app instead.
      </p>
      <Choice label="Person" value={tenantId} set={setPerson} options={[["", known.length ? "choose who may open it" : "connect the person first"], ...known]} />
      <Field label="Address of the mailbox" value={address} set={setAddress} hint="info@example.com" isRequired />
      <Field label="Name for people" value={displayName} set={setName} hint="the mailbox's own name" />
      <Checks label="mailmesh may" value={abilities} set={setAbilities} options={OF_MAIL} />
      {connect.isError && <Failed error={connect.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" type="submit" isDisabled={!tenantId || connect.isPending}>Connect</Button>
      </div>
    </form>
  );
}
