"""Labels on arrival in PostgreSQL: one event for each mail, and none for what did not arrive."""

import asyncio

from mailmesh.mail.v1 import event_pb2 as mail_pb2
from mailmesh.processor.v1 import classification_service_pb2 as pb2
from tests.store.processor.classification.labelling import (
    INVOICE,
    PARCEL,
    Labelled,
)


async def test_classification_is_off_until_it_is_enabled_and_then_labels_what_arrives(labelled: Labelled) -> None:
    await labelled.publish(labelled.mail(INVOICE))
    await labelled.classify()
    before = (await labelled.labels(), await labelled.progress(), list(labelled.service.asked))
    enabled = await labelled.enable()
    first, second = await labelled.publish(labelled.mail(PARCEL), labelled.mail(INVOICE))
    await labelled.classify()
    labels = await labelled.labels()

    assert before == ([], pb2.ClassificationProgress(), [])
    assert (1, False) == (enabled.settings_version, enabled.is_waiting)
    assert [("2", first.event_id, "delivery"), ("3", second.event_id, "bill")] == [
        (one.message_id, one.classification.classified_event_id, one.classification.label) for one in labels
    ]
    assert all(one.classification.margin >= 0.01 and one.classification.settings_version == 1 for one in labels)
    assert all(not one.HasField("message") and not one.is_enriched and one.generation == 1 for one in labels)
    assert all(one.external_tenant_id == "o" and one.correlation_id for one in labels)


async def test_what_did_not_arrive_gets_no_label(labelled: Labelled) -> None:
    await labelled.enable()
    draft, own, unfetched = (labelled.mail(PARCEL) for _ in range(3))
    draft.message.is_draft = True
    own.message.ClearField("headers")
    unfetched.ClearField("message")
    unfetched.is_enriched = False
    sent_by_gmail = labelled.mail(PARCEL, provider="googlews")
    sent_by_gmail.message.label_ids.append("SENT")
    older = labelled.mail(PARCEL, source=mail_pb2.EVENT_SOURCE_BACKFILL)
    changed = labelled.mail(PARCEL, event_type="mail.updated")
    await labelled.publish(draft, own, unfetched, sent_by_gmail, older, changed)
    await labelled.classify()

    assert [] == await labelled.labels()
    assert [] == labelled.service.asked
    assert not (await labelled.progress()).reason


async def test_a_mail_without_text_is_unknown_and_asks_nobody(labelled: Labelled) -> None:
    await labelled.enable()
    empty = labelled.mail("")
    empty.message.subject = ""
    await labelled.publish(empty)
    await labelled.classify()
    (label,) = await labelled.labels()

    assert ("unknown", "", "") == (label.classification.label, label.classification.method, label.classification.reason)
    assert [] == labelled.service.asked


async def test_quoted_mail_is_not_read(labelled: Labelled) -> None:
    await labelled.enable()
    event = labelled.mail(PARCEL)
    event.message.body.text += "\n> the quoted words"
    await labelled.publish(event)
    await labelled.classify()

    assert [PARCEL] == [one.request.text for one in labelled.service.asked]


async def test_two_processes_that_classify_the_same_mail_publish_one_label(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(*(labelled.mail(PARCEL) for _ in range(5)))
    other = labelled.another()
    first, second = labelled.classifier._advance, other._advance  # both have the duty
    await asyncio.gather(first(labelled.tenant), second(labelled.tenant))

    assert ["1", "2", "3", "4", "5"] == [one.message_id for one in await labelled.labels()]


async def test_one_process_at_a_time_has_the_duty(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.classify()
    await labelled.publish(labelled.mail(INVOICE))

    assert 0 == await labelled.another().round()
    await labelled.pool.execute("UPDATE processor.duties SET expires_at = now() - interval '1 second'")
    assert 1 == await labelled.another().round()
    assert 2 == len(await labelled.labels())


async def test_a_mail_that_is_read_again_after_its_label_keeps_the_event_that_it_has(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.classify()
    first = await labelled.labels()
    # The place is lost, as by a store that was restored to an older one: everything is read again.
    await labelled.pool.execute("UPDATE processor.classification_settings SET cursor = 'earliest', position = 0")
    await labelled.classify()

    assert first == await labelled.labels()
    assert 2 == len(labelled.service.asked)


async def test_retention_that_passes_the_place_loses_no_later_mail(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.pool.execute(
        "UPDATE processor.stream SET floor = last.head, floor_event_id = last.head_event_id FROM"
        " (SELECT head, head_event_id FROM processor.stream ORDER BY head DESC LIMIT 1) AS last WHERE id = 1"
    )
    await labelled.publish(labelled.mail(INVOICE))
    await labelled.classify()

    assert ["2"] == [one.message_id for one in await labelled.labels()]
