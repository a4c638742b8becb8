"""Composition of the process: `python -m services.workflows serve`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import grpc

from mailmesh.processor.v1.event_feed_service_pb2_grpc import EventFeedServiceStub
from mailmesh.vault.v1.token_vault_service_pb2_grpc import TokenVaultServiceAsyncStub
from mailmesh.workflow.v1 import workflow_service_pb2
from mailmesh.workflow.v1.workflow_service_pb2_grpc import add_WorkflowServiceServicer_to_server
from services.erasures.rows import add_tenant_rows
from services.erasures.tenants import TenantEraser
from services.meshkit import db
from services.meshkit.channel import mesh_channel
from services.meshkit.db import DatabaseLimits, open_pool
from services.meshkit.edge_channel import edge_channel
from services.meshkit.erasing import Plan
from services.meshkit.health import Dependency
from services.meshkit.identity.certificates import TlsFiles
from services.meshkit.loops import PeriodicLoop
from services.meshkit.process import background, observed
from services.meshkit.server import MeshServer
from services.meshkit.settings import SettingsError, load
from services.workflows.edge import ApiKey, WithKey
from services.workflows.engine.attempt import Attempts
from services.workflows.engine.graphs import Graphs, load_graphs
from services.workflows.engine.runner import RunLimits, Runner
from services.workflows.engine.threads import StepThreads
from services.workflows.exporting import export_of
from services.workflows.feed import RETRY_SAFE, Feed
from services.workflows.migrate import SCHEMA
from services.workflows.publishing import publisher
from services.workflows.retention import Retention
from services.workflows.runs import Runs
from services.workflows.sealing import cipher_of
from services.workflows.servicers.workflows import WorkflowServicer
from services.workflows.settings import WorkflowsSettings
from services.workflows.starting import Follower, Starter

NAME = "workflows"
_RUN_SECONDS = 0.5
_PUBLISH_SECONDS = 1.0
_DEADLINE_SECONDS = 1.0
_RETENTION_SECONDS = 60.0
_ERASE_SECONDS = 5.0
_ERASED = Plan(NAME, first=("runs",))
_IDLE_FACTOR = 4.0
_VAULT_RETRY_SAFE = (
    "/mailmesh.vault.v1.TokenVaultService/GetPendingErasures",
    "/mailmesh.vault.v1.TokenVaultService/ConfirmErasure",
)


async def serve(stop: asyncio.Event) -> None:
    """Serve the contract and run workflows until `stop` is set."""
    settings = load(WorkflowsSettings)
    async with observed(NAME, settings):
        await SCHEMA.check(settings.database_url)
        graphs = load_graphs(dict(one.split("=", 1) for one in settings.graphs))
        await run(settings, graphs, stop)


async def run(settings: WorkflowsSettings, graphs: Graphs, stop: asyncio.Event) -> None:
    """Open everything, serve until `stop` is set, and close everything in reverse order."""
    tls = TlsFiles.of(settings)
    key = WithKey(ApiKey(settings.api_key, settings.api_key_file))
    async with (
        open_pool(settings.database_url, NAME, DatabaseLimits(settings.connections)) as pool,
        mesh_channel(settings.processor_address, "processor", tls, retry_safe=RETRY_SAFE) as processor,
        mesh_channel(settings.token_vault_address, "token-vault", tls, retry_safe=_VAULT_RETRY_SAFE) as vault,
        edge_channel(settings.edge, settings.edge_ca, [key]) as edge,
    ):
        server = MeshServer(NAME, settings.listen, tls)
        server.depends_on(Dependency("postgres", partial(db.ping, pool)))
        eraser = TenantEraser(TokenVaultServiceAsyncStub(vault), pool, _ERASED)
        feed = Feed(EventFeedServiceStub(processor))
        async with (
            serving(server, settings, graphs, pool, feed, edge),
            background(PeriodicLoop("erasing", _ERASE_SECONDS, eraser.round, idle_factor=_IDLE_FACTOR).run()),
        ):
            await server.serve(stop)


@asynccontextmanager
async def serving(
    server: MeshServer,
    settings: WorkflowsSettings,
    graphs: Graphs,
    pool: db.Pool,
    feed: Feed,
    edge: grpc.aio.Channel,
) -> AsyncIterator[None]:
    """Add the service to the server, and run workflows while the block runs.

    Args:
        server: A server that is not started yet.
        settings: The settings.
        graphs: The operator's graphs.
        pool: Connections to PostgreSQL.
        feed: The event stream.
        edge: The channel on which steps act.
    """
    limits = limits_of(settings)
    cipher = cipher_of(settings.keys, settings.keys_file, is_needed=bool(graphs))
    attempts = Attempts(graphs, pool, cipher, edge)
    add_tenant_rows(server, pool, export_of(cipher))
    threads = StepThreads(limits.at_once)
    asyncio.get_running_loop().set_default_executor(threads)
    runner = Runner(pool, attempts, limits, threads)
    running = PeriodicLoop("runs", _RUN_SECONDS, runner.round, may_idle=lambda: not graphs, idle_factor=_IDLE_FACTOR)
    starter = Starter(pool, settings.queued, limits.run, running.wake)
    followers = [
        Follower(name, event_types, pool, feed, starter) for name, event_types in starts_of(settings, graphs).items()
    ]
    server.add(
        add_WorkflowServiceServicer_to_server,
        WorkflowServicer(Runs(pool, attempts, starter, feed, limits.run, running.wake)),
        workflow_service_pb2.DESCRIPTOR.services_by_name["WorkflowService"],
    )
    loops = (
        running,
        PeriodicLoop("deadlines", _DEADLINE_SECONDS, runner.end_overdue, idle_factor=_IDLE_FACTOR),
        PeriodicLoop("notices", _PUBLISH_SECONDS, publisher(pool, feed).round),
        PeriodicLoop("retention", _RETENTION_SECONDS, Retention(pool, settings.retention_days).round),
    )
    everything = (*(loop.run() for loop in loops), *(follower.run() for follower in followers))
    async with background(threads.until_exhausted(), *everything):
        try:
            yield
        finally:
            await runner.aclose()


def limits_of(settings: WorkflowsSettings) -> RunLimits:
    """Return the bounds of runs."""
    return RunLimits(
        at_once=settings.runs_at_once,
        attempts=settings.attempts,
        attempt=timedelta(seconds=settings.attempt_seconds),
        run=timedelta(seconds=settings.run_seconds),
        wait=timedelta(seconds=settings.wait_seconds),
        lease=timedelta(seconds=settings.lease_seconds),
    )


def starts_of(settings: WorkflowsSettings, graphs: Graphs) -> dict[str, list[str]]:
    """Return the types of events that start runs, by workflow.

    Raises:
        SettingsError: An entry names a workflow that the settings do not have, or events of workflows.
    """
    named = {name for name, _, _ in (one.partition("=") for one in settings.graphs)}
    starts = {name: types.split("+") for name, _, types in (one.partition("=") for one in settings.starts)}
    unknown = sorted(starts.keys() - named)
    if unknown:
        raise SettingsError([f"MAILMESH_WORKFLOWS_STARTS names {unknown[0]}, and MAILMESH_WORKFLOWS_GRAPHS does not."])
    # Each run publishes such events, and would start the next one without end.
    own = sorted({one for types in starts.values() for one in types if one.startswith("workflow.")})
    if own:
        raise SettingsError([f"MAILMESH_WORKFLOWS_STARTS names {own[0]}: events of workflows start no runs."])
    return {name: types for name, types in starts.items() if name in graphs}
