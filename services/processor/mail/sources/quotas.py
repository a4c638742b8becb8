"""The quotas of a process's mailboxes at Google."""

from services.processor.mail.sources.gmail import Quota

_MAX_QUOTAS = 10_000


class Quotas:
    """Keeps a quota for each mailbox.

    Args:
        units_per_minute: The quota units of a mailbox in a minute.
    """

    def __init__(self, units_per_minute: int) -> None:
        self._units_per_minute = units_per_minute
        self._quotas: dict[str, Quota] = {}

    def of(self, tenant_id: str) -> Quota:
        """Return the quota of a mailbox."""
        if tenant_id not in self._quotas and len(self._quotas) >= _MAX_QUOTAS:
            self._quotas.pop(next(iter(self._quotas)))
        return self._quotas.setdefault(tenant_id, Quota(self._units_per_minute))

    def take(self, tenant_id: str, units: int) -> float:
        """Take units of a mailbox's quota, and return the seconds to wait; see `Quota.wait_for`."""
        return self.of(tenant_id).wait_for(units)

    async def wait(self, tenant_id: str, units: int) -> None:
        """Take units of a mailbox's quota, and wait until they are free; see `Quota.take`."""
        await self.of(tenant_id).take(units)
