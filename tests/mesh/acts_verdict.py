"""The faults of a torture's acts: their outcomes and events against the truth in the simulated mailboxes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import event_service_pb2 as events
from mailmesh.processor.v1 import event_service_pb2_grpc as event_services
from mailmesh.processor.v1 import message_service_pb2 as messages
from mailmesh.processor.v1 import send_service_pb2 as sends
from tests.mesh.accounts import created_events
from tests.mesh.torture_acts import Act, Acts
from tests.mesh.verdict import Account
from tests.programs.mesh import Mesh

_TYPES = {sends.SEND_STATE_SENT: "send.sent", sends.SEND_STATE_UNCERTAIN: "send.uncertain"}


LEAST_ACTS_PER_SECOND = 0.25
"""A call may wait for seconds in an outage, so a run has fewer acts than its rate; fewer than this prove little."""
MOST_DOUBTS = 0.25
"""The share of the sends that may end in doubt without a mail: their answers are lost, and not the requests."""
FEW_DOUBTS = 2
"""Doubts that a short run may have whatever its share."""


def act_faults(acts: Acts, accounts: Sequence[Account], seconds: float) -> list[str]:
    """Compare all acts with the mailboxes. Returns sentences about what does not agree, none when all is well."""
    arrived = _subjects(acts.mesh.simulator.truth(acts.recipient)["messages"])
    found = [*acts.wrong, *load_faults(len(acts.all), seconds)]
    found += doubt_faults({act.key: acts.outcome(act).state for act in acts.sends()}, arrived)
    found += [f"{act.key} has the ids {act.ids}" for act in acts.all if len(act.ids) != 1]
    for account in accounts:
        own = acts.mesh.simulator.truth(account.address)["messages"]
        told = Counter((event.send.send_id, event.send.event_type) for event in send_events(acts.mesh, account))
        created = Counter(event.mail.send_id for event in created_events(acts.mesh, account.tenant_id))
        for act in (act for act in acts.all if act.account is account):
            state = acts.outcome(act)
            if act.is_send:
                found += send_faults(act, state, arrived, told)
                found += copy_faults(act, state, own, created)
            else:
                found += mark_faults(act, state, own)
        known = {one for act in acts.all for one in act.ids}
        found += [f"there is an event of a send {one} without a key" for one, _ in told if one not in known]
    return found


def figures(acts: Acts, accounts: Sequence[Account]) -> dict[str, Any]:
    """Count the acts by their outcomes, and the drafts that were left."""
    states = Counter(sends.SendState.Name(acts.outcome(act).state)[11:].lower() for act in acts.sends())
    answers, forwards = (sum(act.request.HasField(kind) for act in acts.sends()) for kind in ("reply", "forward"))
    drafts = sum(
        mail["isDraft"] for account in accounts for mail in acts.mesh.simulator.truth(account.address)["messages"]
    )
    return {
        **states,
        "answers": answers,
        "forwards": forwards,
        "marks": len(acts.marks()),
        "drafts left": drafts,
        "lost": dict(acts.lost),
    }


def send_events(mesh: Mesh, account: Account) -> list[event_pb2.Event]:
    """Read the events of an account's sends, in order."""
    chosen = events.EventFilter(tenant_ids=[account.tenant_id], event_types=["send.*"])
    request = events.ListEventsRequest(page_size=1000, cursor="earliest", filter=chosen)
    return list(event_services.EventServiceStub(mesh.channel).ListEvents(request).events)


def unseen_sends(acts: Acts, accounts: Sequence[Account], seen: Sequence[event_pb2.Event]) -> list[str]:
    """Compare the events of sends that a consumer saw with the stored ones."""
    ids = {event.send.event_id for event in seen if event.HasField("send")}
    stored = [event.send for account in accounts for event in send_events(acts.mesh, account)]
    return [f"the consumer never saw {one.event_type} of {one.send_id}" for one in stored if one.event_id not in ids]


