"""The seam between a mailbox's reliability and what a wing does with its mail, its calendar, its sends."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mailmesh.vault.v1 import tenant_pb2
from services.meshkit import db
from services.processor.mailbox.failures import SourceError
from services.processor.mailbox.lease import Lease
from services.processor.mailbox.store.due_queues import DueQueue
from services.processor.mailbox.store.mailboxes import Mailbox

Due = TypeVar("Due")
"""An entry of the wing's own queue."""


@dataclass(frozen=True)
class HeldMailbox:
    """A mailbox under a lease of this worker.

    Args:
        lease: The lease, with its fence and its items.
        mailbox: The mailbox's row at the beginning of the lease.
        tenant: The mailbox's tenant.
    """

    lease: Lease
    mailbox: Mailbox
    tenant: tenant_pb2.Tenant


class MailboxWork(Protocol[Due]):
    """The work of a wing on a mailbox that this worker holds."""

    @property
    def queues(self) -> Sequence[DueQueue]:
        """The wing's own queues."""

    async def read_due(self, connection: db.Connection, tenant_id: str, due: Collection[str]) -> Sequence[Due]:
        """Return the entries of the wing's own queues that are due for this tenant.

        Args:
            connection: A connection.
            tenant_id: The mailbox's tenant.
            due: The names of the queues in which the tenant has due entries.
        """

    async def process(self, held: HeldMailbox, due: Sequence[Due]) -> None:
        """Process the items of the lease and the due entries, and acknowledge, release or bury each item.

        Failures of the provider are handled inside.
        """

    async def recover(self, held: HeldMailbox, due: Sequence[Due], error: SourceError) -> None:
        """Handle a failure that came before the work could begin: TokenVault lent no token."""
