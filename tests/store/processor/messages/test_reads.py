"""Calls that read from providers: the share of one API key, whatever the number of its tenants."""

import asyncio
from typing import Any, NoReturn

import pytest

from services.meshkit.errors import Overloaded
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.messages.reading.reads import Place, Reads
from tests.store.processor.ground import Ground

pytestmark = pytest.mark.timeout(120)


class NotReadError(Exception):
    """The test ends its read."""


async def test_a_key_of_many_tenants_leaves_room_for_other_keys(ground: Ground) -> None:
    tenants = [(await ground.tenant("ms365")).tenant_id for _ in range(4)]
    begun, end = asyncio.Queue[str](), asyncio.Event()

    async def fetch(access: MailboxAccess, _message_id: str) -> NoReturn:
        begun.put_nowait(access.tenant_id)
        await end.wait()
        raise NotReadError

    settings = ground.worker_settings(reads=4, reads_per_tenant=2, reads_per_key=2)
    async with ProviderHttp.of(settings) as http:
        tokens: Any = None  # the fetch of this test asks for none
        reads = Reads(ground.processor, http, tokens, settings, fetch, lambda _tenant, _units: 0.0)
        greedy = [asyncio.create_task(reads.message(Place(tenant, "m", key_id="one"))) for tenant in tenants[:2]]
        first = {await begun.get() for _ in greedy}
        with pytest.raises(Overloaded) as refused:
            await reads.message(Place(tenants[2], "m", key_id="one"))
        other = asyncio.create_task(reads.message(Place(tenants[2], "m", key_id="two")))
        others = await begun.get()
        end.set()
        ended = await asyncio.gather(*greedy, other, return_exceptions=True)
        with pytest.raises(NotReadError):
            await reads.message(Place(tenants[3], "m", key_id="one"))

    assert (set(tenants[:2]), tenants[2]) == (first, others)
    assert {"bound": "reads_of_keys_of_one"} == refused.value.metadata
    assert all(isinstance(one, NotReadError) for one in ended)
