"""A label of a mark that collides with one that the mailbox has: the existing one is used, and none is made."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest

from mailmesh.processor.v1 import message_service_pb2 as pb2
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.channel import mesh_channel
from services.meshkit.errors import MeshError
from services.meshkit.identity.certificates import TlsFiles
from services.processor.mailbox.access import MailboxAccess
from services.processor.mailbox.provider_http import ProviderHttp
from services.processor.mailbox.token_cache import TokenCache
from services.processor.messages.reading.reads import Place, Reads
from tests.store.processor.ground import Ground
from tests.store.processor.messages.test_modifications import Marking

pytestmark = pytest.mark.timeout(120)
CREATE = "gmail.labels.create"


async def nothing(_access: MailboxAccess, _message_id: str) -> NoReturn:
    raise AssertionError("no mail is read")


@asynccontextmanager
async def reads(ground: Ground) -> AsyncIterator[Reads]:
    """The use case that makes what a mark names."""
    settings = ground.worker_settings()
    async with (
        mesh_channel(settings.token_vault_address, "token-vault", TlsFiles.of(settings)) as vault,
        ProviderHttp.of(settings) as http,
    ):
        tokens = TokenCache(TokenVaultServiceAsyncStub(vault), settings.token_seconds)
        yield Reads(ground.processor, http, tokens, settings, nothing, lambda _tenant, _units: 0.0)


async def named(ground: Ground, marking: Marking, name: str) -> str:
    """The id of the label that a mark with this name means."""
    async with reads(ground) as made:
        change = await made.change_of(Place(marking.tenant.tenant_id), pb2.ProcessedMark(label_name=name))
    (label,) = change.add_label_ids
    return str(label)


async def labels(ground: Ground, marking: Marking) -> dict[str, str]:
    """The names of the mailbox's own labels by id."""
    listed: Any = await ground.control.request("GET", f"/accounts/{marking.tenant.address}/folders")
    return {one["id"]: one["name"] for one in listed if one["id"] != one["name"]}


@pytest.mark.parametrize(
    ("existing", "wanted"),
    [("Done", "Done"), ("done", "Done"), ("Orders Done", "Orders/Done"), ("Über-fällig", "ÜBER fällig")],
)
async def test_a_label_that_collides_with_one_of_the_mailbox_is_this_one(
    ground: Ground, existing: str, wanted: str
) -> None:
    marking = await Marking.of(ground, "googlews")
    there = (await ground.control.add_folder(marking.tenant.address, existing))["id"]

    assert there == await named(ground, marking, wanted)
    assert {there: existing} == await labels(ground, marking)


async def test_a_label_that_another_call_makes_meanwhile_is_found_after_the_conflict(ground: Ground) -> None:
    marking = await Marking.of(ground, "googlews")
    address = marking.tenant.address
    # It is made, and this call hears of the conflict alone.
    await ground.control.add_fault(
        "status", endpoint=CREATE, account=address, status=409, code="aborted", phase="after", count=1
    )
    label = await named(ground, marking, "Done")

    assert {label: "Done"} == await labels(ground, marking)
    counts = await ground.control.request("GET", "/calls/counts", endpoint=CREATE, account=address)
    assert 1 == counts["total"]


async def test_the_label_of_the_very_name_goes_before_one_that_is_alike(ground: Ground) -> None:
    marking = await Marking.of(ground, "googlews")
    await ground.control.add_folder(marking.tenant.address, "done")
    exact = (await ground.control.add_folder(marking.tenant.address, "Done"))["id"]

    assert exact == await named(ground, marking, "Done")


async def test_a_conflict_with_nothing_that_the_list_shows_is_named(ground: Ground) -> None:
    marking = await Marking.of(ground, "googlews")
    await ground.control.add_fault(
        "status", endpoint=CREATE, account=marking.tenant.address, status=409, code="aborted", count=2
    )
    with pytest.raises(MeshError) as refused:
        await named(ground, marking, "Done")

    assert "PROVIDER" in refused.value.reason
    assert {} == await labels(ground, marking)
