"""The worker's surroundings in tests: the real inbox and database, and the simulated providers."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from mailmesh.ingest.v1 import inbox_item_pb2 as item_pb2
from mailmesh.ingest.v1 import inbox_service_pb2
from mailmesh.ingest.v1 import inbox_service_pb2_grpc as inbox_grpc
from mailmesh.processor.v1 import event_pb2
from mailmesh.vault.v1 import content_key_service_pb2 as content_keys_pb2
from mailmesh.vault.v1 import content_key_service_pb2_grpc as content_keys_grpc
from mailmesh.vault.v1 import tenant_pb2
from mailmesh.vault.v1 import token_vault_service_pb2 as vault_pb2
from mailmesh.vault.v1 import token_vault_service_pb2_grpc as vault_grpc
from services.ingest.store.items import Kind, NewItem, accept_in_transaction
from services.meshkit import db
from services.meshkit.clock import SystemClock
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.ids import new_id
from services.meshkit.queue import WakeQueue
from services.meshkit.secret import Secret
from services.meshkit.server import MeshServer
from services.processor.settings import ProcessorSettings
from simulator.control_client import SimulatorControl
from stack.certificates import MeshCertificates
from tests.programs.postgres import TestDatabase
from tests.programs.simulator import RunningSimulator
from tests.programs.waiting import pause_seconds
from tests.store.processor.gates import GatedInbox, Gates, Vault

PATIENCE = 90.0
POLL_SECONDS = 0.03
FAST: Mapping[str, Any] = {
    "missing_seconds": 1.0,
    "retry_base_seconds": 0.2,
    "retry_max_seconds": 1.0,
    "sweep_seconds": 0.1,
    "lease_seconds": 5,
    "grace_seconds": 3.0,
    "gmail_units_per_minute": 10_000_000,
    "gmail_settle_seconds": 2.0,
    "gmail_second_comparison_seconds": 3.0,
}


@dataclass(frozen=True)
class Told:
    """One event of the store, with the values that tests compare."""

    event_type: str
    message_id: str
    generation: int
    event_id: str
    mail: Any


class Ground:
    """Everything except the worker.

    Args:
        control: The simulated providers.
        vault: Lends tokens.
        gates: The places where calls can be stopped.
        ingest: Connections to Ingest's database, as its own role.
        processor: Connections to Processor's database, as its own role.
        settings: Settings of workers, by field name.
        wakes: Wakes workers, where there is a Redis.
    """

    def __init__(
        self,
        control: SimulatorControl,
        vault: Vault,
        gates: Gates,
        ingest: db.Pool,
        processor: db.Pool,
        settings: Mapping[str, Any],
        wakes: WakeQueue | None = None,
    ) -> None:
        self.control = control
        self.vault = vault
        self.gates = gates
        self.ingest = ingest
        self.processor = processor
        self.settings = settings
        self.wakes = wakes

    def worker_settings(self, **changed: Any) -> ProcessorSettings:
        """Return the settings of a worker that runs in this process."""
        return ProcessorSettings(**{**self.settings, **FAST, **changed})

    def worker_environment(self, **changed: Any) -> dict[str, str]:
        """Return the environment of a worker in a process of its own."""
        from services.meshkit.settings import variables

        names = variables(ProcessorSettings)
        values = {**self.settings, **FAST, **changed}
        return {names[name]: str(value) for name, value in values.items() if value is not None}

    async def tenant(
        self, provider: str, *, folder: str = "inbox", labels: Sequence[str] = ("INBOX",), **watch: Any
    ) -> tenant_pb2.Tenant:
        """Add an account at the provider, a tenant for it, and by default a subscription to its inbox."""
        tenant_id = new_id()
        domain = "contoso.test" if provider == "ms365" else "fabrikam.test"
        account = await self.control.create_account(provider, f"t-{tenant_id[-12:]}@{domain}")
        tenant = tenant_pb2.Tenant(
            tenant_id=tenant_id,
            provider=provider,
            external_tenant_id=str(account.get("directory", "")),
            user_id=str(account["id"]),
            address=account["address"],
            status=tenant_pb2.TENANT_STATUS_ACTIVE,
        )
        self.vault.tenants[tenant_id] = tenant
        await self._follow(tenant)
        await self.watch(
            tenant, folder if provider == "ms365" else "", labels if provider == "googlews" else (), **watch
        )
        return tenant

    async def _follow(self, tenant: tenant_pb2.Tenant) -> None:
        await self.ingest.execute(
            """
            INSERT INTO ingest.tenants (tenant_id, provider, external_tenant_id, user_id, address, status)
            VALUES ($1, $2, $3, $4, $5, 1)
            """,
            tenant.tenant_id, tenant.provider, tenant.external_tenant_id, tenant.user_id, tenant.address,
        )  # fmt: skip
        await self.ingest.execute("INSERT INTO ingest.mailboxes (tenant_id) VALUES ($1)", tenant.tenant_id)
        await self.processor.execute(
            "INSERT INTO processor.tenants (tenant_id, provider, status, changed_at) VALUES ($1,$2,'active',now())",
            tenant.tenant_id, tenant.provider,
        )  # fmt: skip

    async def watch(
        self,
        tenant: tenant_pb2.Tenant,
        folder: str,
        labels: Sequence[str],
        *,
        kinds: Sequence[str] = ("created", "updated", "deleted"),
        covered_from: datetime | None = None,
        is_polled: bool = False,
    ) -> str:
        """Add a subscription in the form in which Ingest stores it."""
        subscription_id = new_id()
        await self.ingest.execute(
            """
            INSERT INTO ingest.subscriptions (subscription_id, tenant_id, provider, state, folder_id, label_ids,
                change_types, watched, delivery_mode, covered_from)
            VALUES ($1, $2, $3, 2, $4, $5, $6, gen_random_uuid()::text, $7, $8)
            """,
            subscription_id, tenant.tenant_id, tenant.provider, folder, list(labels), list(kinds),
            2 if is_polled else 1, covered_from or datetime.now(UTC) - timedelta(seconds=1),
        )  # fmt: skip
        return subscription_id

    async def put(self, tenant: tenant_pb2.Tenant, kind: Kind, content: bytes) -> str:
        """Put an item into the inbox, and wake a worker if there is a Redis."""
        item = NewItem(new_id(), tenant.tenant_id, kind, content, datetime.now(UTC), new_id(), correlation_id=new_id())
        async with self.ingest.acquire() as connection, connection.transaction():
            await accept_in_transaction(connection, [item])
        if self.wakes is not None:
            self.wakes.wake(tenant.tenant_id)
        return item.item_id

    async def notify(self, tenant: tenant_pb2.Tenant, kind: str, mail: Mapping[str, Any]) -> str:
        """Report a change of a mail as Graph does; `mail` is the simulator's own record of it."""
        return await self.put(tenant, Kind.MAIL, self.notification(kind, mail))

    def notification(self, kind: str, mail: Mapping[str, Any]) -> bytes:
        """Return a notification in the form in which Ingest stores it."""
        raw = {"changeType": kind, "resourceData": {"id": mail["id"], "@odata.etag": mail["etag"]}}
        content = {
            "subscription_id": new_id(),
            "message_id": mail["id"],
            "change_type": kind,
            "etag": mail["etag"],
            "notification": raw,
        }
        return orjson.dumps(content)

    def now(self) -> datetime:
        """Return the present time."""
        return datetime.now(UTC)

    async def push(self, tenant: tenant_pb2.Tenant, history_id: int) -> str:
        """Report that a Gmail mailbox is at a history id."""
        content = item_pb2.MailboxChanged(history_id=history_id, pubsub_message_id=new_id())
        return await self.put(tenant, Kind.MAILBOX_CHANGED, content.SerializeToString())

    async def push_present(self, tenant: tenant_pb2.Tenant) -> str:
        """Report that a Gmail mailbox is at its current history id."""
        return await self.push(tenant, await self.history_id(tenant))

    async def history_id(self, tenant: tenant_pb2.Tenant) -> int:
        """Return the current history id of a Gmail mailbox."""
        return int((await self.control.truth(tenant.address))["historyId"])

    async def begin(self, tenant: tenant_pb2.Tenant) -> str:
        """Set the first cursor of a Gmail mailbox to its current history id."""
        content = item_pb2.MailboxWatched(subscription_id=new_id(), history_id=await self.history_id(tenant))
        return await self.put(tenant, Kind.MAILBOX_WATCHED, content.SerializeToString())

    async def reconcile(
        self, tenant: tenant_pb2.Tenant, since: datetime | None = None, *, is_scheduled: bool = False
    ) -> str:
        """Request a reconciliation."""
        by_schedule, by_hand = item_pb2.RECONCILE_REASON_SCHEDULE, item_pb2.RECONCILE_REASON_MANUAL
        content = item_pb2.Reconcile(reason=by_schedule if is_scheduled else by_hand)
        if since is not None:
            content.since.FromDatetime(since)
        return await self.put(tenant, Kind.RECONCILE, content.SerializeToString())

    async def pending(self, tenant: tenant_pb2.Tenant | None = None) -> int:
        """Count the items that are not done."""
        if tenant is None:
            return int(await self.ingest.fetchval("SELECT count(*) FROM ingest.items"))
        return int(
            await self.ingest.fetchval("SELECT count(*) FROM ingest.items WHERE tenant_id = $1", tenant.tenant_id)
        )

    async def waiting(self, tenant: tenant_pb2.Tenant | None = None) -> int:
        """Count the messages that have to be checked again."""
        if tenant is None:
            return int(await self.processor.fetchval("SELECT count(*) FROM processor.lookups"))
        return int(
            await self.processor.fetchval(
                "SELECT count(*) FROM processor.lookups WHERE tenant_id = $1", tenant.tenant_id
            )
        )

    async def settled(self, seconds: float = PATIENCE) -> None:
        """Wait until no task is left."""
        await self.until(self._is_settled, seconds, "settled")

    async def _is_settled(self) -> bool:
        held = await self.ingest.fetchval("SELECT count(*) FROM ingest.mailboxes WHERE lease_until > now()")
        return not held and not await self.pending() and not await self.waiting()

    async def until(self, ask: Any, seconds: float = PATIENCE, what: str = "") -> Any:
        """Repeat a question until the answer is true."""
        began = asyncio.get_running_loop().time()
        while not (answer := await ask()):
            waited = asyncio.get_running_loop().time() - began
            assert waited < seconds, (
                f"not in {seconds} s: {what}; items {await self.pending()}, lookups {await self.waiting()}"
            )
            await asyncio.sleep(pause_seconds(waited, POLL_SECONDS))
        return answer

    async def events(self, tenant: tenant_pb2.Tenant | None = None) -> list[Told]:
        """Read the published events, in the order of positions."""
        found = []
        for event in await read_events(self.processor):
            mail = event.mail
            if event.WhichOneof("kind") == "mail" and (tenant is None or mail.tenant_id == tenant.tenant_id):
                found.append(Told(mail.event_type, mail.message_id, mail.generation, mail.event_id, mail))
        return found

    async def types(self, tenant: tenant_pb2.Tenant) -> list[str]:
        """Return the types of one tenant's events, in order."""
        return [event.event_type for event in await self.events(tenant)]


