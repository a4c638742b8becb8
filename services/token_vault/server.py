"""Builds TokenVault's objects, wires them, and serves until told to stop."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc

from mailmesh.vault.v1 import (
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    authorization_service_pb2,
    authorization_service_pb2_grpc,
    tenant_service_pb2,
    tenant_service_pb2_grpc,
    token_vault_service_pb2,
    token_vault_service_pb2_grpc,
)
from services.meshkit import db
from services.meshkit.clock import Clock, SystemClock
from services.meshkit.errors import MeshError
from services.meshkit.health import Dependency
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.ids import new_id
from services.meshkit.interceptors.caller import EDGE
from services.meshkit.process import background
from services.meshkit.server import MeshServer, ServerLimits
from services.token_vault.api_access.authorize import Authorizer
from services.token_vault.api_access.edge_contract import EdgeContract, load_contract
from services.token_vault.issuers.configured import offered_issuers
from services.token_vault.issuers.issuer import Issuer
from services.token_vault.keys.keyring import read_keys
from services.token_vault.keys.rotate import KeyKeeper
from services.token_vault.migrate import migrations
from services.token_vault.servicers.api_keys import ApiKeyServicer
from services.token_vault.servicers.audit import AuditServicer
from services.token_vault.servicers.authorization import AuthorizationServicer
from services.token_vault.servicers.ext_authz import ExtAuthzServicer
from services.token_vault.servicers.tenants import TenantServicer
from services.token_vault.servicers.token_vault import TokenVaultServicer
from services.token_vault.settings import NAME, VaultSettings
from services.token_vault.vault import Means, Vault

logger = structlog.get_logger(__name__)

HEALTH = "grpc.health.v1.Health"
_CONCURRENT_RPCS = 2000
# Libraries that would write tokens and codes when told to be talkative.
_TALKATIVE = ("msal", "oauthlib", "requests_oauthlib", "google", "google_auth_oauthlib", "urllib3", "httpx")


async def serve(settings: VaultSettings, stop: asyncio.Event) -> None:
    """Serves until the event is set.

    Raises:
        SettingsError: A setting, a certificate or a key cannot be used.
        SchemaError: The database is not migrated.
    """
    tls = TlsFiles.of(settings)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    async with open_vault(settings, SystemClock()) as vault:
        server = mesh_server(settings, tls, vault, load_contract())
        async with background(*(loop.run() for loop in vault.loops)):
            await server.serve(stop)


@asynccontextmanager
async def open_vault(settings: VaultSettings, clock: Clock) -> AsyncIterator[Vault]:
    """Opens what TokenVault needs: keys that are checked, the database, the providers.

    Raises:
        SettingsError: A setting or a key cannot be used.
        SchemaError: The database is not migrated.
    """
    ring, issuers, process_id = read_keys(settings.keys, settings.keys_file), offered_issuers(settings), new_id()
    async with (
        db.open_pool(settings.database_url, NAME) as pool,
        db.open_pool(settings.database_url, f"{NAME} lending", db.DatabaseLimits(connections=6)) as lending_pool,
    ):
        await migrations(settings.database_url).check()
        keeper = KeyKeeper(pool, ring, clock, process_id, lambda: read_keys(settings.keys, settings.keys_file))
        await keeper.start()
        try:
            yield Vault(settings, Means(clock, pool, lending_pool, ring, issuers, process_id), keeper)
        finally:
            await _close(issuers, keeper)


def mesh_server(settings: VaultSettings, tls: TlsFiles, vault: Vault, contract: EdgeContract) -> MeshServer:
    """Makes the server with everything that TokenVault answers: the mesh, keys, browsers, the edge's own questions."""
    server = MeshServer(NAME, settings.listen, tls, ServerLimits(concurrent_rpcs=_CONCURRENT_RPCS))
    _add_mesh(server, vault)
    _add_key_door(server, vault)
    server.add(
        authorization_service_pb2_grpc.add_AuthorizationServiceServicer_to_server,
        AuthorizationServicer(vault.connector, settings.public_url),
        authorization_service_pb2.DESCRIPTOR.services_by_name["AuthorizationService"],
    )
    server.add(
        external_auth_pb2_grpc.add_AuthorizationServicer_to_server,
        ExtAuthzServicer(Authorizer(vault.checker, contract.roles)),
        external_auth_pb2.DESCRIPTOR.services_by_name["Authorization"],
        callers=[EDGE],
    )
    server.reflect([*contract.services, HEALTH], contract.pool)
    server.depends_on(Dependency("postgres", lambda: db.ping(vault.pool)))
    return server


def _add_mesh(server: MeshServer, vault: Vault) -> None:
    servicer = TokenVaultServicer(
        vault.lender, vault.feed, vault.prober, vault.disconnector, vault.api_keys, vault.pool, vault.clock
    )
    server.add(
        token_vault_service_pb2_grpc.add_TokenVaultServiceServicer_to_server,
        servicer,
        token_vault_service_pb2.DESCRIPTOR.services_by_name["TokenVaultService"],
    )


def _add_key_door(server: MeshServer, vault: Vault) -> None:
    tenants = TenantServicer(
        vault.tenants, vault.connector, vault.reporter, vault.disconnector, vault.prober, vault.clock
    )
    server.add(
        tenant_service_pb2_grpc.add_TenantServiceServicer_to_server,
        tenants,
        tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"],
    )
    server.add(
        api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server,
        ApiKeyServicer(vault.api_keys),
        api_key_service_pb2.DESCRIPTOR.services_by_name["ApiKeyService"],
    )
    server.add(
        audit_service_pb2_grpc.add_AuditServiceServicer_to_server,
        AuditServicer(vault.pool),
        audit_service_pb2.DESCRIPTOR.services_by_name["AuditService"],
    )


async def _close(issuers: dict[str, Issuer], keeper: KeyKeeper) -> None:
    for issuer in issuers.values():
        await issuer.close()
    try:
        await keeper.stop()
    except MeshError as exc:
        logger.warning("the end of the process was not announced", reason=exc.reason)
