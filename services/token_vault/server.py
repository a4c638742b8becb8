"""Composition of TokenVault: the only module that builds its objects. `python -m services.token_vault serve`."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

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
from services.meshkit.head_watch import HeadWatch
from services.meshkit.health import Dependency
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.ids import new_id
from services.meshkit.interceptors.caller import EDGE
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background
from services.meshkit.server import MeshServer, ServerLimits
from services.token_vault.accounts.admit import Admission
from services.token_vault.accounts.app_credentials import AppCredentials
from services.token_vault.accounts.authorization_status import AuthorizationReader
from services.token_vault.accounts.connect import Connector
from services.token_vault.accounts.consent import Consents
from services.token_vault.accounts.content_keys import ContentKeys
from services.token_vault.accounts.delegations import Delegations
from services.token_vault.accounts.directory_mailboxes import DirectoryMailboxes
from services.token_vault.accounts.disconnect import DisconnectBounds, Disconnector
from services.token_vault.accounts.erase import Eraser, ReportSigner
from services.token_vault.accounts.erase_person import PersonEraser
from services.token_vault.accounts.examine import Examiner
from services.token_vault.accounts.export import Exporter, ReadRows
from services.token_vault.accounts.flow_start import FlowStarter
from services.token_vault.accounts.probe import Prober
from services.token_vault.accounts.shared_mailboxes import SharedMailboxes
from services.token_vault.accounts.tenant_change_feed import TenantChangeFeed
from services.token_vault.accounts.tenants import Tenants
from services.token_vault.api_access.api_keys import ApiKeys
from services.token_vault.api_access.authenticate import ApiKeyAuthenticator
from services.token_vault.api_access.authorize import AgentAccess, Authorizer
from services.token_vault.api_access.edge_contract import EdgeContract, load_contract
from services.token_vault.api_access.origin import Origins
from services.token_vault.api_access.passes import Passes
from services.token_vault.api_access.sessions import SessionLife, Sessions
from services.token_vault.audit import AuditLog
from services.token_vault.issuers.configured import Providers, check_providers, configured_providers
from services.token_vault.issuers.issuer import Issuer
from services.token_vault.keys.keyring import KeyRing, read_keys
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
from services.token_vault.sign_in.configured import SignIn, configured_sign_in
from services.token_vault.sign_in.provider import IdentityProvider
from services.token_vault.store import tenant_changes
from services.token_vault.tenant_rows import open_readers
from services.token_vault.tokens.credential_reader import CredentialReader
from services.token_vault.tokens.issue import Lender
from services.token_vault.tokens.refresh import RefreshBounds, Refresher
from services.token_vault.tokens.refresh_ahead import RefreshAhead
from services.token_vault.tokens.token_cipher import TokenCipher
from services.token_vault.upkeep import Upkeep

logger = structlog.get_logger(__name__)

_CONCURRENT_RPCS = 4000
# The edge takes 1 MiB; questions to reflection pass it unbuffered.
_REQUEST_BYTES = 2 * 1024 * 1024
# Pages of an authorization, health and reflection: a person and a monitor need few at once.
_RPCS_PER_ADDRESS = 32
_LENDING_CONNECTIONS = 6
_BEAT_SECONDS = 5.0
_LAST_USED_SECONDS = 30.0
_PRUNE_SECONDS = 3600.0
_MEASURE_SECONDS = 15.0
_DISCONNECT_SECONDS = 1.0
# Each change of a tenant wakes the disconnects; only steps that fall due by their time wait. An erasure takes a minute.
_IDLE_FACTOR = 5.0
_PROBE_SECONDS = 5.0
_LEASE_MARGIN_SECONDS = 5.0
# These libraries write tokens and codes at their more talkative levels.
_TALKATIVE = ("msal", "oauthlib", "requests_oauthlib", "google", "google_auth_oauthlib", "urllib3", "httpx")


@dataclass(frozen=True)
class Resources:
    """Everything that the use cases share.

    Args:
        settings: TokenVault's settings.
        clock: The time.
        pool: Connections to the database, for everything but lending.
        lending_pool: Connections for lending, so that no other work delays a loan.
        ring: The key-encryption keys.
        credentials: The app's own credentials.
        providers: The providers.
        process_id: The id of this process, as it stands in claims.
        readers: By service: reads its rows of a tenant.
    """

    settings: VaultSettings
    clock: Clock
    pool: db.Pool
    lending_pool: db.Pool
    ring: KeyRing
    credentials: AppCredentials
    providers: Providers
    process_id: str
    readers: Mapping[str, ReadRows]

    @property
    def issuers(self) -> dict[str, Issuer]:
        """The issuers of persons' grants, by provider."""
        return self.providers.issuers

    @property
    def lease(self) -> timedelta:
        """How long a claim holds: longer than setting up and asking take, each within the provider's time limit."""
        return timedelta(seconds=self.settings.provider_timeout_seconds * 2 + _LEASE_MARGIN_SECONDS)


