// An account by its address where that is known, else by its id.
import { useQuery } from "@tanstack/react-query";
import { tenants } from "../api.js";
import { href } from "../route.js";
import { plain } from "../text.js";
import { Choice } from "./controls.js";
import { Id, Outside } from "./show.js";

const MOST = 1000;

function useNames() {
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
  const options = value && !known.some(([id]) => id === value) ? [...known, [value, value] as [string, string]] : known;
  return <Choice label="Account" value={value} set={set} options={[["", "choose an account"], ...options]} />;
}

export function Account({ id }: { id: string }) {
  const names = useNames();
  if (!id) return null;
  const name = names.data?.get(id);
  return <a className="account" href={href(["accounts", id])} title={id}>{name ? <Outside text={name} most={80} /> : <Id value={id} />}</a>;
}
