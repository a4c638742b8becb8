// One account: its state and what to do about it, its subscriptions, and its latest events.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type Subscription, SubscriptionResource, SubscriptionState } from "../../../gen/ts/mailmesh/ingest/v1/subscription_service_pb.js";
import { TenantService } from "../../../gen/ts/mailmesh/vault/v1/tenant_service_pb.js";
import { type Tenant, TenantStatus } from "../../../gen/ts/mailmesh/vault/v1/tenant_pb.js";
import { directories, pipeline, subscriptions, tenants } from "../api.js";
import { Account, Connected } from "../parts/account.js";
import { AsCall } from "../parts/ascall.js";
import { Act, Button, Confirm, Popup, useChange } from "../parts/controls.js";
import { List, usePages } from "../parts/list.js";
import { ACTIONS, Failed, Facts, Id, Outside, Reason, State, Time } from "../parts/show.js";
import { href } from "../route.js";
import { useMayOperate } from "../session.js";
import { enumWord } from "../text.js";
import { Timeline } from "../parts/timeline.js";
import { Consent } from "./consent.js";

export function AccountPage({ id }: { id: string }) {
  const query = useQuery({
    queryKey: ["tenant", id], queryFn: async () => (await tenants.getTenant({ tenantId: id })).tenant, refetchInterval: 10_000,
  });
  if (query.isError) return <><h1>Account</h1><Failed error={query.error} retry={() => void query.refetch()} /></>;
  const tenant = query.data;
  if (!tenant) return <p role="status">Reading…</p>;
  return (
    <>
      <p><a href={href(["accounts"])}>Accounts</a></p>
      <div className="title"><h1><Outside text={tenant.address || tenant.displayName || id} /></h1><State word={enumWord(TenantStatus, tenant.status)} /></div>
      <Reason reason={tenant.statusReason} detail={tenant.statusDetail} />
      <Actions tenant={tenant} />
      <Facts rows={[
        ["Name", <Outside text={tenant.displayName} />], ["Provider", tenant.provider], ["Access", <Access tenant={tenant} />], ["Tenant", <Id value={tenant.tenantId} />],
        ["State since", <Time at={tenant.statusChangedAt} />], ["Connected", <Time at={tenant.connectedAt} />],
        ["Last refresh", <Time at={tenant.lastRefreshedAt} />], ["Next refresh", <Time at={tenant.nextRefreshAt} />],
        ["May", tenant.grantedAbilities.join(", ") || "nothing"],
        ["Asked for", tenant.requestedAbilities.join(", ")],
        ["Behind", <Behind tenantId={id} />],
        ["Scopes", <Outside text={tenant.grantedScopes.join(" ")} most={2000} />],
      ]} />
      <p className="links">
        <a href={href(["events"], { tenant: id, from: "earliest" })}>Its events</a> <a href={href(["search"], { tenant: id })}>Search its mail</a>{" "}
        <a href={href(["dead-letters"], { tenant: id })}>Its dead letters</a>
      </p>
      <AsCall method={TenantService.method.getTenant} request={{ tenantId: id }} />
      <Subscriptions tenantId={id} />
      <Timeline tenantId={id} />
    </>
  );
}

// Whose tokens open the mailbox.
function Access({ tenant }: { tenant: Tenant }) {
  if (tenant.ownerTenantId) return <>shared: by the grant of <Account id={tenant.ownerTenantId} /></>;
  return tenant.tokenType === "app" ? "by the app, which the organisation admits" : "by its owner's sign-in";
}

// How far this mailbox is behind; the state of the pipeline has the slowest first.
function Behind({ tenantId }: { tenantId: string }) {
  const query = useQuery({ queryKey: ["lag"], queryFn: () => pipeline.getPipelineStatus({ maxTenants: 1000 }), refetchInterval: 10_000 });
  if (query.isError) return <Failed error={query.error} />;
  const lag = query.data?.tenants.find((one) => one.tenantId === tenantId);
  if (!lag) return query.data ? "not among the 1,000 slowest mailboxes" : "…";
  if (lag.isWaitingForPerson) return <State word="waits for a person" />;
  return (
    <>
      {lag.lagSeconds.toFixed(1)} s, {String(lag.inboxPending)} notifications wait
      {lag.throttledUntil && <>; the provider asks to wait until <Time at={lag.throttledUntil} /></>}
    </>
  );
}

function Actions({ tenant }: { tenant: Tenant }) {
  const mayOperate = useMayOperate();
  const tenantId = tenant.tenantId;
  if (!mayOperate) return null;
  const isGone = tenant.status === TenantStatus.DISCONNECTED || tenant.status === TenantStatus.DISCONNECTING;
  return (
    <div className="buttons left">
      <Popup button="Reconnect" title="Reconnect this account">{(close) => <Reconnect tenant={tenant} close={close} />}</Popup>
      {!isGone && <Popup button="Test" title="Test the connection">{(close) => <Test tenantId={tenantId} close={close} />}</Popup>}
      {!isGone && <Act name="Compare with the mailbox" call={() => pipeline.reconcileMailbox({ tenantId })} />}
      {tenant.status === TenantStatus.DISABLED
        ? <Act name="Enable" call={() => tenants.enableTenant({ tenantId })} />
        : !isGone && <Act name="Disable" call={() => tenants.disableTenant({ tenantId })} />}
      {!isGone && (
        <Confirm button="Disconnect" title="Disconnect this account?" call={() => tenants.disconnectTenant({ tenantId })}>
          <p>This deletes its subscriptions, revokes the grant at the provider and destroys its credentials. No mail of it is read after that.
            {" "}Shared mailboxes that its grant opens are disconnected with it. Its events stay until the end of their retention. Connecting the account again keeps its id.</p>
        </Confirm>
      )}
    </div>
  );
}

