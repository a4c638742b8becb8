"""A change is named our own only where it surely is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.meshkit import db
from services.meshkit.ids import new_id
from services.processor.mailbox.seen_change import SeenChange
from services.processor.messages.rows import OwnChange
from services.processor.messages.store import own_changes
from tests.store.processor.ground import Ground

NONE: frozenset[str] = frozenset()
MODIFICATION = new_id()


def seen(*fields: str, version: str = "9", is_compared: bool = True, added: frozenset[str] = NONE) -> SeenChange:
    return SeenChange("m", version, frozenset(fields), added, NONE, is_compared)


@pytest.mark.parametrize(
    ("version", "change", "is_own"),
    [
        ("", seen("is_read"), True),
        ("9", seen("is_read"), True),
        ("8", seen("is_read"), False),
        ("", seen("is_read", "subject"), False),
        ("", seen(added=frozenset({"L"})), False),
        # No difference is proved by the version alone, and not by its absence.
        ("", seen(), False),
        ("", seen(version=""), False),
        ("", seen("size_bytes"), False),
        ("8", seen(), False),
        ("9", seen(), True),
        ("", seen(is_compared=False), False),
        ("9", seen(is_compared=False), False),
    ],
)
async def test_a_change_is_our_own_only_with_a_proof(
    ground: Ground, version: str, change: SeenChange, *, is_own: bool
) -> None:
    tenant, until = new_id(), datetime.now(UTC) + timedelta(hours=1)
    async with db.connection(ground.processor) as connection:
        await own_changes.intend(connection, tenant, MODIFICATION, [OwnChange("m", ("is_read",))], until)
        await own_changes.made(connection, tenant, MODIFICATION, {"m": version})
        found: Any = await own_changes.recognise(connection, tenant, [change])

    assert ({"m": MODIFICATION} if is_own else {}) == found


async def test_a_repeated_intent_claims_the_changes_of_all_attempts(ground: Ground) -> None:
    tenant, until = new_id(), datetime.now(UTC) + timedelta(hours=1)
    first = OwnChange("m", ("is_read",), ("L",))
    async with db.connection(ground.processor) as connection:
        for change in (first, OwnChange("m", ("categories",)), OwnChange("m", ("folder_id",), ("M",))):
            await own_changes.intend(connection, tenant, MODIFICATION, [change], until)
        whole = seen("is_read", "categories", "folder_id", added=frozenset({"L", "M"}))
        found = await own_changes.recognise(connection, tenant, [whole])

    assert {"m": MODIFICATION} == found
