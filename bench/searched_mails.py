"""Mails for the measurement of search, from a seed, and a store that has them and their index."""

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from mailmesh.mail.v1 import event_pb2
from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.processor.search.terms import KEY_BYTES, Digests, fields_of, terms_of
from services.processor.stream.cursor import Cursor, tag_of
from services.processor.stream.serialization import KIND_MAIL, split
from services.processor.stream.store import tenants
from services.processor.stream.store.retention import make_partition

KEY = b"k" * KEY_BYTES
WORDS = 60_000
SMALL = 50
DAYS = 30
PEOPLE = 2_000
_LENGTH = (60, 340)
_BATCH = 2_000
_EVENTS = (
    "position", "event_id", "tenant_id", "provider", "event_type", "kind", "received_at", "basic_size", "body_size",
    "raw_size", "basic", "body", "raw",
)  # fmt: skip
_SETTINGS = """
    INSERT INTO processor.search_settings (tenant_id, is_enabled, is_clearing, key, position, cursor, mails)
    VALUES ($1, true, false, $2, $3, $4, 0)
"""
_HEAD = """
    UPDATE processor.stream SET head = last.position, head_event_id = last.event_id
    FROM (SELECT position, event_id FROM processor.events ORDER BY position DESC LIMIT 1) AS last WHERE id = 1
    RETURNING epoch, stream.head, stream.head_event_id
"""


def tenant(number: int) -> str:
    """Return the id of one of the tenants."""
    return str(UUID(int=0x019A9F0E_0000_7000_8000_000000000000 + number))


BIG = tenant(0)


class Mails:
    """Makes mails.

    Args:
        seed: The same seed makes the same mails.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.words = self._vocabulary()
        self._weights = list(itertools.accumulate(1 / (rank + 2.7) for rank in range(WORDS)))
        self._digests: dict[str, frozenset[int]] = {}
        self._maker = Digests(KEY)

    def mail(self, number: int) -> event_pb2.NormalizedMailEvent:
        """Return the event of a mail with a text."""
        chance = self.chance
        chosen = chance.choices(self.words, cum_weights=self._weights, k=chance.randint(*_LENGTH))
        event = event_pb2.NormalizedMailEvent(
            provider="ms365", event_type="mail.created", generation=1, version="1", is_enriched=True,
            message_id=f"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A{number:016x}", external_tenant_id="o", user_id="u",
        )  # fmt: skip
        message = event.message
        message.subject = " ".join(chosen[:6])
        message.from_address.address, message.from_address.name = self.person(chance.randrange(PEOPLE)), chosen[0]
        message.to.add(address=self.person(chance.randrange(PEOPLE)))
        message.folder_id = "inbox"
        message.body.text = " ".join(chosen)
        if number % 5 == 0:
            message.attachments.add(name=f"{chosen[1]}-{number}.pdf")
        return event

    def person(self, number: int) -> str:
        """Return the address of a person."""
        return f"{self.words[number * 7 % WORDS]}.{self.words[number]}@team{number % 40}.example.com"

    def digests(self, event: event_pb2.NormalizedMailEvent) -> list[int]:
        """Return the digests of a mail, as the index has them; those of each word are made once."""
        found: set[int] = set()
        text = event.message
        people = [text.from_address.address, text.to[0].address, *(one.name for one in text.attachments)]
        for word in itertools.chain(text.body.text.split(), people):
            known = self._digests.get(word)
            if known is None:
                only = event_pb2.NormalizedMailEvent()
                only.message.body.text = word
                known = frozenset(self._maker.of(terms_of(only.message) - fields_of(only.message)))
                self._digests[word] = known
            found |= known
        found.update(self._maker.of(fields_of(text)))
        return sorted(found)

    def _vocabulary(self) -> list[str]:
        """Return different words; frequent ones are short, as in languages."""
        syllables = [first + second for first in "bdfgklmnprstvwz" for second in "aeiou"]
        made: dict[str, None] = {}
        while len(made) < WORDS:
            length = 1 + min(4, len(made) // 12_000 + self.chance.randint(0, 2))
            made["".join(self.chance.choices(syllables, k=length + 1))] = None
        return list(made)


async def fill(pool: db.Pool, mails: Mails, count: int) -> float:
    """Put mails of the last thirty days into an empty store, with their index. Return the seconds."""
    began = time.monotonic()
    async with db.connection(pool) as connection:
        today = datetime.now(UTC).date()
        for day in range(-DAYS - 1, 8):
            await make_partition(connection, today + timedelta(days=day))
        await connection.execute("DROP INDEX processor.search_mails_by_terms")
    start = int((datetime.now(UTC) - timedelta(days=DAYS)).timestamp() * 1_000_000)
    step = (DAYS - 1) * 86_400_000_000 // count
    for first in range(0, count, _BATCH):
        await _insert(pool, list(_rows(mails, range(first, min(first + _BATCH, count)), start, step)))
        if first % (25 * _BATCH) == 0:
            print(f"  {first:,} mails, {time.monotonic() - began:.0f} s", flush=True)
    async with db.connection(pool) as connection:
        await connection.execute("SET maintenance_work_mem = '512MB'")
        await connection.execute(
            "CREATE INDEX search_mails_by_terms ON processor.search_mails USING gin (terms)", timeout=3000
        )
        row = await connection.fetchrow(_HEAD)
        assert row is not None
        cursor = Cursor(row["epoch"], row["head"], tag_of(row["head_event_id"]))
        for number in range(SMALL + 1):
            known = tenant_pb2.Tenant(tenant_id=tenant(number), provider="ms365", external_tenant_id="o", user_id="u")
            await tenants.save(connection, known, "active", datetime.now(UTC))
            await connection.execute(_SETTINGS, tenant(number), KEY, cursor.position, cursor.write())
        await connection.execute("VACUUM ANALYZE processor.search_mails", timeout=3000)
        await connection.execute("ANALYZE processor.events", timeout=3000)
    return time.monotonic() - began


def _rows(mails: Mails, numbers: Sequence[int], start: int, step: int) -> Iterator[tuple[Any, Any]]:
    for number in numbers:
        position = start + number * step
        event = mails.mail(number)
        owner = BIG if number % 2 else tenant(1 + number // 2 % SMALL)
        event.tenant_id = owner
        at = datetime.fromtimestamp(position / 1_000_000, UTC)
        event.received_at.FromDatetime(at)
        event.message.mail_received_at.FromDatetime(at)
        parts = split(event)
        event_id = UUID(int=(position // 1000 << 80) | (0x7000_8000 << 48) | number)
        yield (
            (
                position, event_id, owner, "ms365", "mail.created", KIND_MAIL, at, len(parts.basic), parts.body_size,
                parts.raw_size, parts.basic, parts.body, parts.raw,
            ),
            (owner, event.message_id, at, position, mails.digests(event)),
        )  # fmt: skip


async def _insert(pool: db.Pool, rows: Sequence[tuple[Any, Any]]) -> None:
    async with db.transaction(pool) as connection:
        for table, columns, records in (
            ("events", _EVENTS, [event for event, _ in rows]),
            (
                "search_mails",
                ("tenant_id", "message_id", "received_at", "position", "terms"),
                [mail for _, mail in rows],
            ),
        ):
            await connection.copy_records_to_table(table, schema_name="processor", columns=columns, records=records)
