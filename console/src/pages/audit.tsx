// The audit log, newest first.
import { AuditService } from "../../../gen/ts/mailmesh/vault/v1/audit_service_pb.js";
import { audit } from "../api.js";
import { FilterField } from "../parts/controls.js";
import { AsCall } from "../parts/ascall.js";
import { List, usePages } from "../parts/list.js";
import { Account } from "../parts/account.js";
import { Outside, State, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";

export function AuditPage() {
  const { query } = useRoute();
  const [action, tenantId] = [query.get("action") ?? "", query.get("tenant") ?? ""];
  const pages = usePages(["audit", action, tenantId], async (pageToken) => {
    const page = await audit.listAuditEntries({ pageToken, action, tenantId });
    return { items: page.auditEntries, next: page.nextPageToken };
  });
  return (
    <>
      <h1>Audit</h1>
      <div className="filters"><FilterField name="action" label="Action" hint="token.issue" /><FilterField name="tenant" label="Tenant" hint="its id" /><AsCall method={AuditService.method.listAuditEntries} request={{ action, tenantId }} /></div>
      <List
        label="Audit entries" pages={pages} columns={["Time", "Author", "Action", "Outcome", "Account", "Details"]}
        empty={<p>No entry fits these filters. <a href={href(["audit"])}>Show all</a></p>}
        row={(entry) => ({
          key: entry.auditEntryId,
          cells: [
            <Time at={entry.occurredAt} />, <span className="wide"><Outside text={entry.actor} /></span>, <code className="wide"><Outside text={entry.action} most={64} /></code>,
            entry.outcome === "ok" ? "ok" : <State word={entry.outcome} />,
            entry.tenantId ? <Account id={entry.tenantId} /> : "",
            <Outside text={Object.entries(entry.detail).filter(([, value]) => value !== "").map(([name, value]) => `${name}: ${value}`).join(", ")} />,
          ],
        })}
      />
    </>
  );
}
