"""Asks for a look at the tenants' addresses when a push names one that nobody has."""

from mailmesh.vault.v1.token_vault_service_pb2 import ReportTenantFaultRequest, TenantFault
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from services.meshkit.clock import Clock

_CALL_SECONDS = 10.0
_PAUSE_SECONDS = 30.0


class UnknownAddressReporter:
    """Tells TokenVault that an address is not known; however many pushes say so, twice a minute at most.

    Args:
        stub: TokenVault.
        clock: The time.
    """

    def __init__(self, stub: TokenVaultServiceAsyncStub, clock: Clock) -> None:
        self._stub = stub
        self._clock = clock
        self._is_wanted = False
        self._not_before = 0.0

    def want(self) -> None:
        """Wants a look. Never waits. Safe to call again."""
        self._is_wanted = True

    async def ask(self) -> int:
        """Asks if somebody wanted it. What cannot be asked now is asked in the next round.

        Returns:
            Always 0: the next round can wait.

        Raises:
            MeshError: TokenVault is away.
        """
        if not self._is_wanted or self._clock.monotonic() < self._not_before:
            return 0
        fault = TenantFault.TENANT_FAULT_ADDRESS_UNKNOWN
        await self._stub.ReportTenantFault(ReportTenantFaultRequest(fault=fault), timeout=_CALL_SECONDS)
        self._is_wanted, self._not_before = False, self._clock.monotonic() + _PAUSE_SECONDS
        return 0
