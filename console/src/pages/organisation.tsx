// Connecting a mailbox of an organisation by the app's own rights: no person signs in for it, so a shared mailbox is connected so, too.
import { useState } from "react";
import { useQuery } from "@tanstack/react-query";
import { directories } from "../api.js";
import { ABILITIES, Connected, PROVIDERS } from "../parts/account.js";
import { Button, Checks, Choice, Field, useChange } from "../parts/controls.js";
import { usePages } from "../parts/list.js";
import { Failed } from "../parts/show.js";
import { useMayAdminister } from "../session.js";
import { plain } from "../text.js";
import { ADMITTED, Consent } from "./consent.js";

const MOST = 1000;

export function OrganisationForm({ close }: { close: () => void }) {
  const mayAdminister = useMayAdminister();
  const [directoryId, setDirectory] = useState("");
  const [isNew, setNew] = useState(false);
  const query = useQuery({ queryKey: ["directories"], queryFn: () => directories.listDirectories({ pageSize: MOST }) });
  if (query.isError) return <><Failed error={query.error} /><div className="buttons"><Button className="plain" onPress={close}>Close</Button></div></>;
  if (!query.data) return <p role="status">Reading…</p>;
  if (isNew) return <AdmitForm close={close} />;
  const known = query.data.directories.map(({ directoryId: id, administrator }): [string, string] => [id, plain(administrator ? `${id} (${administrator})` : id, 160)]);
  return (
    <>
      {known.length === 0
        ? <p>No organisation has admitted the app yet. {!mayAdminister && "A key of role admin begins with its consent."}</p>
        : <Choice label="Organisation" value={directoryId} set={setDirectory} options={[["", "choose an organisation"], ...known]} />}
      {directoryId && <MailboxForm key={directoryId} directoryId={directoryId} close={close} />}
      {!directoryId && (
        <div className="buttons">
          <Button className="plain" onPress={close}>Cancel</Button>
          {mayAdminister && <Button className="plain" onPress={() => setNew(true)}>Admit another organisation</Button>}
        </div>
      )}
    </>
  );
}

// Microsoft's administrators consent on a page, Google's in their own console: there, the grant is tried at once.
function AdmitForm({ close }: { close: () => void }) {
  const [provider, setProvider] = useState("ms365");
  return (
    <>
      <div className="way"><Choice label="Provider" value={provider} set={setProvider} options={PROVIDERS} /></div>
      {provider === "googlews" ? <DelegationForm close={close} /> : <ConsentForm close={close} />}
    </>
  );
}

const ADDRESSES = "desk@example.com, sales@example.com";
const addressesOf = (text: string) => text.split(/[\s,]+/).filter(Boolean);

function ConsentForm({ close }: { close: () => void }) {
  const [directoryId, setDirectory] = useState("");
  const [addresses, setAddresses] = useState("");
  const start = useChange(() => directories.startConsent({ directoryId: directoryId.trim(), allowedAddresses: addressesOf(addresses) }));
  if (start.data) return <Consent url={start.data.authorizationUrl} flowId={start.data.flowId} close={close} isOrganisation />;
  return (
    <form onSubmit={(event) => { event.preventDefault(); start.mutate(); }}>
      <p>An administrator of the organisation consents once. The app then reaches the mailboxes of the list, and no others.</p>
      <Field label="Directory (tenant) id" value={directoryId} set={setDirectory} hint="a UUID, from the organisation" isRequired autoFocus />
      <Field label="Mailboxes" value={addresses} set={setAddresses} hint={ADDRESSES} />
      {start.isError && <Failed error={start.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" type="submit" isDisabled={start.isPending}>Continue</Button>
      </div>
    </form>
  );
}

function DelegationForm({ close }: { close: () => void }) {
  const [administrator, setAdministrator] = useState("");
  const [addresses, setAddresses] = useState("");
  const create = useChange(() => directories.createDirectory({ administrator: administrator.trim(), allowedAddresses: addressesOf(addresses) }));
  if (create.data) {
    return (
      <>
        <p role="status">{ADMITTED}</p>
        <div className="buttons"><Button className="plain" onPress={close}>Close</Button></div>
      </>
    );
  }
  return (
    <form onSubmit={(event) => { event.preventDefault(); create.mutate(); }}>
      <p>
        An administrator grants the app's service account domain-wide delegation in the Admin console first. The app then reaches the
        mailboxes of the list, and no others. <code>mailmesh app-credentials add</code> adds the service account's key.
      </p>
      <Field label="Administrator" value={administrator} set={setAdministrator} hint="the address of one who may read users" isRequired autoFocus />
      <Field label="Mailboxes" value={addresses} set={setAddresses} hint={ADDRESSES} />
      {create.isError && <Failed error={create.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" type="submit" isDisabled={create.isPending}>Admit</Button>
      </div>
    </form>
  );
}

function MailboxForm({ directoryId, close }: { directoryId: string; close: () => void }) {
  const [mailboxId, setMailbox] = useState("");
  const [displayName, setName] = useState("");
  const [abilities, setAbilities] = useState(["mail.read"]);
  const pages = usePages(["mailboxes", directoryId], async (pageToken) => {
    const page = await directories.listMailboxes({ directoryId, pageToken });
    return { items: page.mailboxes, next: page.nextPageToken };
  });
  const connect = useChange(() => directories.connectMailbox({ directoryId, mailboxId, displayName, abilities }));
  if (connect.data?.tenant) return <Connected tenant={connect.data.tenant} close={close} />;
  const listed = pages.items.map((one): [string, string] => [one.mailboxId, plain(one.address || one.displayName, 120)]);
  return (
    <form onSubmit={(event) => { event.preventDefault(); connect.mutate(); }}>
      {pages.isError && <Failed error={pages.error} retry={() => void pages.refetch()} />}
      {pages.isPending && <p role="status">Reading…</p>}
      {pages.isSuccess && (
        <>
          <Choice label="Mailbox" value={mailboxId} set={setMailbox} options={[["", listed.length ? "choose a mailbox" : "the list allows none"], ...listed]} />
          {pages.hasNextPage && <Button className="plain" isDisabled={pages.isFetchingNextPage} onPress={() => void pages.fetchNextPage()}>Offer more mailboxes</Button>}
        </>
      )}
      <Field label="Name for people" value={displayName} set={setName} hint="the mailbox's own name" />
      <Checks label="mailmesh may" value={abilities} set={setAbilities} options={ABILITIES} />
      {connect.isError && <Failed error={connect.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" type="submit" isDisabled={!mailboxId || connect.isPending}>Connect</Button>
      </div>
    </form>
  );
}
