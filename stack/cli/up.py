"""`mailmesh up`: runs everything on one machine until Ctrl-C."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from stack.cli.connection import target
from stack.follow import LogFollower
from stack.options import UpOptions
from stack.report import Report
from stack.terminal import plain_console

DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data directory of the mesh. [default: .mailmesh]"),
]


def up(
    context: typer.Context,
    *,
    data: DataOption = None,
    http_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the edge; 0 takes any free port. [default: 8080]")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of processes that fetch mail.")] = 1,
    ingest_processes: Annotated[
        int, typer.Option(min=1, max=16, help="Number of processes that receive webhooks.")
    ] = 1,
    simulator: Annotated[
        bool | None,
        typer.Option(
            "--simulator/--no-simulator",
            help="Simulate Microsoft and Google, or not. [default: simulate unless credentials are in the environment]",
            show_default=False,
        ),
    ] = None,
    agents: Annotated[
        bool, typer.Option("--agents", help="Serve agents at the edge's /mcp (Model Context Protocol).")
    ] = False,
    watch_ui: Annotated[
        bool, typer.Option("--watch-ui", help="Run Prometheus with mailmesh's alerts, and a page of the dashboards.")
    ] = False,
    wal_archive: Annotated[
        Path | None,
        typer.Option("--wal-archive", metavar="FOLDER", help="Archive PostgreSQL's write-ahead log in this folder."),
    ] = None,
    wal_archive_gigabytes: Annotated[
        int, typer.Option(min=1, max=100_000, help="Remove the oldest log when the archive is larger than this.")
    ] = 20,
    wal_archive_days: Annotated[
        int, typer.Option(min=1, max=3650, help="Remove log that is older than this, so that erased data is forgotten.")
    ] = 30,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the logs of all processes.")] = False,
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C.

    PostgreSQL, Redis and Envoy come from packages; DATABASE_URL and REDIS_URL name existing servers instead. PUBLIC_URL
    is the address at which the providers and browsers reach the edge. With MAILMESH_MS365_CLIENT_ID and _CLIENT_SECRET,
    or MAILMESH_GOOGLEWS_CLIENT_ID and _CLIENT_SECRET, the providers are real; otherwise they are simulated. With
    --wal-archive on another disk, `mailmesh restore` brings back changes from after the last backup, too.

    Examples:
      mailmesh up
      mailmesh up --watch-ui
      mailmesh up --data /var/lib/mailmesh --http-port 9000 --workers 4
      mailmesh up --wal-archive /backups/wal --wal-archive-gigabytes 50
      PUBLIC_URL=https://mesh.example.com MAILMESH_MS365_CLIENT_ID=... mailmesh up
    """
    from stack.launcher import Launcher  # noqa: PLC0415 - other commands start faster without it

    options = UpOptions(
        data or target(context).data,
        http_port,
        workers,
        ingest_processes,
        simulator,
        has_agents=agents,
        has_watch_ui=watch_ui,
        wal_archive=wal_archive,
        wal_archive_gigabytes=wal_archive_gigabytes,
        wal_archive_days=wal_archive_days,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    console = plain_console()
    with LogFollower(options.data / "logs", console, is_on=verbose):
        Launcher(options, Report(console), dict(os.environ), stop).run()
