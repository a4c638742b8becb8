"""The settings of labels on arrival: their bounds, their changes and their end."""

import pytest

from mailmesh.primitives.v1.primitive_service_pb2 import ClassifyLabel
from mailmesh.processor.v1 import classification_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.erasing import erase_rows
from services.meshkit.errors import FieldInvalid
from services.processor.classification.requests import Classification, checked_settings
from services.processor.erasing import PLAN
from services.processor.errors import PrimitivesNotAvailable, TenantNotFound
from services.processor.stream.store import tenants
from tests.store.processor.classification.labelling import (
    INVOICE,
    LABELS,
    PARCEL,
    SETTINGS,
    Labelled,
)


async def test_other_labels_hold_for_what_is_not_classified_yet(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.publish(labelled.mail(PARCEL))
    other = pb2.ClassificationSettings(
        is_enabled=True, labels=[ClassifyLabel(name="parcel", examples=LABELS[1].examples), LABELS[0]]
    )
    changed, repeated = await labelled.enable(other), await labelled.enable(other)
    await labelled.classify()
    await labelled.enable(pb2.ClassificationSettings())
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.classify()

    assert (2, True, 2) == (changed.settings_version, changed.is_waiting, repeated.settings_version)
    assert [("parcel", 2)] == [
        (one.classification.label, one.classification.settings_version) for one in await labelled.labels()
    ]
    assert pb2.ClassificationSettings() == (await labelled.requests.settings(labelled.tenant, None))[0]


async def test_mail_of_before_is_not_labelled_when_classification_begins_again(labelled: Labelled) -> None:
    await labelled.enable()
    await labelled.enable(pb2.ClassificationSettings())
    await labelled.publish(labelled.mail(PARCEL))
    await labelled.enable()
    await labelled.publish(labelled.mail(INVOICE))
    await labelled.classify()

    assert ["2"] == [one.message_id for one in await labelled.labels()]


async def test_settings_go_with_a_disconnected_tenant_and_with_its_erasure(labelled: Labelled) -> None:
    await labelled.enable()
    other = Labelled(labelled.pool, labelled.service)
    await other.begin()
    await other.enable()
    async with db.transaction(labelled.pool) as connection:
        await tenants.forget_mailbox(connection, labelled.tenant)
    removed = await erase_rows(labelled.pool, PLAN, other.tenant)

    assert 1 == removed["classification_settings"]
    assert 0 == await labelled.pool.fetchval("SELECT count(*) FROM processor.classification_settings")


async def test_only_tenants_in_scope_and_only_with_primitives(labelled: Labelled) -> None:
    without = Classification(labelled.pool, labelled.reader, is_available=False)

    with pytest.raises(TenantNotFound):
        await labelled.requests.settings(labelled.tenant, [])
    with pytest.raises(TenantNotFound):
        await labelled.requests.update_settings(labelled.tenant, SETTINGS, [])
    with pytest.raises(PrimitivesNotAvailable):
        await without.update_settings(labelled.tenant, SETTINGS, None)
    assert not (await without.update_settings(labelled.tenant, pb2.ClassificationSettings(), None))[0].is_enabled


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (pb2.ClassificationSettings(is_enabled=True), "settings.labels"),
        (pb2.ClassificationSettings(labels=LABELS[:1]), "settings.labels"),
        (pb2.ClassificationSettings(labels=[*LABELS, LABELS[0]]), "settings.labels"),
        (pb2.ClassificationSettings(labels=LABELS, minimum_margin=float("nan")), "settings.minimum_margin"),
        (pb2.ClassificationSettings(labels=LABELS, minimum_margin=1.5), "settings.minimum_margin"),
    ],
)
def test_settings_beyond_their_bounds_are_refused_by_their_field(
    settings: pb2.ClassificationSettings, field: str
) -> None:
    with pytest.raises(FieldInvalid) as refused:
        checked_settings(settings)

    assert [field] == list(refused.value.violations)