@dataclass(frozen=True)
class Vault:
    """The use cases, and the loops that run beside the server."""

    clock: Clock
    pool: db.Pool
    lender: Lender
    content_keys: ContentKeys
    connector: Connector
    mailboxes: DirectoryMailboxes
    delegations: Delegations
    shared: SharedMailboxes
    credentials: AppCredentials
    authorizations: AuthorizationReader
    disconnector: Disconnector
    eraser: Eraser
    persons: PersonEraser
    exporter: Exporter
    prober: Prober
    tenants: Tenants
    changes: TenantChangeFeed
    api_keys: ApiKeys
    authenticator: ApiKeyAuthenticator
    sessions: Sessions
    sign_in: SignIn | None
    passes: Passes
    changes_head: HeadWatch
    loops: tuple[PeriodicLoop, ...]


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
            vault = _vault(at, registration)
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


def _vault(at: Resources, registration: KeyRegistration) -> Vault:
    cipher = TokenCipher(at.ring, timedelta(seconds=at.settings.refresh_ahead_seconds))
    reader, apps = CredentialReader(at.lending_pool), at.providers.apps
    refresher = Refresher(
        at.pool, reader.read, cipher, at.issuers, apps, at.clock, at.process_id, RefreshBounds(lease=at.lease)
    )
    lender = Lender(at.pool, reader, refresher, cipher, AuditLog(at.lending_pool), at.issuers, at.clock)
    disconnector = Disconnector(
        at.pool, reader, cipher, at.issuers, at.clock, at.process_id, _disconnect_bounds(at.settings, at.lease)
    )
    signer = ReportSigner(at.settings.tls_cert, at.settings.tls_key)
    backups_kept = timedelta(days=at.settings.backup_retention_days)
    eraser = Eraser(at.pool, disconnector, signer, at.clock, backups_kept)
    persons = PersonEraser(at.pool, signer, at.clock, backups_kept)
    prober = Prober(at.pool, Examiner(lender, at.issuers, apps, at.clock), at.clock)
    authenticator = ApiKeyAuthenticator(at.pool, at.clock, timedelta(seconds=at.settings.api_key_cache_seconds))
    sessions = Sessions(at.pool, at.clock, _session_life(at.settings))
    passes = Passes(at.pool, at.ring, at.clock, timedelta(seconds=at.settings.api_key_cache_seconds))
    connector, mailboxes = _connecting(at, cipher)
    changes_head = HeadWatch(at.pool, tenant_changes.CHANNEL, tenant_changes.current_position)
    disconnects = PeriodicLoop("disconnect", _DISCONNECT_SECONDS, disconnector.round, idle_factor=_IDLE_FACTOR)
    erasures = PeriodicLoop("erase", _DISCONNECT_SECONDS, eraser.round, idle_factor=_IDLE_FACTOR)
    changes_head.call(disconnects.nudge)
    return Vault(
        clock=at.clock,
        pool=at.pool,
        lender=lender,
        content_keys=ContentKeys(at.pool, at.ring, at.clock),
        connector=connector,
        mailboxes=mailboxes,
        shared=SharedMailboxes(at.pool, lender, at.providers.consenting, mailboxes.admission, at.clock),
        delegations=Delegations(at.pool, at.providers.google, at.clock),
        credentials=at.credentials,
        authorizations=AuthorizationReader(at.pool, at.clock),
        disconnector=disconnector,
        eraser=eraser,
        persons=persons,
        exporter=Exporter(at.pool, at.ring, at.readers, at.clock),
        prober=prober,
        tenants=Tenants(at.pool, lender, at.clock),
        changes=TenantChangeFeed(at.pool, at.clock, changes_head),
        api_keys=ApiKeys(at.pool, at.clock),
        authenticator=authenticator,
        sessions=sessions,
        sign_in=configured_sign_in(at.settings, at.pool, sessions, at.clock),
        passes=passes,
        changes_head=changes_head,
        loops=(
            *_token_loops(at, refresher),
            disconnects,
            erasures,
            PeriodicLoop("erase-persons", _DISCONNECT_SECONDS, persons.round, idle_factor=_IDLE_FACTOR),
            PeriodicLoop("probe", _PROBE_SECONDS, prober.round),
            PeriodicLoop("key beat", _BEAT_SECONDS, registration.beat, round_seconds=15),
            PeriodicLoop("key use", _LAST_USED_SECONDS, authenticator.note_used, round_seconds=30),
            PeriodicLoop("session use", _LAST_USED_SECONDS, sessions.note_used, round_seconds=30),
            *_upkeep_loops(at),
        ),
    )


