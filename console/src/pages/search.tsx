// Search in the stored mail of an account, where it is enabled.
import { useState, type FormEvent, type ReactNode } from "react";
import { useQuery } from "@tanstack/react-query";
import { Button, Form } from "react-aria-components";
import { type SearchHit, SearchService } from "../../../gen/ts/mailmesh/processor/v1/search_service_pb.js";
import { search } from "../api.js";
import { failureOf } from "../failure.js";
import { AccountChoice } from "../parts/account.js";
import { AsCall } from "../parts/ascall.js";
import { Act, Choice, Confirm, Field } from "../parts/controls.js";
import { List, usePages } from "../parts/list.js";
import { Empty, Failed, Outside, Time } from "../parts/show.js";
import { go, href, useRoute } from "../route.js";
import { useMayOperate } from "../session.js";
import { plain } from "../text.js";

interface Wanted {
  tenantId: string;
  query: string;
  from: string;
  to: string;
  files: string;
}

function requestOf({ tenantId, query, from, to, files }: Wanted) {
  return { tenantId, query, from, to, ...(files ? { hasAttachment: files === "yes" } : {}) };
}

export function SearchPage() {
  const route = useRoute().query;
  const of = (name: string) => route.get(name) ?? "";
  const wanted = { tenantId: of("tenant"), query: of("query"), from: of("from"), to: of("to"), files: of("files") };
  return (
    <>
      <h1>Search</h1>
      <Ask key={JSON.stringify(wanted)} wanted={wanted} />
      {wanted.tenantId ? <Found wanted={wanted} /> : (
        <Empty><p>Search reads the mail that mailmesh has stored, of one account at a time. Choose an account, and enter words of the mail.</p></Empty>
      )}
    </>
  );
}

// The address holds what was searched for, and changes with the button alone: no search for each letter.
function Ask({ wanted }: { wanted: Wanted }) {
  const [asked, setAsked] = useState(wanted);
  const set = (name: keyof Wanted) => (value: string) => setAsked({ ...asked, [name]: value });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const { tenantId, ...rest } = asked;
    go(["search"], { tenant: tenantId, ...rest });
  };
  return (
    <Form className="filters" role="search" onSubmit={submit}>
      <AccountChoice value={asked.tenantId} set={set("tenantId")} />
      <Field label="Words" value={asked.query} set={set("query")} hint={'invoice "second reminder"'} />
      <Field label="From" value={asked.from} set={set("from")} hint="an address or a domain" />
      <Field label="To" value={asked.to} set={set("to")} hint="an address or a domain" />
      <Choice label="Files" value={asked.files} set={set("files")} options={[["", "with or without"], ["yes", "with"], ["no", "without"]]} />
      <Button type="submit" className="primary">Search</Button>
    </Form>
  );
}

function Found({ wanted }: { wanted: Wanted }) {
  const { tenantId } = wanted;
  const settings = useQuery({ queryKey: ["search settings", tenantId], queryFn: () => search.getSearchSettings({ tenantId }), refetchInterval: 10_000 });
  if (settings.isError) return <Failed error={settings.error} retry={() => void settings.refetch()} />;
  if (settings.isPending) return <p role="status">Reading…</p>;
  if (!settings.data.settings?.isEnabled) return <Off tenantId={tenantId} />;
  const { mails = 0n, waitingEvents = 0n } = settings.data.index ?? {};
  return (
    <>
      <p className="faint">
        Indexed mails: {mails.toLocaleString("en")}.{waitingEvents > 0n && ` Events that wait: ${waitingEvents.toLocaleString("en")}; more may be found later.`}
      </p>
      <Hits wanted={wanted} />
      <Disable tenantId={tenantId} />
    </>
  );
}

function Off({ tenantId }: { tenantId: string }) {
  const mayOperate = useMayOperate();
  return (
    <Empty>
      <p>The mail of this account is not indexed. {!mayOperate && "An operator can enable search."}</p>
      {mayOperate && <Act name="Enable search" call={() => search.updateSearchSettings({ tenantId, settings: { isEnabled: true } })} />}
    </Empty>
  );
}

function Disable({ tenantId }: { tenantId: string }) {
  if (!useMayOperate()) return null;
  return (
    <div className="buttons left">
      <Confirm button="Disable search" title="Disable search for this account?" call={() => search.updateSearchSettings({ tenantId, settings: { isEnabled: false } })}>
        <p>The index becomes unreadable at once and is deleted within minutes. The mail stays.</p>
      </Confirm>
    </div>
  );
}

function Hits({ wanted }: { wanted: Wanted }) {
  const pages = usePages(["search", wanted], async (pageToken) => {
    const page = await search.searchMail({ ...requestOf(wanted), pageToken });
    return { items: page.hits, next: page.nextPageToken };
  });
  // A page may be empty and still lead to another one.
  const isEmptySoFar = pages.isSuccess && pages.items.length === 0 && pages.hasNextPage;
  return (
    <section aria-label="Found mails">
      <AsCall method={SearchService.method.searchMail} request={requestOf(wanted)} />
      {isEmptySoFar ? (
        <Empty>
          <p>None of the newest mails fits.</p>
          <Button className="plain" isDisabled={pages.isFetchingNextPage} onPress={() => void pages.fetchNextPage()}>Search older mails</Button>
        </Empty>
      ) : (
        <List
          label="Found mails" pages={pages} columns={["Received", "From", "Subject and text"]}
          empty={<p>No mail fits. <a href={href(["search"], { tenant: wanted.tenantId })}>Show the newest mails</a></p>}
          row={(hit) => ({
            key: hit.messageId,
            cells: [
              <Time at={hit.receivedAt} />, <Outside text={hit.fromAddress ? hit.fromAddress.name || hit.fromAddress.address : ""} most={120} />,
              <><a href={href(["events", hit.eventId])}><Outside text={hit.subject || "(no subject)"} /></a><br /><Snippet hit={hit} /></>,
            ],
          })}
        />
      )}
      {pages.isError && failureOf(pages.error).reason === "SEARCH_QUERY_INVALID" && (
        <p className="faint">Words are joined by and; <code>wor*</code> is a beginning, <code>"two words"</code> a phrase, <code>-word</code> leaves mails out.</p>
      )}
    </section>
  );
}

// The contract counts in code points, and JavaScript in halves of some.
function Snippet({ hit }: { hit: SearchHit }) {
  const letters = [...hit.snippet];
  const parts: ReactNode[] = [];
  let end = 0;
  for (const { start, end: next } of hit.highlights) {
    if (start < end || next <= start) continue;
    parts.push(plain(letters.slice(end, start).join(""), 400), <mark key={start}>{plain(letters.slice(start, next).join(""), 400)}</mark>);
    end = next;
  }
  parts.push(plain(letters.slice(end).join(""), 400));
  return <bdi className="outside faint snippet">{parts}</bdi>;
}
