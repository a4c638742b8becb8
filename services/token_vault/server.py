"""The programs of TokenVault, put together: pools, keys, use cases, servicers. `python -m services.token_vault`."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
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
    content_key_service_pb2,
    content_key_service_pb2_grpc,
    directory_service_pb2,
    directory_service_pb2_grpc,
    export_service_pb2,
    export_service_pb2_grpc,
    session_service_pb2,
    session_service_pb2_grpc,
    sign_in_service_pb2,
    sign_in_service_pb2_grpc,
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
from services.token_vault.accounts.app_credentials import AppCredentials
from services.token_vault.api_access.authorize import AgentAccess, Authorizer
from services.token_vault.api_access.edge_contract import EdgeContract, load_contract
from services.token_vault.api_access.origin import Origins
from services.token_vault.issuers.configured import Providers, check_providers, configured_providers
from services.token_vault.keys.keyring import read_keys
from services.token_vault.keys.registration import KeyRegistration
from services.token_vault.migrate import SCHEMA
from services.token_vault.servicers.api_keys import ApiKeyServicer
from services.token_vault.servicers.audit import AuditServicer
from services.token_vault.servicers.authorization import AuthorizationServicer
from services.token_vault.servicers.content_keys import ContentKeyServicer
from services.token_vault.servicers.directories import DirectoryServicer
from services.token_vault.servicers.export import ExportServicer
from services.token_vault.servicers.ext_authz import ExtAuthzServicer
from services.token_vault.servicers.sessions import SessionServicer
from services.token_vault.servicers.sign_in import SignInServicer
from services.token_vault.servicers.tenants import TenantServicer
from services.token_vault.servicers.token_vault import TokenVaultServicer
from services.token_vault.settings import NAME, VaultSettings
from services.token_vault.sign_in.provider import IdentityProvider
from services.token_vault.tenant_rows import open_readers
from services.token_vault.use_cases import Resources, Vault, make_vault

logger = structlog.get_logger(__name__)

_CONCURRENT_RPCS = 4000
# The edge takes 1 MiB; questions to reflection pass it unbuffered.
_REQUEST_BYTES = 2 * 1024 * 1024
# Pages of an authorization, health and reflection: a person and a monitor need few at once.
_RPCS_PER_ADDRESS = 32
_LENDING_CONNECTIONS = 6
# These libraries write tokens and codes at their more talkative levels.
_TALKATIVE = ("msal", "oauthlib", "requests_oauthlib", "google", "google_auth_oauthlib", "urllib3", "httpx")


async def serve(settings: VaultSettings, stop: asyncio.Event) -> None:
    """Serve until the event is set.

    Raises:
        SettingsError: A setting, a certificate or a key is unusable.
        SchemaError: The database is not migrated.
    """
    tls = TlsFiles.of(settings)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    async with open_vault(settings, SystemClock()) as vault:
        server = mesh_server(settings, tls, vault, load_contract())
        async with background(vault.changes_head.run(), *(loop.run() for loop in vault.loops)):
            await server.serve(stop)


@asynccontextmanager
async def open_vault(settings: VaultSettings, clock: Clock) -> AsyncIterator[Vault]:
    """Check the keys, open the database and the providers, and close everything in reverse order behind the block.

    Raises:
        SettingsError: A setting or a key is unusable.
        SchemaError: The database is not migrated.
    """
    check_providers(settings)
    ring, process_id = read_keys(settings.keys, settings.keys_file), new_id()
    async with (
        db.open_pool(settings.database_url, NAME) as pool,
        db.open_pool(settings.database_url, f"{NAME} lending", db.DatabaseLimits(_LENDING_CONNECTIONS)) as lending_pool,
        open_readers(settings, pool) as readers,
    ):
        await SCHEMA.check(settings.database_url)
        registration = KeyRegistration(
            pool, ring, clock, process_id, lambda: read_keys(settings.keys, settings.keys_file)
        )
        await registration.start()
        credentials = AppCredentials(pool, ring, clock, settings.ms365_client_id)
        providers, sign_in = configured_providers(settings, credentials), None
        try:
            at = Resources(settings, clock, pool, lending_pool, ring, credentials, providers, process_id, readers)
            vault = make_vault(at, registration)
            sign_in = vault.sign_in
            yield vault
        finally:
            await _close([providers, *([sign_in.provider] if sign_in else ())], registration)


def mesh_server(settings: VaultSettings, tls: TlsFiles, vault: Vault, contract: EdgeContract) -> MeshServer:
    """Make the server with all of TokenVault's RPCs: for the mesh, for keys, for browsers, and for the edge itself."""
    server = MeshServer(
        NAME,
        settings.listen,
        tls,
        ServerLimits(
            concurrent_rpcs=_CONCURRENT_RPCS, rpcs_per_address=_RPCS_PER_ADDRESS, request_bytes=_REQUEST_BYTES
        ),
    )
    _add_mesh_service(server, vault)
    _add_key_services(server, vault)
    for add, pages, module in (
        (
            authorization_service_pb2_grpc.add_AuthorizationServiceServicer_to_server,
            AuthorizationServicer(vault.connector, settings.public_url),
            authorization_service_pb2,
        ),
        (
            sign_in_service_pb2_grpc.add_SignInServiceServicer_to_server,
            SignInServicer(vault.sign_in, settings.public_url),
            sign_in_service_pb2,
        ),
    ):
        server.add(add, pages, *module.DESCRIPTOR.services_by_name.values())
    server.add(
        external_auth_pb2_grpc.add_AuthorizationServicer_to_server,
        _ext_authz(vault, contract, settings.public_url),
        external_auth_pb2.DESCRIPTOR.services_by_name["Authorization"],
        callers=[EDGE],
    )
    server.reflect(contract.services, contract.files)
    server.depends_on(Dependency("postgres", lambda: db.ping(vault.pool)))
    return server


