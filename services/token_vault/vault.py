"""TokenVault's use cases, put together: plain constructor calls and nothing else."""

from dataclasses import dataclass
from datetime import timedelta

from services.meshkit import db
from services.meshkit.clock import Clock
from services.meshkit.loops import PeriodicLoop
from services.token_vault.accounts.admit import Admission
from services.token_vault.accounts.authorization_status import Reporter
from services.token_vault.accounts.connect import Connector
from services.token_vault.accounts.disconnect import DisconnectBounds, Disconnector
from services.token_vault.accounts.examine import Examiner
from services.token_vault.accounts.probe import Prober
from services.token_vault.accounts.tenant_change_feed import ChangeFeed
from services.token_vault.accounts.tenants import Tenants
from services.token_vault.api_access.api_keys import ApiKeys, KeyChecker
from services.token_vault.audit import AuditLog
from services.token_vault.issuers.issuer import Issuer
from services.token_vault.keys.keyring import KeyRing
from services.token_vault.keys.rotate import KeyKeeper
from services.token_vault.settings import VaultSettings
from services.token_vault.tokens.issue import CredentialReader, Lender
from services.token_vault.tokens.refresh import RefreshBounds, Refresher
from services.token_vault.tokens.refresh_ahead import RefreshAhead
from services.token_vault.tokens.token_cipher import Custody
from services.token_vault.upkeep import Upkeep

_BEAT_SECONDS = 5.0
_LAST_USED_SECONDS = 30.0
_PRUNE_SECONDS = 3600.0
_MEASURE_SECONDS = 15.0
_DISCONNECT_SECONDS = 1.0
_PROBE_SECONDS = 5.0
_LEASE_MARGIN_SECONDS = 5.0


@dataclass(frozen=True)
class Means:
    """What the use cases work with.

    Args:
        clock: The time.
        pool: For everything but lending.
        lending_pool: For lending.
        ring: The key-encryption keys.
        issuers: By provider.
        process_id: Who this process is in claims.
    """

    clock: Clock
    pool: db.Pool
    lending_pool: db.Pool
    ring: KeyRing
    issuers: dict[str, Issuer]
    process_id: str


class Vault:
    """All use cases, and the loops that run beside the server.

    Args:
        settings: What the environment says.
        means: What they work with.
        keeper: Looks after the key-encryption keys.
    """

    def __init__(self, settings: VaultSettings, means: Means, keeper: KeyKeeper) -> None:
        clock, pool, issuers = means.clock, means.pool, means.issuers
        # A claim outlasts what the provider may take: setting up and asking, each within its own time limit.
        lease = timedelta(seconds=settings.provider_timeout_seconds * 2 + _LEASE_MARGIN_SECONDS)
        self.clock, self.pool, self.keeper = clock, pool, keeper
        self.custody = Custody(means.ring, timedelta(seconds=settings.refresh_ahead_seconds))
        self.reader = CredentialReader(means.lending_pool)
        self.refresher = Refresher(
            pool, self.reader.read, self.custody, issuers, clock, means.process_id, RefreshBounds(lease)
        )
        self.audit_log = AuditLog(means.lending_pool)
        self.lender = Lender(pool, self.reader, self.refresher, self.custody, self.audit_log, issuers, clock)
        self.refresh_ahead = RefreshAhead(
            means.lending_pool, pool, self.refresher, clock, means.process_id, lease, settings.refresh_concurrency
        )
        self.connector = Connector(
            pool,
            Admission(pool, self.custody, clock),
            issuers,
            clock,
            settings.public_url,
            timedelta(seconds=settings.flow_seconds),
        )
        self.reporter = Reporter(pool, clock)
        self.disconnector = Disconnector(
            pool, self.reader, self.custody, issuers, clock, means.process_id, _disconnect_bounds(settings, lease)
        )
        self.prober = Prober(pool, Examiner(self.lender, issuers, clock), clock)
        self.tenants = Tenants(pool, clock)
        self.feed = ChangeFeed(pool, clock)
        self.api_keys = ApiKeys(pool, clock)
        self.checker = KeyChecker(pool, clock, timedelta(seconds=settings.api_key_cache_seconds))
        self.upkeep = Upkeep(pool, clock, settings.audit_retention_days, timedelta(days=settings.change_retention_days))
        self.loops = self._loops(settings)

    def _loops(self, settings: VaultSettings) -> tuple[PeriodicLoop, ...]:
        return (
            PeriodicLoop("refresh ahead", settings.refresh_interval_seconds, self.refresh_ahead.round),
            PeriodicLoop("disconnect", _DISCONNECT_SECONDS, self.disconnector.round),
            PeriodicLoop("probe", _PROBE_SECONDS, self.prober.round),
            PeriodicLoop("key beat", _BEAT_SECONDS, self.keeper.beat, round_seconds=15),
            PeriodicLoop("key use", _LAST_USED_SECONDS, self.checker.note_used, round_seconds=30),
            PeriodicLoop("prune", _PRUNE_SECONDS, self.upkeep.prune),
            PeriodicLoop("measure", _MEASURE_SECONDS, self.upkeep.measure, round_seconds=30),
        )


def _disconnect_bounds(settings: VaultSettings, lease: timedelta) -> DisconnectBounds:
    return DisconnectBounds(
        timedelta(seconds=settings.disconnect_wait_seconds), timedelta(seconds=settings.revoke_wait_seconds), lease
    )
