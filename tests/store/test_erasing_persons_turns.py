"""The progress of an erasure of a person: one process at a time, in short transactions, up to a real end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from mailmesh.processor.v1 import send_service_pb2
from services.meshkit import db
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import PersonErasing, Progress
from services.meshkit.erasing_steps import Rows
from services.meshkit.errors import Conflict
from services.meshkit.ids import new_id
from services.meshkit.person_eraser import Pending, PersonEraser
from services.meshkit.persons import Person
from services.meshkit.secret import Secret
from services.processor import persons as processor
from services.processor.outbox.rows import State
from tests.programs.postgres import TestDatabase
from tests.store.planted_persons import plant
from tests.store.planting import cells_with, insert
from tests.store.test_erasing_persons import ANN, AT_ONCE, KilledError, dying, erase_person, pending


@pytest.fixture
async def pool(processor_database: TestDatabase) -> AsyncIterator[db.Pool]:
    async with db.open_pool(Secret(processor_database.admin_url), "tests") as opened:
        yield opened


async def test_one_process_at_a_time_erases(pool: db.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = new_id()
    await plant(pool, "processor", tenant, ANN)
    erasing, one = PersonErasing(pool, "processor", processor.PERSONS, AT_ONCE), pending(tenant)
    waits = PersonErasing(pool, "processor", processor.PERSONS, replace(AT_ONCE, settle_seconds=3600))
    assert "sends" == (await waits.advance(one)).table
    with monkeypatch.context() as other:
        another = new_id()
        other.setattr("services.meshkit.erasing_marks._process", lambda: another)
        assert not (await erasing.advance(one)).moved
    assert (await erasing.advance(one)).mark.is_done


async def test_an_erasure_that_a_list_lacks_is_done_only_once_each_row_was_checked(pool: db.Pool) -> None:
    """A list without it: of a process that asked before it began, or of a release that knows no persons."""
    tenant = new_id()
    await plant(pool, "processor", tenant, ANN)
    one, left = pending(tenant), [1]
    with pytest.raises(KilledError):  # a page of sends is done, and no event
        await erase_person(pool, "processor", [dying(rows, left) for rows in processor.PERSONS[1:]], one)
    told: list[Progress] = []
    listed: list[Pending] = []

    async def report(_: PersonToErase, progress: Progress) -> None:
        told.append(progress)

    async def pending_now() -> list[Pending]:
        return listed

    eraser = PersonEraser(PersonErasing(pool, "processor", processor.PERSONS, AT_ONCE), pending_now, report)
    for _ in range(2):
        await eraser.round()
    assert [] == told
    listed.append(Pending(one, is_due=False))
    await eraser.round()
    assert [False] == [progress.mark.is_done for progress in told]
    listed[0] = Pending(one, is_due=True)
    await eraser.round()

    assert told[-1].mark.is_done
    assert {rows.table for rows in processor.PERSONS} == told[-1].mark.removed.keys()
    assert set() == await cells_with(pool, "processor", ANN)


async def test_an_erasure_that_is_dropped_while_it_runs_does_not_end(pool: db.Pool) -> None:
    tenant = new_id()
    await plant(pool, "processor", tenant, ANN)
    one, erasing = pending(tenant), PersonErasing(pool, "processor", processor.PERSONS, AT_ONCE)
    loop = asyncio.get_running_loop()

    def judge(row: Any, person: Person) -> Any:  # in a thread, while the other process drops it
        asyncio.run_coroutine_threadsafe(erasing.drop([new_id()]), loop).result(30)
        return processor.PERSONS[0].judge(row, person)

    steps = [replace(processor.PERSONS[0], judge=judge), *processor.PERSONS[1:]]
    with pytest.raises(Conflict):
        await PersonErasing(pool, "processor", steps, AT_ONCE).advance(one)
    assert not (await erasing.cut_off(one)).mark.is_done
    assert (await erasing.advance(one)).mark.is_done
    assert set() == await cells_with(pool, "processor", ANN)


async def test_each_send_of_a_page_ends_in_a_transaction_of_its_own(pool: db.Pool) -> None:
    tenant = new_id()
    await plant(pool, "processor", tenant, ANN)
    content = send_service_pb2.SendRequest(mail={"to": [{"address": ANN}]}).SerializeToString()
    values = {"tenant_id": tenant, "state": State.SCHEDULED.value}
    for key, text in enumerate([content, b"", content, content, b""]):
        await insert(pool, "processor.sends", send_id=new_id(), idempotency_key=f"{key}", content=text, **values)
    one = pending(tenant)
    with pytest.raises(KilledError):  # between two transactions of the page
        await erase_person(pool, "processor", [slain(processor.PERSONS[0]), *processor.PERSONS[1:]], one)
    (done,) = await pool.fetch("SELECT checked, removed ->> 'sends' AS removed FROM processor.erased_persons")
    assert (int(done["removed"]) >= 1, True) == (True, done["checked"] >= int(done["removed"]))
    removed = await erase_person(pool, "processor", processor.PERSONS, one)

    ended = await pool.fetch("SELECT xmin::text FROM processor.sends WHERE reason = 'PERSON_ERASED'")
    assert (5, 5, 5) == (removed["sends"], len(ended), len(set(ended)))
    checked = [rows for rows in processor.PERSONS if rows.table == "sends"]
    again = (await PersonErasing(pool, "processor", checked, AT_ONCE).advance(pending(tenant))).mark
    assert (7, {}) == (again.checked, again.removed)


def slain(rows: Rows) -> Rows:
    """Return rows whose second end of a row ends the process."""
    ended: list[str] = []

    async def then(connection: db.Connection, key: str) -> None:
        ended.append(key)
        if len(ended) > 1:
            raise KilledError
        assert rows.then is not None
        await rows.then(connection, key)

    return replace(rows, then=then)
