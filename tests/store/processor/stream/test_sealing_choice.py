"""The choice of sealed tenants on a real PostgreSQL: its scope, its bound, and what excludes it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mailmesh.processor.v1 import sealing_service_pb2, search_service_pb2
from services.meshkit import db
from services.processor.errors import SealingExcludesSearch, TenantNotFound
from services.processor.search.requests import Search
from services.processor.stream import sealing as use_cases
from services.processor.stream.errors import SealedTenantsFull
from services.processor.stream.pages import EventReader
from tests.store.processor.sealed import Sealed
from tests.store.processor.stream.conftest import OTHER_TENANT, TENANT


@pytest.fixture
async def sealed(pool: db.Pool) -> AsyncIterator[Sealed]:
    made = Sealed(pool)
    await made.connect(TENANT, OTHER_TENANT)
    yield made
    made.forget()


async def test_a_tenant_is_sealed_or_searched_not_both(pool: db.Pool, sealed: Sealed) -> None:
    search = Search(pool, EventReader(pool))
    on, off = (search_service_pb2.SearchSettings(is_enabled=choice) for choice in (True, False))
    await search.update_settings(TENANT, on, None)
    with pytest.raises(SealingExcludesSearch):
        await sealed.enable(TENANT)
    await search.update_settings(TENANT, off, None)
    await sealed.enable(TENANT)
    with pytest.raises(SealingExcludesSearch):
        await search.update_settings(TENANT, on, None)
    await sealed.enable(TENANT, is_enabled=False)
    await search.update_settings(TENANT, on, None)


async def test_the_choice_is_refused_outside_of_the_scope_and_for_more_tenants_than_a_process_keeps(
    pool: db.Pool, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = sealing_service_pb2.SealingSettings(is_enabled=True)
    for scope in ([OTHER_TENANT], []):
        with pytest.raises(TenantNotFound):
            await sealed.choice.update(TENANT, settings, scope)
        with pytest.raises(TenantNotFound):
            await sealed.choice.settings(TENANT, scope)
    monkeypatch.setattr(use_cases, "MAX_TENANTS", 1)
    await sealed.enable(TENANT)
    with pytest.raises(SealedTenantsFull):
        await sealed.enable(OTHER_TENANT)
    await sealed.enable(TENANT)


async def test_two_choices_at_once_pass_no_bound(
    pool: db.Pool, sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_cases, "MAX_TENANTS", 1)
    settings = sealing_service_pb2.SealingSettings(is_enabled=True)
    both, make = asyncio.Barrier(2), sealed.keys.CreateContentKey

    async def meet(*given: object, **named: object) -> object:
        await both.wait()  # each has found room
        return await make(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(sealed.keys, "CreateContentKey", meet)
    outcomes = await asyncio.gather(
        *(sealed.choice.update(tenant_id, settings, None) for tenant_id in (TENANT, OTHER_TENANT)),
        return_exceptions=True,
    )

    assert [SealedTenantsFull] == [type(one) for one in outcomes if isinstance(one, BaseException)]
    assert 1 == await pool.fetchval("SELECT count(*) FROM processor.sealed_tenants")


async def test_the_first_choice_notes_that_processes_must_know_sealing(pool: db.Pool, sealed: Sealed) -> None:
    await sealed.enable(TENANT)

    assert "sealed-content" in [row["name"] for row in await pool.fetch("SELECT name FROM processor.features")]