def _subjects(mails: Sequence[dict[str, Any]]) -> Counter[str]:
    """Count mails by the key at the end of their subjects, which an answer prefixes."""
    return Counter(mail["subject"].rpartition(" ")[2] for mail in mails)


def load_faults(acts: int, seconds: float) -> list[str]:
    """Compare the number of acts with the time of the run."""
    least = int(LEAST_ACTS_PER_SECOND * seconds)
    return [f"there were {acts} acts in {seconds:.0f} s, fewer than {least}"] if acts < max(1, least) else []


def doubt_faults(states: Mapping[str, int], arrived: Counter[str]) -> list[str]:
    """Compare the outcomes of all sends, by key: some are known, and few are doubts about a mail that never arrived."""
    doubts = [key for key, state in states.items() if state == sends.SEND_STATE_UNCERTAIN and not arrived[key]]
    most = max(FEW_DOUBTS, int(MOST_DOUBTS * len(states)))
    found = []
    if sends.SEND_STATE_SENT not in states.values():
        found.append(f"none of {len(states)} sends is known as sent")
    if len(doubts) > most:
        found.append(
            f"{len(doubts)} of {len(states)} sends are uncertain and never arrived, more than {most}: {doubts}"
        )
    return found


def send_faults(act: Act, state: Any, arrived: Counter[str], told: Counter[tuple[str, str]]) -> list[str]:
    """Compare one send with the mails that arrived and with its events."""
    name, mails = sends.SendState.Name(state.state), arrived[act.key]
    if state.state not in _TYPES:
        return [f"{act.key} ended as {name}: {state.reason} {state.detail}"]
    found = []
    is_sent = state.state == sends.SEND_STATE_SENT
    if mails > 1 or (is_sent and not mails):
        found.append(f"{act.key} is {name}, and arrived {mails} times")
    if not is_sent and not (state.reason and state.detail):
        found.append(f"{act.key} is {name} without an explanation")
    times = {kind: count for (one, kind), count in told.items() if one == state.send_id}
    if times != {_TYPES[state.state]: 1}:
        found.append(f"{act.key} is {name}, and its events are {times}")
    return found


def copy_faults(act: Act, state: Any, own: Sequence[dict[str, Any]], created: Counter[str]) -> list[str]:
    """Compare the copies of a sent mail in the sender's mailbox, and the events that name its send: one of each."""
    if state.state != sends.SEND_STATE_SENT:
        return []
    original = act.request.reply.message_id or act.request.forward.message_id
    copies = [mail for mail in own if not mail["isDraft"] and mail["id"] != original]
    count, told = _subjects(copies)[act.key], created[state.send_id]
    if (count, told) != (1, 1):
        return [f"{act.key} has {count} copies in {act.account.address}, and {told} created events name its send"]
    return []


def mark_faults(act: Act, state: Any, own: Sequence[dict[str, Any]]) -> list[str]:
    """Compare one modification with the marks of its mails: each has the category or the label of its key."""
    change = act.request.change
    wanted = {*change.add_categories, *change.add_label_ids}
    asked, told = sorted(act.request.message_ids), sorted(one.message_id for one in state.messages)
    present = {mail["id"]: mail for mail in own}
    found = [] if asked == told else [f"{act.key} asked for {asked}, and has outcomes of {told}"]
    for one in state.messages:
        name, mail = messages.MessageOutcome.Name(one.outcome), present.get(one.message_id)
        if one.outcome not in (messages.MESSAGE_OUTCOME_DONE, messages.MESSAGE_OUTCOME_NOT_FOUND):
            found.append(f"{act.key}: {one.message_id} ended as {name}: {state.reason} {state.detail}")
        elif mail is None:
            continue  # a person has deleted it, before or after the mark
        elif one.outcome == messages.MESSAGE_OUTCOME_NOT_FOUND:
            found.append(f"{act.key}: {one.message_id} is there, and was not found")
        elif not wanted or not wanted <= {*mail.get("categories", ()), *mail.get("labelIds", ())}:
            found.append(f"{act.key}: {one.message_id} does not have the mark")
    return found
