"""The erasure of a person takes the labels of the person's mail with it, also replayed ones and late ones."""

import pytest

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import event_pb2
from mailmesh.processor.v1 import processor_service_pb2 as processor_pb2
from services.meshkit.erasing_marks import PersonToErase
from services.meshkit.erasing_persons import Pace, PersonErasing
from services.meshkit.identity.caller import Caller, Role
from services.meshkit.ids import new_id
from services.meshkit.shares import Shares
from services.processor.persons import PERSONS
from services.processor.stream.filter import Selection
from services.processor.stream.pages import EARLIEST
from services.processor.stream.replay import Replaying
from services.processor.stream.serialization import KIND_ERASED
from tests.store.processor.classification.labelling import INVOICE, PARCEL, Labelled

ANN, BEN = "ann@example.test", "ben@example.test"


@pytest.fixture
async def labelled(labelled: Labelled) -> Labelled:
    await labelled.enable()
    return labelled


def mail_of(labelled: Labelled, sender: str, text: str) -> mail_pb2.NormalizedMailEvent:
    event = labelled.mail(text)
    event.message.from_address.address = sender
    return event


async def erase(labelled: Labelled, address: str) -> dict[str, int]:
    erasing = PersonErasing(labelled.pool, "processor", PERSONS, Pace(settle_seconds=0, slice_seconds=60, rest=0))
    progress = await erasing.advance(PersonToErase(new_id(), labelled.tenant, address))
    assert progress.mark.is_done
    return dict(progress.mark.removed)


async def labels_of(labelled: Labelled, *, include_replays: bool = False) -> list[str]:
    start = await labelled.reader.start(EARLIEST, EARLIEST)
    selection = Selection(
        tenants=frozenset((labelled.tenant,)), event_types=["mail.classified"], include_replays=include_replays
    )
    page = await labelled.reader.page(start, selection, event_pb2.EVENT_VIEW_FULL, 1000)
    return [one.mail.message_id for one in page.events]


async def test_the_label_of_an_erased_mail_goes_with_it_and_others_stay(labelled: Labelled) -> None:
    await labelled.publish(mail_of(labelled, ANN, PARCEL), mail_of(labelled, BEN, INVOICE))
    await labelled.classify()
    before = await labelled.labels()
    removed = await erase(labelled, ANN)
    after = await labelled.labels()
    tombstones = await labelled.pool.fetch("SELECT event_id, basic FROM processor.events WHERE kind = $1", KIND_ERASED)

    assert ["1", "2"] == [one.message_id for one in before]
    assert [before[1]] == after
    assert 2 == removed["events"]
    assert before[0].event_id in {str(row["event_id"]) for row in tombstones}
    assert not any(row["basic"] for row in tombstones)


async def test_replayed_labels_of_an_erased_mail_go_too(labelled: Labelled) -> None:
    await labelled.publish(mail_of(labelled, ANN, PARCEL), mail_of(labelled, BEN, INVOICE))
    await labelled.classify()
    replaying = Replaying(labelled.pool, labelled.reader, Shares("replays", 8, 4), 4 * 1024**3)
    for _ in range(2):
        await replaying.replay(processor_pb2.ReplayEventsRequest(), Caller("envoy", "key", Role.OPERATOR))
    before = await labels_of(labelled, include_replays=True)
    removed = await erase(labelled, ANN)

    assert ["1", "2"] * 3 == before
    assert ["2"] * 3 == await labels_of(labelled, include_replays=True)
    assert 6 == removed["events"]


async def test_a_mail_that_is_erased_while_it_is_classified_gets_no_label(labelled: Labelled) -> None:
    await labelled.publish(mail_of(labelled, ANN, PARCEL), mail_of(labelled, BEN, INVOICE))
    classify = labelled.service.ClassifyArrival

    async def meanwhile(*given: object, **named: object) -> object:
        answer = await classify(*given, **named)  # type: ignore[arg-type]
        if 1 == len(labelled.service.asked):
            await erase(labelled, ANN)
        return answer

    labelled.service.ClassifyArrival = meanwhile  # type: ignore[method-assign, assignment]
    await labelled.classify()

    assert ["2"] == await labels_of(labelled)
