"""`mailmesh simulate` and `mailmesh demo`: simulated providers."""

import os
import sys
from typing import Annotated

import typer

from services.meshkit.text import ACTING
from stack.cli.connection import target
from stack.cli.output import console, show_aside
from stack.data_directory import DataDirectory


def simulate(
    context: typer.Context,
    *,
    ms_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Microsoft; 0 takes any free port.")] = 0,
    google_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Google; 0 takes any free port.")] = 0,
    control_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the control API; 0 takes any free port.")
    ] = 0,
) -> None:
    """Run only the simulated Microsoft 365 and Google Workspace, to develop against Graph or Gmail.

    They speak HTTPS with a certificate of the data directory's authority: trust its certificates/ca.pem. Arguments
    after -- go to the simulator; `mailmesh simulate -- --help` lists them.

    Examples:
      mailmesh simulate --ms-port 8443 --google-port 8444 --control-port 8445
      mailmesh simulate -- --account ms365:ada@example.com --old-mails 1000 --seed 7
    """
    if any(ACTING.search(argument) for argument in context.args):
        raise typer.BadParameter("An argument for the simulator has a control, direction or invisible character.")
    data = DataDirectory(target(context).data.resolve())
    data.prepare()
    data.certificates.ensure()
    identity = data.certificates.identity("simulator")
    command = [
        *(sys.executable, "-m", "simulator"),
        *("--cert", str(identity.certificate), "--key", str(identity.key), "--ca", str(identity.authority)),
        *("--ms-port", str(ms_port), "--google-port", str(google_port), "--control-port", str(control_port)),
        *context.args,
    ]
    show_aside(f"certificate authority: {identity.authority}")
    os.execv(command[0], command)  # noqa: S606 - our own interpreter


def demo() -> None:
    """Show how mail becomes events, in a minute, and prove that no mail is lost or doubled.

    The demo runs in a temporary directory and leaves nothing behind.
    """
    from stack.cli.demo_run import demo as show  # noqa: PLC0415 - nothing else needs it

    show(console)
