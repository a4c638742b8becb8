"""Composes the command line from its commands."""

from pathlib import Path
from typing import Annotated

import typer

from stack.cli import (
    app_credentials,
    attempts,
    backfills,
    calendar_changes,
    calendar_writes,
    calendars,
    classification,
    conversation_settings,
    conversation_timers,
    directories,
    erasures,
    events,
    exits,
    free_busy,
    keys,
    meetings,
    message_contents,
    model,
    pipeline,
    primitives,
    sealing,
    search,
    send,
    sends,
    sessions,
    subscriptions,
    tenant_export,
    tenants,
    vault,
    workflows,
)
from stack.cli.backups import backup, restore
from stack.cli.connect import connect
from stack.cli.connection import Target
from stack.cli.doctor import doctor
from stack.cli.help import command_line
from stack.cli.simulate import demo, simulate
from stack.cli.up import up
from stack.data_directory import DEFAULT_FOLDER

RUN, USE, WATCH = "Run", "Use", "Watch and repair"

app = typer.Typer(
    name="mailmesh",
    epilog=exits.HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    context: typer.Context,
    *,
    data: Annotated[
        Path,
        typer.Option("--data", envvar="MAILMESH_DATA", metavar="DIR", help="Data directory of a local mesh."),
    ] = DEFAULT_FOLDER,
    server: Annotated[
        str, typer.Option(envvar="MAILMESH_SERVER", metavar="HOST:PORT", help="Address of the edge of another mesh.")
    ] = "",
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the API key. [default: MAILMESH_API_KEY, else the key in the data directory]",
        ),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate authority of an edge that speaks TLS, PEM.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS with a certificate of a public authority.")] = False,
) -> None:
    """Run and use mailmesh: every change in Microsoft 365 and Google Workspace mailboxes as one typed event."""
    context.obj = Target(data, server, key_file, ca_file, tls)


app.command(rich_help_panel=RUN)(up)
app.command(rich_help_panel=RUN)(demo)
app.command(rich_help_panel=RUN, context_settings={"allow_extra_args": True})(simulate)
app.command(rich_help_panel=RUN)(backup)
app.command(rich_help_panel=RUN)(restore)
app.command(rich_help_panel=USE)(connect)
app.add_typer(erasures.app, name="tenants", rich_help_panel=USE)
tenants.app.command()(tenant_export.export)
app.add_typer(directories.app, name="directories", rich_help_panel=USE)
app.add_typer(app_credentials.app, name="app-credentials", rich_help_panel=USE)
app.add_typer(subscriptions.app, name="subscriptions", rich_help_panel=USE)
app.add_typer(events.app, name="events", rich_help_panel=USE)
app.command(rich_help_panel=USE)(send.send)
app.add_typer(sends.app, name="sends", rich_help_panel=USE)
app.add_typer(message_contents.app, name="messages", rich_help_panel=USE)
app.add_typer(attempts.app, name="endpoints", rich_help_panel=USE)
app.add_typer(calendars.app, name="calendars", rich_help_panel=USE)
calendars.app.command("free-busy")(free_busy.free_busy)
calendars.app.command()(calendar_writes.create)
calendars.app.command()(calendar_changes.respond)
calendars.app.command()(calendar_changes.update)
calendars.app.command()(calendar_changes.cancel)
calendars.app.command()(meetings.meetings)
calendars.app.command()(meetings.versions)
app.add_typer(calendar_writes.app, name="calendar-writes", rich_help_panel=USE)
app.add_typer(conversation_timers.app, name="conversations", rich_help_panel=USE)
conversation_timers.app.command()(conversation_settings.enable)
conversation_timers.app.command()(conversation_settings.disable)
app.command(rich_help_panel=USE)(search.search)
app.add_typer(search.settings_app, name="search-settings", rich_help_panel=USE)
app.add_typer(sealing.app, name="sealing", rich_help_panel=USE)
app.add_typer(classification.app, name="classification", rich_help_panel=USE)
app.add_typer(model.app, name="model", rich_help_panel=USE)
app.add_typer(primitives.app, name="primitives", rich_help_panel=USE)
app.add_typer(workflows.app, name="workflows", rich_help_panel=USE)
app.add_typer(keys.app, name="keys", rich_help_panel=USE)
app.add_typer(sessions.app, name="sessions", rich_help_panel=USE)
app.add_typer(vault.app, name="vault", rich_help_panel=USE)
app.command(rich_help_panel=WATCH)(pipeline.status)
app.add_typer(pipeline.dead_letters, name="dead-letters", rich_help_panel=WATCH)
app.command(rich_help_panel=WATCH)(pipeline.replay)
app.command(rich_help_panel=WATCH)(pipeline.reconcile)
app.command(rich_help_panel=WATCH)(backfills.backfill)
app.command(rich_help_panel=WATCH)(keys.audit)
app.command(rich_help_panel=WATCH)(doctor)


def main() -> None:
    """Runs the command line."""
    exits.run(command_line(app))