def _connecting(at: Resources, cipher: TokenCipher) -> tuple[Connector, DirectoryMailboxes]:
    admission, flow_life = Admission(at.pool, cipher, at.clock), timedelta(seconds=at.settings.flow_seconds)
    consents, starter = (
        Consents(at.pool, at.providers.apps, at.providers.consenting, at.clock),
        FlowStarter(at.pool, at.clock, at.settings.public_url, flow_life),
    )
    connector = Connector(at.pool, admission, at.issuers, consents, at.clock, starter, flow_life)
    return connector, DirectoryMailboxes(at.pool, consents, starter, admission, at.clock)


def _session_life(settings: VaultSettings) -> SessionLife:
    return SessionLife(
        idle=timedelta(seconds=settings.session_idle_seconds),
        whole=timedelta(seconds=settings.session_seconds),
        cached=timedelta(seconds=settings.api_key_cache_seconds),
    )


def _disconnect_bounds(settings: VaultSettings, lease: timedelta) -> DisconnectBounds:
    return DisconnectBounds(
        release=timedelta(seconds=settings.disconnect_wait_seconds),
        revoke=timedelta(seconds=settings.revoke_wait_seconds),
        lease=lease,
    )


def _token_loops(at: Resources, refresher: Refresher) -> tuple[PeriodicLoop, ...]:
    ahead = RefreshAhead(
        at.lending_pool, at.pool, refresher, at.clock, at.process_id, at.lease, at.settings.refresh_concurrency
    )
    return (PeriodicLoop("refresh ahead", at.settings.refresh_interval_seconds, ahead.round),)


def _upkeep_loops(at: Resources) -> tuple[PeriodicLoop, ...]:
    changes_kept = timedelta(days=at.settings.change_retention_days)
    sessions_idle = timedelta(seconds=at.settings.session_idle_seconds)
    upkeep = Upkeep(at.pool, at.clock, at.settings.audit_retention_days, changes_kept, sessions_idle)
    return (
        PeriodicLoop("prune", _PRUNE_SECONDS, upkeep.prune),
        PeriodicLoop("measure", _MEASURE_SECONDS, upkeep.measure, round_seconds=30),
    )


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
