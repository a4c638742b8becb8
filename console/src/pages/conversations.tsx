// Conversations with customers, of the mailboxes in which they are on.
import { useQuery } from "@tanstack/react-query";
import { Author, Authenticity, type Conversation, ConversationState, Direction, JoinReason, Side } from "../../../gen/ts/mailmesh/conversation/v1/conversation_pb.js";
import { conversations, tenants } from "../api.js";
import { Act, FilterChoice } from "../parts/controls.js";
import { Account } from "../parts/account.js";
import { List, usePages } from "../parts/list.js";
import { Empty, Failed, Facts, Id, Outside, State, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { useMayOperate } from "../session.js";
import { enumWord } from "../text.js";

const MOST_MAILBOXES = 200;
const STATES = Object.values(ConversationState).filter((value): value is ConversationState => typeof value === "number" && value > 0);

// The mailboxes in which conversations are on, by address.
async function mailboxes(): Promise<[string, string][]> {
  const { tenants: all } = await tenants.listTenants({ pageSize: MOST_MAILBOXES });
  const on = await Promise.all(all.map(async ({ tenantId }) => (await conversations.getConversationSettings({ tenantId })).settings?.isEnabled));
  return all.filter((_, at) => on[at]).map((one) => [one.tenantId, one.address || one.displayName]);
}

export function ConversationsPage() {
  const { query } = useRoute();
  const on = useQuery({ queryKey: ["conversation mailboxes"], queryFn: mailboxes });
  const tenantId = query.get("tenant") || (on.data?.[0]?.[0] ?? "");
  const state = Number(query.get("state") ?? 0);
  return (
    <>
      <h1>Conversations</h1>
      <div className="filters">
        <FilterChoice name="tenant" label="Mailbox" usual="the first" options={on.data ?? []} />
        <FilterChoice name="state" label="State" options={STATES.map((value) => [String(value), enumWord(ConversationState, value)])} />
      </div>
      {on.isError && <Failed error={on.error} retry={() => void on.refetch()} />}
      {on.isPending && <p role="status">Reading…</p>}
      {on.isSuccess && !tenantId && (
        <Empty><p>Conversations are on in no mailbox. <code>mailmesh conversations enable TENANT --address support@example.com</code> turns them on.</p></Empty>
      )}
      {on.isSuccess && tenantId && <Conversations tenantId={tenantId} states={state ? [state as ConversationState] : []} />}
    </>
  );
}

function Conversations({ tenantId, states }: { tenantId: string; states: ConversationState[] }) {
  const pages = usePages(["conversations", tenantId, states], async (pageToken) => {
    const page = await conversations.listConversations({ tenantId, states, pageToken });
    return { items: page.conversations, next: page.nextPageToken };
  });
  return (
    <List
      label="Conversations" pages={pages} columns={["Last message", "Customer", "Subject", "State", "Waits for", "Claimed by"]}
      empty={states.length ? <p>No conversation fits. <a href={href(["conversations"], { tenant: tenantId })}>Show all</a></p> : <p>No mail has arrived since conversations are on.</p>}
      row={(one) => ({
        key: one.conversationId,
        cells: [
          <Time at={one.lastMessageAt} />, <Outside text={one.requester} />,
          <a href={href(["conversations", one.conversationId])}><Outside text={one.subject || "(no subject)"} /></a>,
          <><State word={enumWord(ConversationState, one.state)} /> {one.isQuarantined && <State word="quarantined" />}</>,
          one.waitingOn ? <>{enumWord(Side, one.waitingOn)} <Time at={one.waitingSince} /></> : "", <Outside text={one.claimedBy} />,
        ],
      })}
    />
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
        ["Waits for", one.waitingOn ? <>{enumWord(Side, one.waitingOn)} <Time at={one.waitingSince} /></> : "no side"], ["Claimed by", <Outside text={one.claimedBy} />],
      ]} />
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
