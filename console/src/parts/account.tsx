// An account by its address where that is known, else by its id.
import { useQuery } from "@tanstack/react-query";
import { tenants } from "../api.js";
import { href } from "../route.js";
import { Id, Outside } from "./show.js";

const MOST = 1000;

export function Account({ id }: { id: string }) {
  const names = useQuery({
    queryKey: ["names"],
    queryFn: async () => new Map((await tenants.listTenants({ pageSize: MOST })).tenants.map((one) => [one.tenantId, one.address || one.displayName])),
    staleTime: 60_000,
  });
  if (!id) return null;
  const name = names.data?.get(id);
  return <a className="account" href={href(["accounts", id])} title={id}>{name ? <Outside text={name} most={80} /> : <Id value={id} />}</a>;
}
