// Conversations with customers, of the mailboxes in which they are on.
import { useQuery } from "@tanstack/react-query";
import { Button } from "react-aria-components";
import { Author, Authenticity, type Conversation, ConversationState, Direction, JoinReason, Side } from "../../../gen/ts/mailmesh/conversation/v1/conversation_pb.js";
import { ConversationService } from "../../../gen/ts/mailmesh/conversation/v1/conversation_service_pb.js";
import { conversations, tenants } from "../api.js";
import { failureOf } from "../failure.js";
import { Act, FilterChoice } from "../parts/controls.js";
import { Account } from "../parts/account.js";
import { AsCall } from "../parts/ascall.js";
import { List, usePages } from "../parts/list.js";
import { Empty, Failed, Facts, Id, Outside, State, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { useMayOperate } from "../session.js";
import { enumWord, plain } from "../text.js";

const MAILBOXES = 20;
const STATES = Object.values(ConversationState).filter((value): value is ConversationState => typeof value === "number" && value > 0);

interface Mailbox {
  tenantId: string;
  name: string;
  // Undefined where the settings could not be read.
  isOn: boolean | undefined;
}

// Some accounts, each with its settings: one that cannot be read does not hide the others.
async function mailboxes(pageToken: string): Promise<{ items: Mailbox[]; next: string }> {
  const { tenants: some, nextPageToken } = await tenants.listTenants({ pageSize: MAILBOXES, pageToken });
  const read = await Promise.allSettled(some.map(({ tenantId }) => conversations.getConversationSettings({ tenantId })));
  const failed = read.filter((one) => one.status === "rejected").map((one): unknown => one.reason);
  const decisive = failed.find((error) => failureOf(error).isSignedOut) ?? (failed.length === some.length ? failed[0] : undefined);
  if (decisive !== undefined) throw decisive;
  const isOn = read.map((one) => (one.status === "fulfilled" ? one.value.settings?.isEnabled ?? false : undefined));
  return { items: some.map(({ tenantId, address, displayName }, at) => ({ tenantId, name: address || displayName, isOn: isOn[at] })), next: nextPageToken };
}

export function ConversationsPage() {
  const { query } = useRoute();
  const pages = usePages(["conversation mailboxes"], mailboxes);
  const chosen = query.get("tenant") ?? "";
  const on = pages.items.filter((one) => one.isOn).map((one): [string, string] => [one.tenantId, plain(one.name, 80)]);
  const tenantId = chosen || (on[0]?.[0] ?? "");
  const state = Number(query.get("state") ?? 0);
  const isListed = chosen === "" || on.some(([id]) => id === chosen);
  return (
    <>
      <h1>Conversations</h1>
      <div className="filters">
        <FilterChoice name="tenant" label="Mailbox" usual="the first" options={isListed ? on : [...on, [chosen, plain(chosen, 80)]]} />
        <FilterChoice name="state" label="State" options={STATES.map((value) => [String(value), enumWord(ConversationState, value)])} />
      </div>
      {pages.isError && <Failed error={pages.error} retry={() => void pages.refetch()} />}
      {pages.isPending && <p role="status">Reading…</p>}
      <Unread pages={pages} />
      {pages.isSuccess && !tenantId && !pages.hasNextPage && (
        <Empty><p>Conversations are on in no mailbox. <code>mailmesh conversations enable TENANT --address support@example.com</code> turns them on.</p></Empty>
      )}
      {tenantId && <Conversations tenantId={tenantId} states={state ? [state as ConversationState] : []} />}
    </>
  );
}

// The part of the accounts that the choice of the mailbox does not offer.
function Unread({ pages }: { pages: ReturnType<typeof usePages<Mailbox>> }) {
  const failed = pages.items.filter((one) => one.isOn === undefined).length;
  return (
    <>
      {failed > 0 && <p className="faint">The settings of {failed} accounts could not be read: their conversations are not offered.</p>}
      {pages.hasNextPage && (
        <div className="buttons left">
          <span className="faint">The mailboxes among the first {pages.items.length} accounts are offered.</span>
          <Button className="plain" isDisabled={pages.isFetchingNextPage} onPress={() => void pages.fetchNextPage()}>Offer more mailboxes</Button>
        </div>
      )}
    </>
  );
}

function Conversations({ tenantId, states }: { tenantId: string; states: ConversationState[] }) {
  const pages = usePages(["conversations", tenantId, states], async (pageToken) => {
    const page = await conversations.listConversations({ tenantId, states, pageToken });
    return { items: page.conversations, next: page.nextPageToken };
  });
  return (
    <>
    <AsCall method={ConversationService.method.listConversations} request={{ tenantId, states }} />
    <List
      label="Conversations" pages={pages} columns={["Last message", "Customer", "Subject", "State", "Waits for", "Claimed by"]}
      empty={states.length ? <p>No conversation fits. <a href={href(["conversations"], { tenant: tenantId })}>Show all</a></p> : <p>No mail has arrived since conversations are on.</p>}
      row={(one) => ({
        key: one.conversationId,
        cells: [
          <Time at={one.lastMessageAt} />, <span className="wide"><Outside text={one.requester} /></span>,
          <a href={href(["conversations", one.conversationId])}><Outside text={one.subject || "(no subject)"} /></a>,
          <><State word={enumWord(ConversationState, one.state)} /> {one.isQuarantined && <State word="quarantined" />}</>,
          one.waitingOn ? <>{enumWord(Side, one.waitingOn)} <Time at={one.waitingSince} /></> : "", one.claimedBy && <Outside text={one.claimedBy} />,
        ],
      })}
    />
    </>
  );
}

export function ConversationPage({ id }: { id: string }) {
  const query = useQuery({ queryKey: ["conversation", id], queryFn: async () => (await conversations.getConversation({ conversationId: id })).conversation, refetchInterval: 10_000 });
  if (query.isError) return <><h1>Conversation</h1><Failed error={query.error} retry={() => void query.refetch()} /></>;
  const one = query.data;
  if (!one) return <p role="status">Reading…</p>;
  return (
    <>
      <p><a href={href(["conversations"], { tenant: one.tenantId })}>Conversations</a></p>
      <div className="title"><h1><Outside text={one.subject || "(no subject)"} /></h1><State word={enumWord(ConversationState, one.state)} /></div>
      <Changes conversation={one} />
      <Facts rows={[
        ["Customer", <Outside text={one.requester} />], ["Mailbox", <Account id={one.tenantId} />], ["Conversation", <Id value={one.conversationId} />],
        ["Others who may join", <Outside text={one.participants.map((each) => each.address).join(", ") || "none"} />],
        ["Waits for", one.waitingOn ? <>{enumWord(Side, one.waitingOn)} <Time at={one.waitingSince} /></> : "no side"], ["Claimed by", <Outside text={one.claimedBy || "nobody"} />], ["Assignee", <Outside text={one.assignee || "nobody"} />],
      ]} />
      <AsCall method={ConversationService.method.getConversation} request={{ conversationId: id }} />
      <Messages id={id} />
    </>
  );
}

const MOVES: [string, ConversationState][] = [["Open", ConversationState.OPEN], ["Pending", ConversationState.PENDING], ["Solved", ConversationState.SOLVED]];

function Changes({ conversation }: { conversation: Conversation }) {
  const mayOperate = useMayOperate();
  const isFinal = conversation.state === ConversationState.CLOSED || conversation.state === ConversationState.MERGED;
  if (!mayOperate || isFinal) return null;
  const set = (state: ConversationState) => conversations.setConversationState({
    conversationId: conversation.conversationId, expectedVersion: conversation.version, state,
  });
  return (
    <div className="buttons left">
      {MOVES.filter(([, state]) => state !== conversation.state).map(([name, state]) => <Act key={name} name={name} call={() => set(state)} />)}
    </div>
  );
}

function Messages({ id }: { id: string }) {
  const pages = usePages(["conversation messages", id], async (pageToken) => {
    const page = await conversations.listConversationMessages({ conversationId: id, pageToken });
    return { items: page.messages, next: page.nextPageToken };
  });
  return (
    <section aria-label="Messages">
      <h2>Messages</h2>
      <List
        label="Messages" pages={pages} columns={["Time", "Sender", "Direction", "Joined by", "Sender proven"]} empty={<p>No message.</p>}
        row={(one) => ({
          key: one.messageId,
          cells: [
            <Time at={one.at} />, <><Outside text={one.sender} /> <span className="faint">{enumWord(Author, one.author)}</span></>,
            enumWord(Direction, one.direction), enumWord(JoinReason, one.joinedBy), <State word={enumWord(Authenticity, one.senderAuthenticated)} />,
          ],
        })}
      />
    </section>
  );
}
