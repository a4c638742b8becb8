"""Asks TokenVault to refresh the tenants' addresses when a push names an unknown one."""

from mailmesh.vault.v1.token_vault_service_pb2 import ReportTenantFaultRequest, TenantFault
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.clock import Clock

_CALL_SECONDS = 10.0
_PAUSE_SECONDS = 30.0


class UnknownAddressReporter:
    """Reports unknown addresses to TokenVault, at most twice a minute however many pushes name them.

    Args:
        stub: TokenVault.
        clock: The time.
    """

    def __init__(self, stub: TokenVaultServiceAsyncStub, clock: Clock) -> None:
        self._stub = stub
        self._clock = clock
        self._is_due = False
        self._not_before = 0.0

    def note(self) -> None:
        """Note an unknown address for the next round. Never waits. Safe to call again."""
        self._is_due = True

    async def round(self) -> int:
        """Report if an unknown address was noted. After a failure the next round reports.

        Returns:
            Always 0: the next round can wait.

        Raises:
            MeshError: TokenVault is away.
        """
        if not self._is_due or self._clock.monotonic() < self._not_before:
            return 0
        fault = TenantFault.TENANT_FAULT_ADDRESS_UNKNOWN
        await self._stub.ReportTenantFault(ReportTenantFaultRequest(fault=fault), timeout=_CALL_SECONDS)
        self._is_due, self._not_before = False, self._clock.monotonic() + _PAUSE_SECONDS
        return 0
