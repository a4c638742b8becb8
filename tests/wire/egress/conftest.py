"""An authority for receivers' certificates, and a client that may reach one address of this machine."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver

from services.egress.addresses import EgressRules
from services.egress.client import EgressClient
from tests.factories.receivers import Authority, Names

OpenClient = Callable[..., AbstractAsyncContextManager[EgressClient]]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("receivers"))


@pytest.fixture
def open_client(authority: Authority) -> OpenClient:
    """Opens a client for which 127.0.0.1 is the operator's own network, and `receiver.example` is there."""

    @asynccontextmanager
    async def opened(
        *, names: AbstractResolver | None = None, own: tuple[str, ...] = ("127.0.0.1",), trusted: Path | None = None
    ) -> AsyncIterator[EgressClient]:
        names = names or Names(receiver_example=[["127.0.0.1"]])
        async with EgressClient.open(
            EgressRules.read(own=own), authority=trusted or authority.path, lookup=names
        ) as client:
            yield client

    return opened


@pytest.fixture
async def client(open_client: OpenClient) -> AsyncIterator[EgressClient]:
    async with open_client() as client:
        yield client
