"""An attempt is made for the tenants of the endpoint's filter only."""

import os
from typing import Any

import pytest

from services.delivery.endpoints.secrets import Sealer
from services.delivery.errors import TenantNotFound
from services.delivery.sending.attempt import Attempts
from services.delivery.store.rows import Delivery
from services.meshkit.clock import SystemClock
from services.meshkit.ids import new_id
from tests.unit.delivery.test_schedule import endpoint


async def test_nothing_is_sent_for_a_tenant_that_the_filter_excludes() -> None:
    nowhere: Any = None  # Without a client and a stream, anything that were read or sent would fail otherwise.
    attempts = Attempts(nowhere, Sealer({"one": os.urandom(32)}), nowhere, nowhere, SystemClock())
    other = Delivery(new_id(), new_id(), "mail.created", "a", b"{}")

    with pytest.raises(TenantNotFound):
        await attempts.deliver(endpoint(tenant_ids=[new_id()]), other)