def _ext_authz(vault: Vault, contract: EdgeContract, public_url: str) -> ExtAuthzServicer:
    sign_in = vault.sign_in
    agents = AgentAccess(sign_in.agents if sign_in else None, vault.passes)
    authorizer = Authorizer(vault.authenticator, vault.sessions, agents, contract.needs)
    return ExtAuthzServicer(authorizer, Origins(public_url), sign_in.resource.challenge if sign_in else "")


def _add_mesh_service(server: MeshServer, vault: Vault) -> None:
    servicer = TokenVaultServicer(
        vault.lender,
        vault.changes,
        vault.prober,
        vault.disconnector,
        vault.eraser,
        vault.persons,
        vault.api_keys,
        vault.sessions,
        vault.pool,
        vault.clock,
    )
    add = token_vault_service_pb2_grpc.add_TokenVaultServiceServicer_to_server
    server.add(add, servicer, token_vault_service_pb2.DESCRIPTOR.services_by_name["TokenVaultService"])
    server.add(
        content_key_service_pb2_grpc.add_ContentKeyServiceServicer_to_server,
        ContentKeyServicer(vault.content_keys),
        content_key_service_pb2.DESCRIPTOR.services_by_name["ContentKeyService"],
    )


def _add_key_services(server: MeshServer, vault: Vault) -> None:
    tenants = TenantServicer(
        vault.tenants,
        vault.connector,
        vault.authorizations,
        vault.disconnector,
        vault.eraser,
        vault.persons,
        vault.prober,
        vault.shared,
        vault.clock,
    )
    directories = DirectoryServicer(vault.mailboxes, vault.delegations, vault.credentials, vault.clock)
    api_keys = ApiKeyServicer(vault.api_keys)
    audit_log, sessions = AuditServicer(vault.pool), SessionServicer(vault.sessions, vault.api_keys)
    exports = ExportServicer(vault.exporter, vault.clock)
    for add, servicer, module in (
        (tenant_service_pb2_grpc.add_TenantServiceServicer_to_server, tenants, tenant_service_pb2),
        (directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server, directories, directory_service_pb2),
        (api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server, api_keys, api_key_service_pb2),
        (audit_service_pb2_grpc.add_AuditServiceServicer_to_server, audit_log, audit_service_pb2),
        (session_service_pb2_grpc.add_SessionServiceServicer_to_server, sessions, session_service_pb2),
        (export_service_pb2_grpc.add_ExportServiceServicer_to_server, exports, export_service_pb2),
    ):
        (service,) = module.DESCRIPTOR.services_by_name.values()
        server.add(add, servicer, service)


async def _close(providers: Iterable[Providers | IdentityProvider], registration: KeyRegistration) -> None:
    for provider in providers:
        await provider.close()
    try:
        await registration.stop()
    except MeshError as exc:
        logger.warning("end of process not announced", reason=exc.reason)
