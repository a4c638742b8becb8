// All accounts: their state, why it is so, and connecting another one.
import { useState } from "react";
import { TenantService } from "../../../gen/ts/mailmesh/vault/v1/tenant_service_pb.js";
import { TenantStatus } from "../../../gen/ts/mailmesh/vault/v1/tenant_pb.js";
import { tenants } from "../api.js";
import { AsCall } from "../parts/ascall.js";
import { Button, Checks, Choice, Field, FilterChoice, FilterField, Popup, useChange } from "../parts/controls.js";
import { List, usePages } from "../parts/list.js";
import { Failed, Outside, Reason, State, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { useMayOperate } from "../session.js";
import { enumWord } from "../text.js";
import { Consent } from "./consent.js";
import { OrganisationForm } from "./organisation.js";

export const PROVIDERS: [string, string][] = [["ms365", "Microsoft 365"], ["googlews", "Google Workspace"]];
const ABILITIES = ["mail.read", "mail.mark", "mail.send", "calendar.read", "calendar.write"];
const STATES = Object.values(TenantStatus).filter((value): value is TenantStatus => typeof value === "number" && value > 0);

export function AccountsPage() {
  const { query } = useRoute();
  const [provider, state, address] = [query.get("provider") ?? "", Number(query.get("state") ?? 0), query.get("address") ?? ""];
  const mayOperate = useMayOperate();
  const statuses = state ? [state as TenantStatus] : [];
  const pages = usePages(["tenants", provider, state, address], async (pageToken) => {
    const page = await tenants.listTenants({ pageSize: 50, pageToken, provider, statuses, address });
    return { items: page.tenants, next: page.nextPageToken };
  });
  const isFiltered = provider !== "" || state !== 0 || address !== "";
  return (
    <>
      <div className="title"><h1>Accounts</h1>{mayOperate && <Connect />}</div>
      <div className="filters">
        <FilterChoice name="state" label="State" options={STATES.map((value) => [String(value), enumWord(TenantStatus, value)])} />
        <FilterChoice name="provider" label="Provider" options={PROVIDERS} />
        <FilterField name="address" label="Address" hint="the whole address" />
        <AsCall method={TenantService.method.listTenants} request={{ provider, statuses, address }} />
      </div>
      <List
        label="Accounts" pages={pages} columns={["Account", "Provider", "State", "Last refresh", "May"]}
        empty={isFiltered
          ? <p>No account fits these filters. <a href={href(["accounts"])}>Show all accounts</a></p>
          : <p>No account is connected yet. {mayOperate ? "“Connect an account” begins with the first one." : "An operator connects the first one."}</p>}
        row={(tenant) => ({
          key: tenant.tenantId,
          cells: [
            <><a href={href(["accounts", tenant.tenantId])}><Outside text={tenant.address || tenant.displayName || tenant.tenantId} /></a>{" "}
              <span className="faint"><Outside text={tenant.displayName} most={80} /></span></>,
            PROVIDERS.find(([key]) => key === tenant.provider)?.[1] ?? tenant.provider,
            <><State word={enumWord(TenantStatus, tenant.status)} /> <Reason reason={tenant.statusReason} detail={tenant.statusDetail} /></>,
            <><Time at={tenant.lastRefreshedAt} />{tenant.lastRefreshError && <> <code>{tenant.lastRefreshError}</code></>}</>,
            tenant.grantedAbilities.join(", "),
          ],
        })}
      />
    </>
  );
}

function Connect() {
  return (
    <Popup button="Connect an account" title="Connect an account">
      {(close) => <ConnectForm close={close} />}
    </Popup>
  );
}

const ORGANISATION = "organisation";
const WAYS: [string, string][] = [["owner", "the owner signs in"], [ORGANISATION, "a mailbox of an organisation, shared ones too"]];

function ConnectForm({ close }: { close: () => void }) {
  const [way, setWay] = useState("owner");
  return (
    <>
      <div className="way"><Choice label="How" value={way} set={setWay} options={WAYS} /></div>
      {way === ORGANISATION ? <OrganisationForm close={close} /> : <OwnerForm close={close} />}
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
