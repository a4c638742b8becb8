"""Contents that are fetched for Primitives: bounded in bytes and number, and refused by name without Primitives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mailmesh.primitives.v1 import fetched_service_pb2 as fetched_pb2
from mailmesh.primitives.v1 import primitive_service_pb2 as primitives_pb2
from services.meshkit.errors import Overloaded
from services.meshkit.shares import Shares
from services.processor.errors import PrimitivesNotAvailable
from services.processor.messages.errors import ContentTooLarge
from services.processor.messages.reading.contents import Contents
from services.processor.messages.reading.download import Download
from services.processor.messages.reading.reads import Place

PLACE = Place("019a9f0e-7c1e-7000-8000-000000000002", "m", key_id="key")


class Reads:
    """A mailbox whose content comes in pieces, and counts those that were read."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.read = pieces, 0

    @asynccontextmanager
    async def raw(self, place: Place, offset: int) -> AsyncIterator[Download]:
        assert (PLACE, 0) == (place, offset)
        yield Download("offer.txt", "text/plain", None, self._pieces())

    @asynccontextmanager
    async def attachment(self, place: Place, attachment_id: str, offset: int) -> AsyncIterator[Download]:
        assert "a" == attachment_id
        async with self.raw(place, offset) as download:
            yield download

    async def _pieces(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.read += 1
            yield piece


class Primitives:
    """Primitives that notes each request, and answers when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[fetched_pb2.ParseFetchedRequest | fetched_pb2.ExtractFetchedRequest] = []
        self.may_answer = asyncio.Event()

    async def ParseFetched(
        self, request: fetched_pb2.ParseFetchedRequest, timeout: float
    ) -> fetched_pb2.ParseFetchedResponse:
        self.asked.append(request)
        await asyncio.wait_for(self.may_answer.wait(), timeout)
        return fetched_pb2.ParseFetchedResponse(answer=primitives_pb2.ParseMailResponse(faults=["too_deep"]))

    async def ExtractFetched(
        self, request: fetched_pb2.ExtractFetchedRequest, timeout: float
    ) -> fetched_pb2.ExtractFetchedResponse:
        self.asked.append(request)
        await asyncio.wait_for(self.may_answer.wait(), timeout)
        return fetched_pb2.ExtractFetchedResponse(answer=primitives_pb2.ExtractDocumentResponse(format="txt"))


def contents(reads: Reads, primitives: Primitives | None, most_bytes: int = 10) -> Contents:
    return Contents(reads, primitives, most_bytes, Shares("contents", 2, 1))  # type: ignore[arg-type]


async def test_the_whole_content_is_handed_on_with_its_name_and_no_tenant() -> None:
    primitives = Primitives()
    primitives.may_answer.set()
    made = contents(Reads(b"12345", b"67890"), primitives)

    assert ["too_deep"] == (await made.parse(PLACE)).faults
    assert "txt" == (await made.extract(PLACE, "a")).format
    assert [
        fetched_pb2.ParseFetchedRequest(request={"content": b"1234567890"}),
        fetched_pb2.ExtractFetchedRequest(
            request={"content": b"1234567890", "file_name": "offer.txt", "content_type": "text/plain"}
        ),
    ] == primitives.asked


async def test_a_content_beyond_the_bound_is_read_no_further_than_to_it() -> None:
    reads, primitives = Reads(*[b"12345"] * 100), Primitives()
    with pytest.raises(ContentTooLarge) as refused:
        await contents(reads, primitives).parse(PLACE)

    assert (3, [], {"maximum": "10"}) == (reads.read, primitives.asked, refused.value.metadata)


async def test_a_key_has_its_share_of_the_contents_in_memory() -> None:
    primitives = Primitives()
    made = contents(Reads(b"1"), primitives)
    first = asyncio.create_task(made.parse(PLACE))
    while not primitives.asked:
        await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await made.extract(PLACE, "a")
    primitives.may_answer.set()

    assert ["too_deep"] == (await first).faults
    assert "txt" == (await made.extract(PLACE, "a")).format


async def test_without_the_address_of_primitives_nothing_is_fetched() -> None:
    reads = Reads(b"1")
    with pytest.raises(PrimitivesNotAvailable):
        await contents(reads, None).parse(PLACE)

    assert 0 == reads.read
