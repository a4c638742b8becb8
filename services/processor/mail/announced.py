"""Compare the present values of mails with the ones that their last events announced."""

from collections.abc import Mapping, Sequence

from mailmesh.mail.v1 import message_pb2
from services.meshkit import db
from services.message.fields import clean
from services.processor.mail.field_digests import differing, digests_of
from services.processor.mail.store import messages


async def announced_categories(
    connection: db.Connection, tenant_id: str, present: Mapping[str, Sequence[str]]
) -> frozenset[str]:
    """Tell which mails have the categories that mailmesh announced last. See `mailbox.seen_change`."""
    known = await messages.load(connection, tenant_id, list(present))
    return frozenset(
        message_id
        for message_id, state in known.items()
        if state.digests is not None and not _differ(state.digests, present[message_id])
    )


def _differ(announced: bytes, categories: Sequence[str]) -> bool:
    return "categories" in differing(announced, digests_of(message_pb2.MailMessage(categories=map(clean, categories))))