async def read_events(pool: db.Pool) -> list[event_pb2.Event]:
    """Read all events of the store in their order."""
    from tests.store.processor.reading import all_events

    return await all_events(pool)


@asynccontextmanager
async def standing(
    simulator: RunningSimulator,
    certificates: MeshCertificates,
    ingest: TestDatabase,
    processor: TestDatabase,
    redis_url: str | None = None,
) -> AsyncIterator[Ground]:
    """Open everything except the worker."""
    async with AsyncExitStack() as stack:
        gates = Gates()
        control = await stack.enter_async_context(simulator.control())
        vault = Vault(control, gates)
        pool = await stack.enter_async_context(open_pool(Secret(ingest.url), "ingest", DatabaseLimits()))
        own = await stack.enter_async_context(open_pool(Secret(processor.url), "test", DatabaseLimits(4)))
        inbox = GatedInbox(pool, 5, lambda _tenant: None, lambda: None, SystemClock())
        inbox.gates = gates
        ports = {}
        for name, servicer, add, module in (
            ("ingest", inbox, inbox_grpc.add_InboxServiceServicer_to_server, inbox_service_pb2),
            ("token-vault", vault, vault_grpc.add_TokenVaultServiceServicer_to_server, vault_pb2),
        ):
            server = MeshServer(name, "127.0.0.1:0", _tls(certificates, name))
            service = "InboxService" if name == "ingest" else "TokenVaultService"
            server.add(add, servicer, module.DESCRIPTOR.services_by_name[service])
            if name == "token-vault":
                server.add(
                    content_keys_grpc.add_ContentKeyServiceServicer_to_server,
                    vault.content_keys,
                    content_keys_pb2.DESCRIPTOR.services_by_name["ContentKeyService"],
                )
            await stack.enter_async_context(server.running())
            ports[name] = server.port
        identity = certificates.identity("processor")
        settings: dict[str, Any] = {
            "database_url": processor.url,
            "redis_url": redis_url,
            "tls_cert": Path(identity.certificate),
            "tls_key": Path(identity.key),
            "tls_ca": Path(identity.authority),
            "ingest_address": f"127.0.0.1:{ports['ingest']}",
            "token_vault_address": f"127.0.0.1:{ports['token-vault']}",
            "provider_ca": simulator.ca_file,
            "ms365_graph_url": simulator.settings["MAILMESH_MS365_GRAPH_URL"],
            "google_gmail_url": simulator.settings["MAILMESH_GOOGLEWS_GMAIL_URL"],
            "google_calendar_url": simulator.settings["MAILMESH_GOOGLEWS_CALENDAR_URL"],
        }
        wakes = None
        if redis_url:
            wakes = await stack.enter_async_context(WakeQueue.open(Secret(redis_url), "processor"))
        yield Ground(control, vault, gates, pool, own, settings, wakes)
        await control.reset()


def _tls(certificates: MeshCertificates, name: str) -> TlsFiles:
    identity = certificates.identity(name)
    return TlsFiles(Path(identity.certificate), Path(identity.key), Path(identity.authority))
