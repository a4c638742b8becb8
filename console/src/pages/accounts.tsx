// All accounts: their state, why it is so, and connecting another one.
import { TenantService } from "../../../gen/ts/mailmesh/vault/v1/tenant_service_pb.js";
import { TenantStatus } from "../../../gen/ts/mailmesh/vault/v1/tenant_pb.js";
import { tenants } from "../api.js";
import { PROVIDERS } from "../parts/account.js";
import { AsCall } from "../parts/ascall.js";
import { FilterChoice, FilterField } from "../parts/controls.js";
import { List, usePages } from "../parts/list.js";
import { Outside, Reason, State, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { useMayOperate } from "../session.js";
import { enumWord, plain } from "../text.js";
import { Connect } from "./connect.js";

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
            <><Time at={tenant.lastRefreshedAt} />{tenant.lastRefreshError && <> <code>{plain(tenant.lastRefreshError, 80)}</code></>}</>,
            tenant.grantedAbilities.join(", "),
          ],
        })}
      />
    </>
  );
}
