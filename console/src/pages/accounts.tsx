// All accounts: their state, why it is so, and connecting another one.
import { useState } from "react";
import { useQuery } from "@tanstack/react-query";
import { AuthorizationState } from "../../../gen/ts/mailmesh/vault/v1/tenant_service_pb.js";
import { TenantStatus } from "../../../gen/ts/mailmesh/vault/v1/tenant_pb.js";
import { tenants } from "../api.js";
import { causeOf, remedyOf } from "../failure.js";
import { Button, Checks, Choice, Field, FilterChoice, FilterField, Popup, useChange } from "../parts/controls.js";
import { List, usePages } from "../parts/list.js";
import { Failed, Outside, Reason, State, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { useMayOperate } from "../session.js";
import { enumWord } from "../text.js";

export const PROVIDERS: [string, string][] = [["ms365", "Microsoft 365"], ["googlews", "Google Workspace"]];
const ABILITIES = ["mail.read", "mail.mark", "mail.send", "calendar.read", "calendar.write"];
const STATES = Object.values(TenantStatus).filter((value): value is TenantStatus => typeof value === "number" && value > 0);

export function AccountsPage() {
  const { query } = useRoute();
  const [provider, state, address] = [query.get("provider") ?? "", Number(query.get("state") ?? 0), query.get("address") ?? ""];
  const mayOperate = useMayOperate();
  const pages = usePages(["tenants", provider, state, address], async (pageToken) => {
    const statuses = state ? [state as TenantStatus] : [];
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

function ConnectForm({ close }: { close: () => void }) {
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

// The person signs in at the provider in another tab; the outcome is asked for here.
export function Consent({ url, flowId, close }: { url: string; flowId: string; close: () => void }) {
  const flow = useQuery({
    queryKey: ["flow", flowId],
    queryFn: () => tenants.getAuthorization({ flowId }),
    refetchInterval: (query) => (query.state.data?.state === AuthorizationState.PENDING || !query.state.data ? 1_500 : false),
  });
  const state = flow.data?.state;
  if (state === AuthorizationState.CONNECTED) {
    return (
      <>
        <p role="status">The account is connected.</p>
        {flow.data && flow.data.missingAbilities.length > 0 && <p>Not granted: {flow.data.missingAbilities.join(", ")}. Reconnect the account to ask again.</p>}
        <div className="buttons">
          <Button className="plain" onPress={close}>Close</Button>
          <a className="button" href={href(["accounts", flow.data?.tenantId ?? ""])} onClick={close}>Show the account</a>
        </div>
      </>
    );
  }
  if (state === AuthorizationState.FAILED) {
    const reason = flow.data?.reason ?? "";
    return (
      <>
        <div role="alert" className="failed"><p>{causeOf(reason) || "The account was not connected."} <code>{reason}</code></p><p>{remedyOf(reason)}</p></div>
        <div className="buttons"><Button className="plain" onPress={close}>Close</Button></div>
      </>
    );
  }
  return (
    <>
      <p>The owner of the account signs in at the provider, here or on another device. The link works once, for ten minutes.</p>
      <p><a className="button" href={url} target="_blank" rel="noopener noreferrer">Sign in at the provider</a></p>
      <p role="status">Waiting for the provider…</p>
      {flow.isError && <Failed error={flow.error} />}
      <div className="buttons"><Button className="plain" onPress={close}>Cancel</Button></div>
    </>
  );
}
