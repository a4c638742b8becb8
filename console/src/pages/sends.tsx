// Mail that was sent, or is to be: uncertain outcomes first, which a person decides.
import { SendResolution, SendService, SendState, type Send } from "../../../gen/ts/mailmesh/processor/v1/send_service_pb.js";
import { sends } from "../api.js";
import { Act, Confirm, FilterChoice, FilterField } from "../parts/controls.js";
import { AsCall } from "../parts/ascall.js";
import { List, usePages } from "../parts/list.js";
import { ACTIONS, Outside, Reason, State, Time } from "../parts/show.js";
import { href, useRoute } from "../route.js";
import { enumWord } from "../text.js";

const STATES = Object.values(SendState).filter((value): value is SendState => typeof value === "number" && value > 0);

export function SendsPage() {
  const { query } = useRoute();
  const [state, tenantId] = [Number(query.get("state") ?? 0), query.get("tenant") ?? ""];
  return (
    <>
      <h1>Sends</h1>
      <div className="filters">
        <FilterChoice name="state" label="State" options={STATES.map((value) => [String(value), enumWord(SendState, value)])} />
        <FilterField name="tenant" label="Tenant" hint="its id" />
        <AsCall method={SendService.method.listSends} request={{ tenantId, states: state ? [state as SendState] : [] }} />
      </div>
      {!state && <Sends label="Uncertain sends" states={[SendState.UNCERTAIN]} tenantId={tenantId} isQuiet />}
      <Sends label="Sends" states={state ? [state as SendState] : []} tenantId={tenantId} />
    </>
  );
}

function Sends({ label, states, tenantId, isQuiet = false }: { label: string; states: SendState[]; tenantId: string; isQuiet?: boolean }) {
  const pages = usePages(["sends", states, tenantId], async (pageToken) => {
    const page = await sends.listSends({ pageToken, tenantId, states });
    return { items: page.sends, next: page.nextPageToken };
  });
  if (isQuiet && pages.isSuccess && pages.items.length === 0) return null;
  return (
    <section aria-label={label}>
      <h2>{label}</h2>
      <List
        label={label} pages={pages} columns={["Created", "To", "Subject", "State", ACTIONS]}
        empty={states.length || tenantId ? <p>No send fits these filters. <a href={href(["sends"])}>Show all</a></p>
          : <p>No mail was sent yet. <code>mailmesh send</code> and <code>SendService</code> send from accounts with the ability mail.send.</p>}
        row={(send) => ({
          key: send.sendId,
          cells: [
            <Time at={send.createdAt} />, <span className="wide"><Outside text={send.to.map((one) => one.address).join(", ")} /></span>, <span className="wide"><Outside text={send.subject} /></span>,
            <><State word={enumWord(SendState, send.state)} /> <Reason reason={send.reason} detail={send.detail} /></>,
            <Actions send={send} />,
          ],
        })}
      />
    </section>
  );
}

function Actions({ send }: { send: Send }) {
  const sendId = send.sendId;
  if (send.state === SendState.UNCERTAIN) {
    return (
      <div className="buttons">
        <Act name="It was sent" call={() => sends.resolveSend({ sendId, resolution: SendResolution.SENT })} />
        <Confirm button="Send again" title="Send this mail again?" call={() => sends.resolveSend({ sendId, resolution: SendResolution.SEND_AGAIN })}>
          <p>Look into the account's sent mail first. If the first mail did go out, the recipients get it twice.</p>
        </Confirm>
      </div>
    );
  }
  const isWaiting = send.state === SendState.QUEUED || send.state === SendState.SCHEDULED;
  return isWaiting ? <Act name="Cancel" call={() => sends.cancelSend({ sendId })} /> : null;
}
