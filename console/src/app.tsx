// The frame of all pages: where one can go, and signing out.
import { useEffect, useRef } from "react";
import { Button, Menu, MenuItem, MenuTrigger, Popover } from "react-aria-components";
import { plain } from "./text.js";
import { href, useRoute } from "./route.js";
import { useKey, useMayAdminister, useMayOperate, useSignOut } from "./session.js";
import { Failed } from "./parts/show.js";
import { AccountPage } from "./pages/account.js";
import { AccountsPage } from "./pages/accounts.js";
import { AuditPage } from "./pages/audit.js";
import { CalendarsPage } from "./pages/calendars.js";
import { ChangePage } from "./pages/change.js";
import { ConversationPage, ConversationsPage } from "./pages/conversations.js";
import { DeadLettersPage } from "./pages/deadletters.js";
import { EndpointPage } from "./pages/endpoint.js";
import { EndpointsPage } from "./pages/endpoints.js";
import { EventPage } from "./pages/event.js";
import { EventsPage } from "./pages/events.js";
import { HealthPage } from "./pages/health.js";
import { KeysPage } from "./pages/keys.js";
import { SearchPage } from "./pages/search.js";
import { SendsPage } from "./pages/sends.js";
import { WorkflowPage, WorkflowsPage } from "./pages/workflows.js";

const PLACES: [string, string, "reader" | "operator" | "admin"][] = [
  ["accounts", "Accounts", "reader"], ["events", "Events", "reader"], ["search", "Search", "reader"], ["change", "One change", "reader"], ["dead-letters", "Dead letters", "reader"],
  ["endpoints", "Endpoints", "operator"], ["sends", "Sends", "operator"], ["calendars", "Calendars", "reader"],
  ["conversations", "Conversations", "reader"], ["workflows", "Workflows", "operator"], ["keys", "Keys", "admin"], ["audit", "Audit", "admin"],
  ["health", "Health", "reader"],
];

export function App() {
  const { path } = useRoute();
  const place = path[0] ?? "accounts";
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const where = path.join("/");
  useEffect(() => {
    document.title = `${PLACES.find(([key]) => key === place)?.[1] ?? "Not found"} · mailmesh`;
    if (!first.current) main.current?.focus();
    first.current = false;
  }, [place, where]);
  return (
    <>
      <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>Skip to content</a>
      <Top place={place} />
      <main ref={main} id="main" tabIndex={-1}><Place place={place} id={path[1]} /></main>
    </>
  );
}

function Top({ place }: { place: string }) {
  const mayOperate = useMayOperate();
  const mayAdminister = useMayAdminister();
  const mayGo = { reader: true, operator: mayOperate, admin: mayAdminister };
  return (
    <header>
      <span className="brand">mailmesh</span>
      <nav aria-label="Pages">
        {PLACES.filter(([, , role]) => mayGo[role]).map(([key, name]) => (
          <a key={key} href={href([key])} aria-current={key === place ? "page" : undefined}>{name}</a>
        ))}
      </nav>
      <Who />
    </header>
  );
}

function Who() {
  const key = useKey();
  const signOut = useSignOut();
  return (
    <>
      <MenuTrigger>
        <Button className="plain who">{plain(key?.displayName || "Signed in", 40)}</Button>
        <Popover className="menu">
          <Menu aria-label="Session" onAction={(action) => signOut.mutate(action === "everywhere")}>
            <MenuItem id="here">Sign out</MenuItem>
            <MenuItem id="everywhere">Sign out everywhere</MenuItem>
          </Menu>
        </Popover>
      </MenuTrigger>
      {signOut.isError && <Failed error={signOut.error} />}
    </>
  );
}

function Place({ place, id }: { place: string; id: string | undefined }) {
  switch (place) {
    case "accounts": return id ? <AccountPage key={id} id={id} /> : <AccountsPage />;
    case "events": return id ? <EventPage key={id} id={id} /> : <EventsPage />;
    case "change": return <ChangePage key={id} id={id ?? ""} />;
    case "calendars": return <CalendarsPage />;
    case "conversations": return id ? <ConversationPage key={id} id={id} /> : <ConversationsPage />;
    case "dead-letters": return <DeadLettersPage />;
    case "endpoints": return id ? <EndpointPage key={id} id={id} /> : <EndpointsPage />;
    case "search": return <SearchPage />;
    case "sends": return <SendsPage />;
    case "workflows": return id ? <WorkflowPage key={id} id={id} /> : <WorkflowsPage />;
    case "keys": return <KeysPage />;
    case "audit": return <AuditPage />;
    case "health": return <HealthPage />;
    default: return <><h1>Not found</h1><p>The console has no such page. <a href={href(["accounts"])}>Go to the accounts</a></p></>;
  }
}
