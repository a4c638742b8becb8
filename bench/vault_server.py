"""TokenVault with one additional RPC, which does nothing: the comparison for a loan.

`python -m bench.vault_server` is `python -m services.token_vault serve` with this RPC.
"""

import asyncio
import sys
from typing import Any

from services.meshkit.clock import SystemClock
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.process import background, observed, run
from services.meshkit.settings import load
from services.token_vault import server
from services.token_vault.api_access.edge_contract import load_contract
from services.token_vault.settings import NAME, VaultSettings
from tests.programs.echo import echo_modules, echo_service


class Nothing:
    """Answer at once."""

    def __init__(self) -> None:
        self._answer = echo_modules()[0].EchoResponse()

    async def One(self, request: Any, context: Any) -> Any:
        """An RPC that does nothing."""
        del request, context
        return self._answer

    Many = Collect = Chat = One


async def serve(stop: asyncio.Event) -> None:
    """Serve until stopped."""
    settings = load(VaultSettings)
    async with observed(NAME, settings), server.open_vault(settings, SystemClock()) as vault:
        mesh = server.mesh_server(settings, TlsFiles.of(settings), vault, load_contract())
        mesh.add(echo_modules()[1].add_MeshEchoServicer_to_server, Nothing(), echo_service("MeshEcho"))
        async with background(vault.changes_head.run(), *(loop.run() for loop in vault.loops)):
            await mesh.serve(stop)


if __name__ == "__main__":
    sys.exit(run(serve))
