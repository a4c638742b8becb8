// Accounts: what they may be, and one by its address where that is known, else by its id.
import { useQuery } from "@tanstack/react-query";
import type { Tenant } from "../../../gen/ts/mailmesh/vault/v1/tenant_pb.js";
import { tenants } from "../api.js";
import { href } from "../route.js";
import { plain } from "../text.js";
import { Button, Choice } from "./controls.js";
import { Id, Outside } from "./show.js";

export const PROVIDERS: [string, string][] = [["ms365", "Microsoft 365"], ["googlews", "Google Workspace"]];
export const OF_MAIL = ["mail.read", "mail.mark", "mail.send", "conversation.read", "conversation.write"];
export const ABILITIES = [...OF_MAIL, "calendar.read", "calendar.write"];
const MOST = 1000;

export function useNames() {
  return useQuery({
    queryKey: ["names"],
    queryFn: async () => new Map((await tenants.listTenants({ pageSize: MOST })).tenants.map((one) => [one.tenantId, one.address || one.displayName])),
    staleTime: 60_000,
  });
}

// A choice among the first accounts; one beyond them stands with its id.
export function AccountChoice({ value, set }: { value: string; set: (id: string) => void }) {
  const names = useNames();
  const known = [...(names.data ?? new Map<string, string>())].map(([id, name]): [string, string] => [id, plain(name || id, 80)]);
  const options = value && !known.some(([id]) => id === value) ? [...known, [value, plain(value, 64)] as [string, string]] : known;
  return <Choice label="Account" value={value} set={set} options={[["", "choose an account"], ...options]} />;
}

export function Account({ id }: { id: string }) {
  return <NamedAccount id={id} name={useNames().data?.get(id)} />;
}

export function NamedAccount({ id, name }: { id: string; name: string | undefined }) {
  if (!id) return null;
  return <a className="account" href={href(["accounts", id])} title={plain(id, 64)}>{name ? <Outside text={name} most={80} /> : <Id value={id} />}</a>;
}

// A mailbox that needed nobody at the provider's page.
export function Connected({ tenant, close }: { tenant: Tenant; close: () => void }) {
  return (
    <>
      <p role="status">The mailbox <Outside text={tenant.address} /> is connected.</p>
      <div className="buttons">
        <Button className="plain" onPress={close}>Close</Button>
        <a className="button" href={href(["accounts", tenant.tenantId])} onClick={close}>Show the account</a>
      </div>
    </>
  );
}
