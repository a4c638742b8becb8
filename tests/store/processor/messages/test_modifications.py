"""A modification is made once for each mail, through the provider's faults, and ends in any case."""

from datetime import timedelta
from typing import Any

import pytest

from mailmesh.processor.v1 import message_service_pb2 as pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit.clock import ManualClock, SystemClock
from services.processor.mailbox.transaction import Transactions
from services.processor.messages.errors import ModificationQueueFull
from services.processor.messages.ledger import Ledger, ModificationEndedError
from services.processor.messages.requests import Modifications
from services.processor.messages.retention import ModificationRetention
from services.processor.messages.rows import ModificationRow, Outcome, OwnChange, Result, State
from services.processor.worker import running
from tests.store.processor.ground import Ground

pytestmark = pytest.mark.timeout(300)
SCOPES = {
    "ms365": "openid profile email offline_access User.Read Mail.ReadWrite",
    "googlews": "openid email https://www.googleapis.com/auth/gmail.modify",
}


class _SilentQueue:
    def wake(self, _key: str, _after_seconds: float = 0.0) -> None:
        return None


class Marking:
    """An account whose mails are modified."""

    def __init__(self, ground: Ground, tenant: tenant_pb2.Tenant) -> None:
        self.ground = ground
        self.tenant = tenant

    @classmethod
    async def of(cls, ground: Ground, provider: str = "ms365") -> "Marking":
        tenant = await ground.tenant(provider)
        await ground.processor.execute(
            "UPDATE processor.tenants SET granted_abilities = $2 WHERE tenant_id = $1",
            tenant.tenant_id,
            ["mail.read", "mail.mark"],
        )
        ground.vault.scopes[tenant.tenant_id] = SCOPES[provider]
        return cls(ground, tenant)

    def modifications(self, **settings: Any) -> Modifications:
        queue: Any = _SilentQueue()
        return Modifications(self.ground.processor, queue, self.ground.worker_settings(**settings), SystemClock())

    def request(self, ids: list[str], key: str = "one") -> pb2.ModifyMessagesRequest:
        change = pb2.MessageChange(is_read=True)
        return pb2.ModifyMessagesRequest(
            idempotency_key=key, tenant_id=self.tenant.tenant_id, message_ids=ids, change=change
        )

    async def deliver(self, count: int) -> list[str]:
        return [str((await self.ground.control.deliver(self.tenant.address))["id"]) for _ in range(count)]

    async def ended(self, row: ModificationRow) -> ModificationRow:
        async def is_there() -> ModificationRow | None:
            found = await self.modifications().get(row.modification_id, None)
            return found if found.state is State.FINISHED else None

        found: ModificationRow = await self.ground.until(is_there, what="the modification ends")
        return found

    async def read_marks(self) -> dict[str, bool]:
        mails = (await self.ground.control.truth(self.tenant.address))["messages"]
        return {mail["id"]: mail["isRead"] if "isRead" in mail else "UNREAD" not in mail["labelIds"] for mail in mails}


@pytest.mark.parametrize(
    "fault",
    [
        {"endpoint": "graph.messages.update", "status": 412, "code": "ErrorIrresolvableConflict"},
        {"endpoint": "graph.messages.update", "status": 504, "phase": "after"},
        {"endpoint": "graph.batch", "status": 503},
        {"endpoint": "graph.batch", "status": 429, "retry_after": 1},
        {"endpoint": "graph.messages.update", "status": 429, "retry_after": 1},
    ],
)
async def test_a_fault_of_the_provider_keeps_no_mail_unchanged(ground: Ground, fault: dict[str, Any]) -> None:
    marking = await Marking.of(ground)
    ids = await marking.deliver(25)
    await ground.control.add_fault("status", account=marking.tenant.address, count=2, **fault)
    row, _ = await marking.modifications().accept(marking.request(ids))
    async with running(ground.worker_settings()):
        ended = await marking.ended(row)

    assert {Outcome.DONE} == set(ended.outcomes)
    assert dict.fromkeys(ids, True) == await marking.read_marks()


async def test_gmail_quota_and_gone_mails_are_survived(ground: Ground) -> None:
    marking = await Marking.of(ground, "googlews")
    ids = await marking.deliver(3)
    await ground.control.add_fault(
        "status", endpoint="gmail.messages.batch_modify", account=marking.tenant.address, status=429,
        code="rateLimitExceeded", count=1,
    )  # fmt: skip
    row, _ = await marking.modifications().accept(marking.request([*ids, "18ffffffffffffff"]))
    async with running(ground.worker_settings()):
        ended = await marking.ended(row)

    assert [Outcome.DONE] * 3 + [Outcome.NOT_FOUND] == list(ended.outcomes)
    assert dict.fromkeys(ids, True) == await marking.read_marks()


