"""`mailmesh simulate` and `mailmesh demo`: the providers without the providers."""

import os
import sys
from typing import Annotated

import typer

from stack.cli.connection import target
from stack.cli.output import console
from stack.data_directory import DataDirectory


def simulate(
    context: typer.Context,
    *,
    ms_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Microsoft; 0 takes any free one.")] = 0,
    google_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of Google; 0 takes any free one.")] = 0,
    control_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the control API.")] = 0,
) -> None:
    r"""Run simulated Microsoft 365 and Google Workspace alone, for developing against Graph or Gmail.

    They speak HTTPS with a certificate of the data directory's authority: trust its certificates/ca.pem. What stands
    behind -- goes to the simulator; its own --help lists it.

    \b
    Examples:
      mailmesh simulate --ms-port 8443 --google-port 8444 --control-port 8445
      mailmesh simulate -- --account ms365:ada@example.com --old-mails 1000 --seed 7
    """
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
    typer.echo(f"certificate authority: {identity.authority}", err=True)
    os.execv(command[0], command)  # noqa: S606 - our own interpreter


def demo() -> None:
    """Show the whole mesh at work in a minute, in a temporary place, and prove that no mail is lost or doubled."""
    from stack.demo import demo as show  # noqa: PLC0415 - nothing else needs it

    show(console)
