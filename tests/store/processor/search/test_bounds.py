"""A call that reads the stream for the settings of search counts as one of the searches of its key."""

from typing import Any

import pytest

from mailmesh.processor.v1 import search_service_pb2 as pb2
from services.meshkit import db
from services.meshkit.errors import Overloaded
from services.meshkit.identity.caller import Caller, calling_as
from services.meshkit.shares import Shares
from services.processor.servicers.search import SearchServicer
from tests.store.processor.search.indexing import Indexed
from tests.unit.processor.search.mails import mail

KEY = "01a22229-b9d7-7f26-ac3e-1df743fc8f6a"


@pytest.fixture
async def indexed(pool: db.Pool) -> Indexed:
    made = Indexed(pool)
    await made.begin()
    return made


async def test_the_state_of_an_index_is_counted_within_the_bound_of_searches(indexed: Indexed) -> None:
    context: Any = None
    shares = Shares("searches", 2, 1)
    servicer: Any = SearchServicer(indexed.search, shares)
    get = pb2.GetSearchSettingsRequest(tenant_id=indexed.tenant)
    update = pb2.UpdateSearchSettingsRequest(tenant_id=indexed.tenant, settings=pb2.SearchSettings(is_enabled=True))
    await indexed.publish(indexed.event("one", mail("invoice")))

    with calling_as(Caller("a key", key_id=KEY)):
        with shares.take(KEY):
            for call, request in ((servicer.GetSearchSettings, get), (servicer.UpdateSearchSettings, update)):
                with pytest.raises(Overloaded):
                    await call(request, context)
        await servicer.UpdateSearchSettings(update, context)
        answer = await servicer.GetSearchSettings(get, context)

    assert (True, 1) == (answer.settings.is_enabled, answer.index.waiting_events)
    assert 0 == shares.taken