async def test_a_modification_that_no_worker_makes_expires_by_its_deadline_and_is_deleted_later(ground: Ground) -> None:
    marking = await Marking.of(ground)
    row, _ = await marking.modifications().accept(marking.request(["a", "b"]))
    clock = ManualClock(row.deadline_at + timedelta(minutes=11))
    await ModificationRetention(ground.processor, clock).round()
    expired = await marking.modifications().get(row.modification_id, None)
    clock.advance(timedelta(days=31).total_seconds())
    await ModificationRetention(ground.processor, clock).round()
    left = await ground.processor.fetchval(
        "SELECT count(*) FROM processor.modifications WHERE tenant_id = $1", marking.tenant.tenant_id
    )

    assert (State.FINISHED, [Outcome.EXPIRED] * 2, None) == (expired.state, list(expired.outcomes), expired.due_at)
    assert 0 == left


async def test_modifications_of_several_tenants_expire_each_by_itself(ground: Ground) -> None:
    both = [await Marking.of(ground) for _ in range(2)]
    rows = [(await one.modifications().accept(one.request(["a"])))[0] for one in both]
    clock = ManualClock(max(row.deadline_at for row in rows) + timedelta(minutes=11))
    ended = await ModificationRetention(ground.processor, clock).round()
    states = [(await both[0].modifications().get(row.modification_id, None)).state for row in rows]

    assert (2, [State.FINISHED] * 2) == (ended, states)


@pytest.mark.parametrize("has_stranger", [True, False])
async def test_categories_are_our_own_only_where_no_other_change_awaits_its_event(
    ground: Ground, *, has_stranger: bool
) -> None:
    marking = await Marking.of(ground)
    mail = await ground.control.deliver(marking.tenant.address, subject="Offer")
    request = marking.request([mail["id"]])
    request.change.CopyFrom(pb2.MessageChange(add_categories=["Processed"]))
    async with running(ground.worker_settings()):
        await ground.notify(marking.tenant, "created", mail)
        await ground.settled()
        if has_stranger:
            await ground.control.update(marking.tenant.address, mail["id"], categories=["Urgent"])
        row, _ = await marking.modifications().accept(request)
        await marking.ended(row)
        mails = (await ground.control.truth(marking.tenant.address))["messages"]
        await ground.notify(marking.tenant, "updated", mails[0])
        await ground.settled()
    change = (await ground.events(marking.tenant))[1].mail

    assert ["categories"] == list(change.change.fields)
    assert ("" if has_stranger else row.modification_id) == change.modification_id


async def test_a_later_wish_for_a_mail_waits_for_the_earlier_one(ground: Ground) -> None:
    marking = await Marking.of(ground)
    one, two = await marking.deliver(2)
    fault = {"endpoint": "graph.messages.update", "message": one, "status": 503, "count": 2}
    await ground.control.add_fault("status", account=marking.tenant.address, **fault)
    first, _ = await marking.modifications().accept(marking.request([one, two]))
    later = marking.request([one], key="two")
    later.change.is_read = False
    second, _ = await marking.modifications().accept(later)
    async with running(ground.worker_settings()):
        outcomes = [set((await marking.ended(row)).outcomes) for row in (first, second)]
    kept = await ground.processor.fetchval(
        "SELECT min(expires_at) - now() FROM processor.own_changes WHERE tenant_id = $1", marking.tenant.tenant_id
    )

    assert [{Outcome.DONE}, {Outcome.DONE}] == outcomes
    assert {one: False, two: True} == await marking.read_marks()
    assert kept > timedelta(seconds=ground.worker_settings().reconcile_seconds)


async def _nothing_announced(*_: Any) -> frozenset[str]:
    return frozenset()


async def test_a_worker_stops_at_a_modification_that_was_ended_meanwhile(ground: Ground) -> None:
    marking = await Marking.of(ground)
    row, _ = await marking.modifications().accept(marking.request(["a", "b"]))
    tenant_id, lifetime = marking.tenant.tenant_id, {"ms365": timedelta(hours=1)}
    await ground.processor.execute("INSERT INTO processor.mailboxes (tenant_id, fence) VALUES ($1, 1)", tenant_id)
    ledger = Ledger(Transactions(ground.processor), tenant_id, 1, SystemClock(), _nothing_announced, lifetime)
    await ledger.intend(row, [OwnChange("a", ("is_read",)), OwnChange("b", ("is_read",))])
    await ModificationRetention(ground.processor, ManualClock(row.deadline_at + timedelta(minutes=11))).round()
    partial = {"a": Result(Outcome.REFUSED, "5"), "b": Result(Outcome.REFUSED)}
    for step in (
        ledger.ended(row, partial),
        ledger.intend(row, [OwnChange("c", ("is_read",))]),
        ledger.wait(row, row.deadline_at, "", "", failed=1),
    ):
        with pytest.raises(ModificationEndedError):
            await step
    left = await ground.processor.fetch(
        "SELECT message_id, version FROM processor.own_changes WHERE tenant_id = $1", tenant_id
    )

    # The change that was made is still known as ours.
    assert [("a", "5")] == [tuple(one) for one in left]


async def test_a_full_queue_refuses_a_new_key_and_takes_a_known_one(ground: Ground) -> None:
    marking = await Marking.of(ground)
    modifications = marking.modifications(modifications_waiting=1)
    row, _ = await modifications.accept(marking.request(["a"]))
    again, was_known = await modifications.accept(marking.request(["a"]))
    with pytest.raises(ModificationQueueFull):
        await modifications.accept(marking.request(["a"], key="two"))

    assert (row.modification_id, True) == (again.modification_id, was_known)