function Reconnect({ tenant, close }: { tenant: Tenant; close: () => void }) {
  return tenant.ownerTenantId || tenant.tokenType === "app"
    ? <ReconnectWithout tenant={tenant} close={close} />
    : <ReconnectByOwner tenant={tenant} close={close} />;
}

// Nobody signs in for a mailbox of an organisation, or for one that another account's grant opens.
function ReconnectWithout({ tenant, close }: { tenant: Tenant; close: () => void }) {
  const { ownerTenantId, externalTenantId, userId, address } = tenant;
  const connect = useChange(async () => {
    if (ownerTenantId) return (await tenants.connectSharedMailbox({ tenantId: ownerTenantId, address })).tenant;
    return (await directories.connectMailbox({ directoryId: externalTenantId, mailboxId: userId })).tenant;
  });
  if (connect.data) return <Connected tenant={connect.data} close={close} />;
  return (
    <>
      <p>The mailbox is tried {ownerTenantId ? "with the grant of its person" : "with the app's own token"}, and keeps its abilities. The tenant, its subscriptions and its cursors stay.</p>
      {connect.isError && <Failed error={connect.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" isDisabled={connect.isPending} onPress={() => connect.mutate()}>Connect</Button>
      </div>
    </>
  );
}

function ReconnectByOwner({ tenant, close }: { tenant: Tenant; close: () => void }) {
  const start = useChange(() => tenants.startAuthorization({ tenantId: tenant.tenantId, abilities: tenant.requestedAbilities }));
  if (start.data) return <Consent url={start.data.authorizationUrl} flowId={start.data.flowId} close={close} />;
  return (
    <>
      <p>The owner signs in again with the same account. The tenant, its subscriptions and its cursors stay.</p>
      {start.isError && <Failed error={start.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" isDisabled={start.isPending} onPress={() => start.mutate()}>Continue</Button>
      </div>
    </>
  );
}

function Test({ tenantId, close }: { tenantId: string; close: () => void }) {
  const client = useQueryClient();
  // A test may change the state of the account: it tries a refused token once more.
  const run = async () => {
    const result = await tenants.testConnection({ tenantId });
    await client.invalidateQueries({ queryKey: ["tenant", tenantId] });
    return result;
  };
  const test = useQuery({ queryKey: ["test", tenantId], queryFn: run, gcTime: 0, staleTime: Infinity });
  return (
    <>
      {test.isPending && <p role="status">Asking the provider…</p>}
      {test.isError && <Failed error={test.error} />}
      {test.data && (test.data.isHealthy
        ? <p role="status">The provider answered in {test.data.latencyMilliseconds} ms for <Outside text={test.data.providerAddress} />.</p>
        : <p role="alert"><Reason reason={test.data.reason} detail={test.data.detail} /></p>)}
      {test.data && test.data.missingAbilities.length > 0 && <p>Not granted: {test.data.missingAbilities.map((one) => one.ability).join(", ")}</p>}
      <div className="buttons"><Button className="plain" onPress={close} autoFocus>Close</Button></div>
    </>
  );
}

function Watched({ subscription: one }: { subscription: Subscription }) {
  if (one.resource === SubscriptionResource.CALENDAR) return <a href={href(["calendars"], { tenant: one.tenantId })}>a calendar</a>;
  if (one.resource === SubscriptionResource.CALENDAR_LIST) return "the list of calendars";
  return <Outside text={one.folderId || one.labelIds.join(", ") || "all mail"} />;
}

function Subscriptions({ tenantId }: { tenantId: string }) {
  const mayOperate = useMayOperate();
  const pages = usePages(["subscriptions", tenantId], async (pageToken) => {
    const page = await subscriptions.listSubscriptions({ tenantId, pageToken });
    return { items: page.subscriptions, next: page.nextPageToken };
  });
  return (
    <section aria-label="Subscriptions">
      <div className="title"><h2>Subscriptions</h2>{mayOperate && <Act name="Subscribe to the inbox" call={() => subscriptions.createSubscription({ tenantId })} />}</div>
      <List
        label="Subscriptions" pages={pages} columns={["Watches", "State", "Last notification", "Renewal", ACTIONS]}
        empty={<p>No subscription yet: changes of this mailbox are not reported. “Subscribe to the inbox” makes one.</p>}
        row={(one) => ({
          key: one.subscriptionId,
          cells: [
            <Watched subscription={one} />,
            <><State word={enumWord(SubscriptionState, one.state)} /> <Reason reason={one.failureReason} detail={one.failureDetail} /></>,
            <Time at={one.lastNotificationAt} />, <Time at={one.renewAt} />,
            mayOperate ? <Act name="Renew" call={() => subscriptions.renewSubscription({ subscriptionId: one.subscriptionId })} /> : "",
          ],
        })}
      />
    </section>
  );
}
