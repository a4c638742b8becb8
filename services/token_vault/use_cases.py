"""TokenVault's use cases and the loops beside them, made from what they share."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.head_watch import HeadWatch
from services.meshkit.loops import PeriodicLoop
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
from services.token_vault.api_access.passes import Passes
from services.token_vault.api_access.sessions import SessionLife, Sessions
from services.token_vault.audit import AuditLog
from services.token_vault.issuers.configured import Providers
from services.token_vault.issuers.issuer import Issuer
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.registration import KeyRegistration
from services.token_vault.settings import VaultSettings
from services.token_vault.sign_in.configured import SignIn, configured_sign_in
from services.token_vault.store import tenant_changes
from services.token_vault.tokens.credential_reader import CredentialReader
from services.token_vault.tokens.issue import Lender
from services.token_vault.tokens.refresh import RefreshBounds, Refresher
from services.token_vault.tokens.refresh_ahead import RefreshAhead
from services.token_vault.tokens.token_cipher import TokenCipher
from services.token_vault.upkeep import Upkeep

_BEAT_SECONDS = 5.0
_LAST_USED_SECONDS = 30.0
_PRUNE_SECONDS = 3600.0
_MEASURE_SECONDS = 15.0
_DISCONNECT_SECONDS = 1.0
# Each change of a tenant wakes the disconnects; only steps that fall due by their time wait. An erasure takes a minute.
_IDLE_FACTOR = 5.0
_PROBE_SECONDS = 5.0
_LEASE_MARGIN_SECONDS = 5.0


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


def make_vault(at: Resources, registration: KeyRegistration) -> Vault:
    """Make the use cases and their loops; nothing runs and nothing is asked yet."""
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
    changes_head.call(disconnects.wake)
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
