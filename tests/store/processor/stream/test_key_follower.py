"""The list of sealed tenants and their keys in a process, whatever becomes of TokenVault and of other tenants."""

from collections.abc import AsyncIterator

import pytest

from services.meshkit import db
from services.meshkit.errors import ServiceUnavailable
from services.processor.stream import key_follower
from services.processor.stream.contents import CONTENTS
from services.processor.stream.errors import ContentKeyUnavailable, SealBroken
from services.processor.stream.key_follower import KeyFollower
from services.processor.stream.publish import publish
from services.processor.stream.sealing import StoredSealing
from services.processor.stream.store import sealed_tenants
from tests.store.processor.sealed import Sealed
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT, mail_draft
from tests.store.processor.stream.test_sealing import put, read, secret_draft


@pytest.fixture
async def sealed(pool: db.Pool) -> AsyncIterator[Sealed]:
    made = Sealed(pool)
    await made.connect(TENANT, OTHER_TENANT)
    yield made
    made.forget()


async def add(pool: db.Pool, tenant_id: str) -> None:
    """Make the choice of a tenant as another process has, some time ago."""
    async with db.transaction(pool) as connection:
        await sealed_tenants.enable(connection, tenant_id)
        await connection.execute(
            "UPDATE processor.sealed_tenants SET enabled_at = now() - interval '5 minutes' WHERE tenant_id = $1",
            tenant_id,
        )


async def test_a_choice_beside_an_erasure_of_another_tenant_is_noticed(pool: db.Pool, sealed: Sealed) -> None:
    await add(pool, TENANT)
    await sealed.follower.follow()
    async with db.transaction(pool) as connection:
        await connection.execute("DELETE FROM processor.sealed_tenants WHERE tenant_id = $1", TENANT)
    await add(pool, OTHER_TENANT)
    await sealed.follower.follow()

    assert (False, True) == (CONTENTS.is_sealing(TENANT), CONTENTS.is_sealing(OTHER_TENANT))
    with pytest.raises(ContentKeyUnavailable):
        await put(pool, secret_draft(OTHER_TENANT))


async def test_the_list_is_followed_while_token_vault_is_away(pool: db.Pool, sealed: Sealed) -> None:
    await add(pool, TENANT)
    sealed.keys.is_away = True
    await sealed.follower.follow()
    with pytest.raises(ServiceUnavailable):
        await sealed.follower.fetch()
    await add(pool, OTHER_TENANT)
    await sealed.follower.follow()

    assert CONTENTS.is_sealing(OTHER_TENANT)


@pytest.mark.parametrize(
    ("reason", "raised"), [("SEAL_BROKEN", SealBroken), ("KEY_UNAVAILABLE", ContentKeyUnavailable)]
)
async def test_a_key_that_was_altered_stops_no_reader_of_others_and_one_that_is_not_loaded_is_awaited(
    pool: db.Pool, sealed: Sealed, reason: str, raised: type[Exception]
) -> None:
    await sealed.enable(TENANT)
    await put(pool, secret_draft())
    (other,) = await put(pool, mail_draft(tenant_id=OTHER_TENANT))
    sealed.forget()
    sealed.keys.reasons[TENANT] = reason
    follower = KeyFollower(pool, sealed.keys)  # type: ignore[arg-type] # a stub's calls
    await follower.start()

    with pytest.raises(raised):
        await put(pool, secret_draft())
    if raised is SealBroken:
        assert [other] == [event.mail.event_id for event in await read(pool)]
    else:
        with pytest.raises(ContentKeyUnavailable):
            await read(pool)


async def test_a_key_that_comes_back_is_asked_for_again(
    pool: db.Pool, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_follower, "_REFUSED_SECONDS", 0.0)
    await sealed.enable(TENANT)
    await put(pool, secret_draft())
    sealed.forget()
    kept, sealed.keys.made = sealed.keys.made, {}
    follower = KeyFollower(pool, sealed.keys)  # type: ignore[arg-type] # a stub's calls
    await follower.start()
    without = await read(pool)
    sealed.keys.made = kept
    fetched = await follower.fetch()

    assert ([], 1, 1) == (without, fetched, len(await read(pool)))


async def test_a_tenant_without_its_key_does_not_hold_up_the_pass_of_others(
    pool: db.Pool, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tenant_id in (TENANT, OTHER_TENANT):
        async with db.transaction(pool) as connection:
            await publish(connection, [secret_draft(tenant_id)])
    await sealed.enable(TENANT)
    await sealed.enable(OTHER_TENANT)
    sealed.forget()
    sealed.keys.reasons[TENANT] = "KEY_UNAVAILABLE"
    await KeyFollower(pool, sealed.keys).start()  # type: ignore[arg-type] # a stub's calls
    monkeypatch.setattr("services.processor.stream.sealing._TENANTS", 1)
    await StoredSealing(pool, ()).round()
    first, other = [await sealed.choice.settings(one, None) for one in (TENANT, OTHER_TENANT)]

    assert first is not None
    assert other is not None
    assert (False, True) == (first.is_complete, other.is_complete)
