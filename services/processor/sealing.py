"""Composition of what seals stored content: the keys of a process, the service of callers, and the pass."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from mailmesh.processor.v1 import sealing_service_pb2
from mailmesh.processor.v1.sealing_service_pb2_grpc import add_SealingServiceServicer_to_server
from mailmesh.vault.v1.content_key_service_pb2_grpc import ContentKeyServiceAsyncStub
from services.meshkit import db
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background
from services.meshkit.server import MeshServer
from services.processor.outbox.store import sends, uploads
from services.processor.search.store.settings import is_indexed
from services.processor.servicers.sealing import SealingServicer
from services.processor.stream.key_follower import KeyFollower
from services.processor.stream.sealing import SealingChoice, StoredSealing

_FOLLOW_SECONDS, _LONGEST_SECONDS = 1.0, 3.0
"""Failures too leave the list of sealed tenants younger than the time between a choice and the first sealed content."""
_LIST_SECONDS = 10.0
_SEAL_SECONDS = 5.0
_SERVICE = "/mailmesh.vault.v1.ContentKeyService"
RETRY_SAFE = (f"{_SERVICE}/CreateContentKey", f"{_SERVICE}/LendContentKeys")
"""TokenVault's RPCs that a channel may repeat."""


@asynccontextmanager
async def with_content_keys(pool: db.Pool, vault: "grpc.aio.Channel") -> AsyncIterator[KeyFollower]:
    """Fetch the content keys, before the process stores or reads content, and follow them while the block runs.

    Args:
        pool: Connections to PostgreSQL.
        vault: A channel to TokenVault, which may be away.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    keys = KeyFollower(pool, ContentKeyServiceAsyncStub(vault))
    await keys.start()
    listing = PeriodicLoop(
        "sealed-tenants",
        _FOLLOW_SECONDS,
        keys.follow,
        round_seconds=_LIST_SECONDS,
        longest_seconds=_LONGEST_SECONDS,
    )
    async with background(listing.run(), PeriodicLoop("content-keys", _FOLLOW_SECONDS, keys.fetch).run()):
        yield keys


@asynccontextmanager
async def with_sealing(server: MeshServer, pool: db.Pool, vault: "grpc.aio.Channel") -> AsyncIterator[None]:
    """Add SealingService to a server that is not started yet, and seal stored content while the block runs.

    Args:
        server: The server.
        pool: Connections to PostgreSQL.
        vault: A channel to TokenVault.

    Raises:
        StoreUnavailable: PostgreSQL cannot be reached.
    """
    async with with_content_keys(pool, vault) as keys:
        server.add(
            add_SealingServiceServicer_to_server,
            SealingServicer(SealingChoice(pool, ContentKeyServiceAsyncStub(vault), keys, is_indexed)),
            sealing_service_pb2.DESCRIPTOR.services_by_name["SealingService"],
        )
        stored = StoredSealing(pool, (sends.seal_some, uploads.seal_some))
        async with background(PeriodicLoop("sealing", _SEAL_SECONDS, stored.round).run()):
            yield
