// API keys.
import { useState } from "react";
import { Role } from "../../../gen/ts/mailmesh/access/v1/access_pb.js";
import { ApiKeyService } from "../../../gen/ts/mailmesh/vault/v1/api_key_service_pb.js";
import { keys, sessions } from "../api.js";
import { AsCall } from "../parts/ascall.js";
import { Button, Choice, Confirm, Field, FilterChoice, Once, Popup, useChange } from "../parts/controls.js";
import { List, usePages } from "../parts/list.js";
import { ACTIONS, Failed, Outside, State, Time } from "../parts/show.js";
import { useRoute } from "../route.js";
import { useSession } from "../session.js";
import { enumWord } from "../text.js";

const ROLES: [string, string][] = [["1", "reader"], ["2", "operator"], ["3", "admin"]];

export function KeysPage() {
  const includeRevoked = useRoute().query.get("ended") === "yes";
  const pages = usePages(["keys", includeRevoked], async (pageToken) => {
    const page = await keys.listApiKeys({ pageToken, includeRevoked });
    return { items: page.apiKeys, next: page.nextPageToken };
  });
  return (
    <>
      <div className="title"><h1>Keys</h1><Popup button="Create a key" title="Create a key">{(close) => <Create close={close} />}</Popup></div>
      <div className="filters"><FilterChoice name="ended" label="Revoked and ended keys" usual="hidden" options={[["yes", "shown too"]]} /><AsCall method={ApiKeyService.method.listApiKeys} request={{ includeRevoked }} /></div>
      <List
        label="API keys" pages={pages} columns={["Name", "Begins with", "Role", "Abilities", "Tenants", "Last use", "End", ACTIONS]}
        empty={<p>No key is in your scope.</p>}
        row={(key) => ({
          key: key.apiKeyId,
          cells: [
            <Outside text={key.displayName} />, <code>{key.prefix}</code>, enumWord(Role, key.role), key.abilities.join(", "),
            key.tenantIds.length || "all", <Time at={key.lastUsedAt} />,
            key.revokedAt ? <State word="revoked" /> : key.expiresAt ? <Time at={key.expiresAt} /> : "none",
            key.revokedAt ? "" : (
              <Confirm button="Revoke" title="Revoke this key?" call={() => keys.revokeApiKey({ apiKeyId: key.apiKeyId })}>
                <p>Calls with <Outside text={key.displayName} /> fail within seconds, and its sessions end. A revoked key cannot be restored.</p>
              </Confirm>
            ),
          ],
        })}
      />
      <Sessions />
    </>
  );
}

// The browsers that are signed in with keys in the scope of this one.
function Sessions() {
  const mine = useSession()?.sessionId;
  const pages = usePages(["sessions"], async (pageToken) => {
    const page = await sessions.listSessions({ pageToken });
    return { items: page.sessions, next: page.nextPageToken };
  }, 30_000);
  return (
    <section aria-label="Sessions">
      <h2>Sessions</h2>
      <List
        label="Sessions" pages={pages} columns={["Key", "Signed in", "Last use", "End", ACTIONS]} empty={<p>No browser is signed in.</p>}
        row={(one) => ({
          key: one.sessionId,
          cells: [
            <><Outside text={one.keyDisplayName} most={80} /> {one.sessionId === mine && <State word="this browser" />}</>,
            <Time at={one.createdAt} />, <Time at={one.lastUsedAt} />, <Time at={one.expiresAt} />,
            one.sessionId === mine ? "" : (
              <Confirm button="End" title="End this session?" call={() => sessions.revokeSession({ sessionId: one.sessionId })}>
                <p>The browser of <Outside text={one.keyDisplayName} /> is signed out within seconds. Its key stays: the person can sign in again.</p>
              </Confirm>
            ),
          ],
        })}
      />
    </section>
  );
}

function Create({ close }: { close: () => void }) {
  const [displayName, setName] = useState("");
  const [role, setRole] = useState("1");
  const [abilities, setAbilities] = useState("");
  const [tenantIds, setTenants] = useState("");
  const words = (text: string) => text.split(/[\s,]+/).filter(Boolean);
  const create = useChange(() => keys.createApiKey({
    displayName, role: Number(role) as Role, abilities: words(abilities), tenantIds: words(tenantIds),
  }));
  if (create.data) return <Once label="The key" secret={create.data.secret} close={close} />;
  return (
    <form onSubmit={(event) => { event.preventDefault(); create.mutate(); }}>
      <Field label="Name" value={displayName} set={setName} isRequired autoFocus />
      <Choice label="Role" value={role} set={setRole} options={ROLES} />
      <Field label="Abilities" value={abilities} set={setAbilities} hint="those of the role; or mail.read, mail.send" />
      <Field label="Tenants" value={tenantIds} set={setTenants} hint="all; or ids" />
      {create.isError && <Failed error={create.error} />}
      <div className="buttons">
        <Button className="plain" onPress={close}>Cancel</Button>
        <Button className="primary" type="submit" isDisabled={create.isPending}>Create</Button>
      </div>
    </form>
  );
}
